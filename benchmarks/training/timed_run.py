"""One timed run in a process of its own: ``python -m benchmarks.training.timed_run '{"trainer": "trl", ...}'``."""

import json
import resource
import sys
import tempfile
import time
from typing import Any

from benchmarks.training.drawn_inputs import make_inputs
from benchmarks.training.recorded_inputs import SIZES, make_model

NUM_WARMUP_STEPS = 2
"""Optimiser steps that are not timed."""


def time_run(config: dict[str, Any]) -> dict[str, Any]:
    """Train on `config["num_rows"]` rows in batches of `config["batch_size"]` and return the metrics.

    `trainer` is "trl" or "ours"; only ours has `w_step` and `packing`. `micro_batch_size` rows are in a pass, which for
    TRL's is a batch of its own, accumulated; `with_liger` replaces layers by Liger's kernels. Rows per second leave out
    the reference pass and the first steps; peak memory is the process's, or on a GPU what torch allocated.
    """
    import torch

    torch.set_num_threads(config["num_threads"])
    on_gpu = torch.cuda.is_available()
    model = make_model(config["size"])
    start_mb = _read_peak_mb()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        trainer, text = _make_trainer(config, model, folder, on_gpu)
        clock = _make_clock()
        trainer.add_callback(clock)
        prepared = time.monotonic()
        trainer.train()
    from benchmarks.training.flops import compute_mfu, count_row_flops

    timed = clock.marks[NUM_WARMUP_STEPS:]
    seconds, cpu = timed[-1][0] - timed[0][0], timed[-1][1] - timed[0][1]
    num_rows = config["batch_size"] * (len(timed) - 1)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    device = torch.cuda.get_device_name() if on_gpu else "cpu"
    rows = list(trainer.train_dataset)
    flops = sum(count_row_flops(model.config, row) for row in rows) / len(rows) * num_rows / seconds
    return {
        **config,
        "rows_per_second": num_rows / seconds,
        "cpu_seconds_per_row": cpu / num_rows,
        "reference_seconds": prepared - started,
        "peak_mb": torch.cuda.max_memory_allocated() / 2**20 if on_gpu else _read_peak_mb(),
        "start_mb": 0.0 if on_gpu else start_mb,
        "losses": losses,
        "text": text,
        "tokens_per_row": sum(len(row["prompt_ids"]) + len(row["completion_ids"]) for row in rows) / len(rows),
        "flops_per_second": flops,
        "mfu": compute_mfu(flops, device),
        "device": device,
    }


def _make_trainer(config: dict[str, Any], model: Any, folder: str, on_gpu: bool) -> tuple[Any, str]:
    """The trainer, and what its rows are."""
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    from stages.train import StepKTOConfig, StepKTOTrainer

    # TRL's fastest options for a model that fits: the reference precomputed, no gradient checkpointing.
    arguments: dict[str, Any] = {
        "output_dir": folder,
        "per_device_train_batch_size": config["batch_size"],
        "precompute_ref_log_probs": True,
        "gradient_checkpointing": False,
        "bf16": on_gpu,
        "use_cpu": not on_gpu,
        "use_liger_kernel": config["with_liger"],
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
    rows, tokenizer, text = make_inputs(config["num_rows"], SIZES[config["size"]]["vocab_size"])
    data, max_rows = Dataset.from_list(rows), config["micro_batch_size"]
    if config["trainer"] == "trl":
        if max_rows:
            arguments["per_device_train_batch_size"] = max_rows
            arguments["gradient_accumulation_steps"] = config["batch_size"] // max_rows
        data = data.remove_columns("steps")
        return KTOTrainer(model, args=KTOConfig(**arguments), train_dataset=data, processing_class=tokenizer), text
    ours = StepKTOConfig(**arguments, w_step=config["w_step"], micro_batch_size=max_rows, packing=config["packing"])
    return StepKTOTrainer(model, ours, data, tokenizer), text


def _make_clock() -> Any:
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        """Wall and CPU seconds at the end of every optimiser step."""

        def __init__(self) -> None:
            self.marks: list[tuple[float, float]] = []

        def on_step_end(self, *_: Any, **__: Any) -> None:
            """Called by the trainer."""
            self.marks.append((time.monotonic(), time.process_time()))

    return Clock()


def _read_peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    result = time_run(json.loads(sys.argv[1]))
    print(json.dumps(result))
