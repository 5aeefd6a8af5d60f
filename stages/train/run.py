"""One training run, from a data set and a starting policy to a policy folder; a killed run goes on where it was."""

from __future__ import annotations

import logging
import os
import shutil
import statistics
import time
import warnings
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.common import journal
from stages.common.params.runtime import RuntimeParams
from stages.common.params.train import TrainParams
from stages.common.policies import CARD, read_policy, write_manifest
from stages.common.provenance import environment
from stages.common.tables import content_hash, replace_dir, write_json
from stages.train.card import model_card, settings_of
from stages.train.source import read_source

if TYPE_CHECKING:
    from stages.train.setup import Prepared

ROOT = Path("work/train")
"""Where checkpoints lie, below the repository's root: ignored by Git and DVC."""


@dataclass(frozen=True)
class Job:
    """Everything that determines the policy."""

    dataset: Path
    policy: Path
    params: TrainParams
    seed: int


def train(
    job: Job, runtime: RuntimeParams, out: Path, report: Path, root: Path = ROOT, journals: Path = journal.ROOT
) -> None:
    """Train and write the policy folder `out` and the JSON `report`.

    Checkpoints lie below `root` under a hash of the job, so that a killed run resumes from its last complete one; on
    CPU the weights are then those of an uninterrupted run. They are deleted once `out` and `report` are written. The
    reference's log-probs stay below `journals`, for other settings over the same rows.
    Raises `ValueError` or `FileNotFoundError` for unfit input, and `ValueError` when training collapses.
    """
    started = time.monotonic()
    source, policy = read_source(job.dataset), read_policy(job.policy)
    made_from: dict[str, str | int] = {
        "dataset": source.hash,
        "policy": policy.hash,
        "settings": content_hash("train", settings_of(job.params), source.weights),
        "seed": job.seed,
    }
    # Read when huggingface_hub is imported: nothing is sent from a training run.
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import torch

    # PEFT imports it wherever it is installed, and it names the kernels that it lacks, needed or not.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    # TRL sets this option itself; the warning tells a user of this stage nothing.
    warnings.filterwarnings("ignore", message="`gradient_checkpointing` is deprecated", category=FutureWarning)

    from stages.train.checkpoints import last_complete, locked
    from stages.train.guard import check_weights
    from stages.train.lora import merged, quantised
    from stages.train.setup import pick_device, prepare
    from stages.train.shards import filled, forget_deepspeed, gathered, in_shards, join_processes, mapped

    torch.set_num_threads(runtime.num_threads)
    device = pick_device(runtime)
    checkpoints = root / content_hash("checkpoints", made_from)
    reference = journals / "reference" / f"{policy.hash}.jsonl"
    processes = join_processes(device)
    first = processes.is_main_process
    with locked(checkpoints) if first else nullcontext():
        with processes.main_process_first():  # which deletes what is not complete
            resumed = last_complete(checkpoints)
        lora = job.params.lora
        # Weights are kept and updated in float32; train.dtype is that of the forward and backward pass.
        quantise = lora is not None and lora.quantise
        tokenizer = policy.tokenizer()
        place = str(processes.device)
        if in_shards():
            policy, place = mapped(policy, checkpoints / "float32", processes), "cpu"
        model = quantised(policy, place) if quantise else policy.model(place, "float32")
        prepared = prepare(job.params, source, model, tokenizer, job.seed, device, checkpoints, reference)
        prepared.trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
        check_weights(prepared.trainer.model)
        weights = gathered(prepared.trainer) if in_shards() else None
        if not first:
            return
        card = model_card(job.params, made_from, len(prepared.rows), prepared.trainer.state.global_step)
        forget_deepspeed()
        if lora:
            model = merged(prepared.trainer.model, weights, lora, policy)
        elif weights is not None:
            model = filled(policy.model(), weights)
        _write_policy(model, tokenizer, card, made_from, out)
        found = {
            **_trained(prepared, job.params),
            "made_from": made_from,
            "policy": read_policy(out).hash,
            "device": device,
            "processes": processes.num_processes,
            "resumed_at": int(resumed.name.removeprefix("checkpoint-")) if resumed else None,
            "seconds": round(time.monotonic() - started, 1),
            "environment": environment(),
        }
        write_json(report, found)
        shutil.rmtree(checkpoints)


def hand_on(policy: Path, out: Path, report: Path) -> None:
    """Make `out` the same policy as `policy`, for rounds that train nothing, and write the JSON `report`."""
    same = read_policy(policy)
    with replace_dir(out) as folder:
        shutil.copytree(policy, folder, dirs_exist_ok=True)
    write_json(report, {"method": "none", "policy": same.hash})


def _write_policy(model: Any, tokenizer: Any, card: str, made_from: dict[str, str | int], out: Path) -> None:
    model.config.use_cache = True  # gradient checkpointing turns it off, and the policy is there to be sampled from
    with replace_dir(out) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / CARD).write_text(card, encoding="utf-8")
        write_manifest(folder, {"kind": "train", **made_from})


def _trained(prepared: Prepared, params: TrainParams) -> dict[str, Any]:
    """What the trainer saw and logged."""
    from stages.train.history import history

    state = prepared.trainer.state
    entries = history(state.log_history)
    return {
        **_counts(prepared.rows, params),
        "method": params.method,
        "dropped": prepared.drops.report(),
        "optimiser_steps": state.global_step,
        "final": entries[-1] if entries else {},
        "history": entries,
        "tokens_per_second": _median(state.log_history, "tokens_per_second"),
    }


def _median(log: list[dict[str, Any]], name: str) -> float | None:
    values = [entry[name] for entry in log if name in entry]
    return round(statistics.median(values), 1) if values else None


def _counts(rows: Any, params: TrainParams) -> dict[str, Any]:
    """What was trained on per epoch: rows, tokens, and labels at both levels."""
    labels = Counter(label for row in rows["step_labels"] for label in row)
    outcomes = Counter(zip(rows["label"], rows["outcome_known"], strict=True))
    tokens = sum(map(len, rows["prompt_ids"])) + sum(map(len, rows["completion_ids"]))
    return {
        "rows": len(rows),
        "tokens": tokens,
        "tokens_seen": tokens * params.epochs,
        "labels": {
            "outcome": {
                "right": outcomes[True, True],
                "wrong": outcomes[False, True],
                "masked": sum(count for (_, known), count in outcomes.items() if not known),
            },
            "step": {"right": labels[1], "wrong": labels[0], "unknown": labels[-1]},
        },
    }
