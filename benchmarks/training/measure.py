"""One measurement in a process of its own: ``python -m benchmarks.training.measure '{"trainer": "trl", ...}'``."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from typing import Any

from benchmarks.training.inputs import SIZES, model, rows, tokenizer

WARM = 2
"""Optimiser steps that are not timed."""


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Train over `job["rows"]` rows in batches of `job["batch"]`, and say how it went.

    `trainer` is "trl" or "ours"; `w_step` and `pass_rows` are ours alone. Rows per second leave out the reference pass
    and the first steps; peak memory is the process's, or on a GPU what torch allocated.
    """
    import torch

    torch.set_num_threads(job["threads"])
    on_gpu = torch.cuda.is_available()
    built = model(job["size"])
    start_mb = _peak_mb()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(job, built, folder, on_gpu)
        clock = _clock()
        trainer.add_callback(clock)
        prepared = time.monotonic()
        trainer.train()
    timed = clock.marks[WARM:]
    seconds, cpu = timed[-1][0] - timed[0][0], timed[-1][1] - timed[0][1]
    counted = job["batch"] * (len(timed) - 1)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    tokens = sum(len(row["prompt_ids"]) + len(row["completion_ids"]) for row in trainer.train_dataset)
    return {
        **job,
        "rows_per_second": counted / seconds,
        "cpu_seconds_per_row": cpu / counted,
        "reference_seconds": prepared - started,
        "peak_mb": torch.cuda.max_memory_allocated() / 2**20 if on_gpu else _peak_mb(),
        "start_mb": 0.0 if on_gpu else start_mb,
        "losses": losses,
        # Forward and backward of every row, and the forward of its mismatched completion.
        "flops_per_second": 8 * built.num_parameters() * tokens / len(trainer.train_dataset) * counted / seconds,
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
    }


def _trainer(job: dict[str, Any], built: Any, folder: str, on_gpu: bool) -> Any:
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    from stages.train import StepKTOConfig, StepKTOTrainer

    # TRL's best settings for a model that fits: its reference computed beforehand, nothing recomputed.
    settings: dict[str, Any] = {
        "output_dir": folder,
        "per_device_train_batch_size": job["batch"],
        "precompute_ref_log_probs": True,
        "gradient_checkpointing": False,
        "bf16": on_gpu,
        "use_cpu": not on_gpu,
        "dataloader_pin_memory": on_gpu,
        "max_length": 2048,
        "beta": 0.5,
        "learning_rate": 1e-4,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    data = Dataset.from_list(rows(job["rows"]))
    words = tokenizer(SIZES[job["size"]]["vocab_size"])
    if job["trainer"] == "trl":
        data = data.remove_columns("steps")
        return KTOTrainer(
            built,
            args=KTOConfig(**settings),
            train_dataset=data,
            processing_class=words,
        )
    ours = StepKTOConfig(**settings, w_step=job["w_step"], pass_rows=job["pass_rows"])
    return StepKTOTrainer(built, ours, data, words)


def _clock() -> Any:
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        """Wall and CPU seconds at the end of every optimiser step."""

        def __init__(self) -> None:
            self.marks: list[tuple[float, float]] = []

        def on_step_end(self, *_: Any, **__: Any) -> None:
            """Called by the trainer."""
            self.marks.append((time.monotonic(), time.process_time()))

    return Clock()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    result = measure(json.loads(sys.argv[1]))
    print(json.dumps(result))
