"""Trains a tiny model with the given options and writes what it logged: started once per process by a launcher."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from stages.train import StepKTOConfig, StepKTOTrainer
from tests.support.tiny_policy import tiny_llama, tiny_tokenizer
from tests.unit.test_train_trl import arguments, data

LOGGED = (
    *("loss", "loss/outcome", "loss/step", "loss/nll", "kl", "kl/step", "rewards/margins", "accuracy"),
    *("steps/accuracy", "log_ratios/chosen", "steps/log_ratios/incorrect/token", "kl/unclamped", "kl/token"),
    "log_ratios/mismatched/token",
    *("grad_norm", "logps/eos", "entropy", "padding", "num_tokens"),
)


def train_tiny(folder: Path, rows: int, **options: Any) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    """The log of every optimiser step, and the weights after the last."""
    torch.set_num_threads(1)
    tokenizer = tiny_tokenizer()
    config = StepKTOConfig(
        **arguments(folder, learning_rate=3e-3, num_train_epochs=2, logging_steps=1, save_strategy="no", **options)
    )
    trainer = StepKTOTrainer(tiny_llama(len(tokenizer)), config, data(count=rows), tokenizer)
    trainer.train()
    log = [{name: entry[name] for name in LOGGED if name in entry} for entry in trainer.state.log_history]
    return log[:-1], {name: value.detach().clone() for name, value in trainer.model.named_parameters()}


if __name__ == "__main__":
    out, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    log, weights = train_tiny(out, **options)
    if int(os.environ.get("RANK", "0")) == 0:
        (out / "log.json").write_text(json.dumps(log))
        torch.save(weights, out / "weights.pt")
