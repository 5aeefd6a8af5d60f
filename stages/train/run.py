"""One training run, from a data set and a starting policy to a policy folder; a killed run resumes."""

import shutil
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from stages.common import journal
from stages.common.device import prepare_torch
from stages.common.params.runtime import RuntimeParams
from stages.common.policies import CARD, read_policy, write_manifest
from stages.common.runs import record_facts
from stages.common.sampled_logps import read_sampled_logps
from stages.common.tables import content_hash, replace_dir, write_json
from stages.common.training.checkpoints import find_last_complete, lock_checkpoints
from stages.common.training.metrics_callback import MetricsCallback
from stages.train.build_trainer import build_trainer
from stages.train.policy_card import format_policy_card
from stages.train.trainer.divergence import check_weights
from stages.train.trainer.lora import load_model_in_4bit, merge_adapters
from stages.train.trainer.sharding import (
    assign_weights,
    convert_to_float32,
    gather_weights,
    is_sharded,
    join_processes,
)
from stages.train.training_inputs import TrainingInputs
from stages.train.training_report import summarize_training

CHECKPOINT_ROOT = Path("work/train")
"""Folder of checkpoints, below the repository's root: ignored by Git and DVC."""


def train(
    inputs: TrainingInputs,
    runtime: RuntimeParams,
    out: Path,
    report: Path,
    checkpoint_root: Path = CHECKPOINT_ROOT,
    journal_root: Path = journal.ROOT,
) -> None:
    """Train and write the policy folder `out` and the JSON `report`.

    Checkpoints are kept in `checkpoint_root` under a hash of the inputs, so that a killed run resumes from its last
    complete one (on CPU to the weights of an uninterrupted run), and deleted once `out` and `report` are written. The
    reference's log-probs stay in `journal_root`, for runs with other params over the same rows.
    Raises `UserError` for unusable input, and when training diverges.
    """
    params = inputs.params
    dataset, policy, made_from = inputs.dataset_folder, inputs.starting_policy, inputs.made_from
    device = prepare_torch(runtime)
    checkpoints = checkpoint_root / content_hash("checkpoints", made_from)
    processes = join_processes(device)
    is_first = processes.is_main_process
    with lock_checkpoints(checkpoints) if is_first else nullcontext():
        with processes.main_process_first():  # which deletes incomplete checkpoints
            resumed = find_last_complete(checkpoints)
        # Weights are kept and updated in float32; train.dtype is that of the forward and backward pass.
        tokenizer = policy.load_tokenizer()
        load_device = str(processes.device)
        if is_sharded():
            policy, load_device = convert_to_float32(policy, checkpoints / "float32", processes), "cpu"
        if params.lora and params.lora.load_in_4bit:
            model = load_model_in_4bit(policy, load_device)
        else:
            model = policy.load_model(load_device, "float32")
        reference_journal = journal_root / "reference" / f"{policy.hash}.jsonl"
        sampled_logps = read_sampled_logps(inputs.starting_policy.hash, journal_root)
        setup = build_trainer(
            params, dataset, model, tokenizer, inputs.seed, device, checkpoints, reference_journal, sampled_logps
        )
        with closing(MetricsCallback(f"train {out.name}")) as callback:
            setup.trainer.add_callback(callback)
            setup.trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
        check_weights(setup.trainer.model)
        weights = gather_weights(setup.trainer) if is_sharded() else None
        if not is_first:
            return
        card = format_policy_card(params, made_from, len(setup.rows), setup.trainer.state.global_step)
        unset_hf_deepspeed_config()  # with it transformers would shard each model that it loads
        if params.lora:
            model = merge_adapters(setup.trainer.model, weights, params.lora, policy)
        elif weights is not None:
            model = assign_weights(policy.load_model(), weights)
        _write_policy(model, tokenizer, card, made_from, out)
        result = {
            **summarize_training(setup, params),
            "made_from": made_from,
            "policy": read_policy(out).hash,
        }
        record_facts(
            device=device,
            num_processes=processes.num_processes,
            resumed_from_step=int(resumed.name.removeprefix("checkpoint-")) if resumed else None,
        )
        write_json(report, result)
        shutil.rmtree(checkpoints)


def _write_policy(model: Any, tokenizer: Any, card: str, made_from: dict[str, str | int], out: Path) -> None:
    model.config.use_cache = True  # gradient checkpointing turns it off, and the policy will be sampled from
    with replace_dir(out) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / CARD).write_text(card, encoding="utf-8")
        write_manifest(folder, {"kind": "train", **made_from})
