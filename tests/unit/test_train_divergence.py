"""Divergence: what stops a run, and what is left of it."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from stages.train.trainer.divergence import DivergenceCallback, check_weights
from tests.unit.test_train_trl import data, make

LIMITS = {"max_kl": 2.0, "max_eos_drop": 5.0}
GOOD = {"loss": 0.5, "grad_norm": 1.0, "kl/token": 0.1, "logps/eos": -0.5}


def log_metrics(folder: Path, limits: dict[str, Any], num_changed: int = 10, **changed: float) -> None:
    """Log 20 steps, the last `num_changed` with `changed` metrics and the others with good ones."""
    args = SimpleNamespace(output_dir=str(folder), **limits)
    history: list[dict[str, float]] = []
    for step in range(1, 21):
        logs = {**GOOD, **changed} if step > 20 - num_changed else GOOD
        history.append({**logs, "step": step})
        state = SimpleNamespace(global_step=step, max_steps=100, log_history=history)
        DivergenceCallback().on_log(args, state, None, logs=logs)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"loss": math.nan}, "step 11: loss is nan"),
        ({"grad_norm": math.inf}, "step 11: grad_norm is inf"),
        ({"kl/token": 2.5}, r"step 18: the KL is 2\.02 nats per token, above max_kl 2\.0"),
        (
            {"logps/eos": -6.0},
            r"step 20: the end token's log-probability has fallen by 5\.50 nats, above .* 5\.0",
        ),
    ],
)
def test_signs_of_divergence_stop_training(tmp_path: Path, changed: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        log_metrics(tmp_path, LIMITS, **changed)


def test_no_limit_and_good_metrics_stop_nothing(tmp_path: Path) -> None:
    log_metrics(tmp_path, LIMITS)
    log_metrics(tmp_path, LIMITS, **{"kl/token": 1.9, "logps/eos": -5.4})
    log_metrics(tmp_path, {"max_kl": None, "max_eos_drop": None}, **{"kl/token": 9.0, "logps/eos": -50.0})
    log_metrics(tmp_path, {}, **{"kl/token": 9.0})
    log_metrics(tmp_path, LIMITS, 1, **{"kl/token": 9.0, "logps/eos": -9.0})  # a single step is noise


def test_the_last_good_checkpoint_is_kept_and_named(tmp_path: Path) -> None:
    trainer = make("step", data(), tmp_path, learning_rate=1e-2, max_kl=1e-9, logging_steps=1, save_steps=1)
    with pytest.raises(ValueError, match=r"step \d: the KL .* the last checkpoint is .*checkpoint-\d$") as caught:
        trainer.train()
    stopped = int(str(caught.value)[len("step ")])
    assert stopped > 1, "at the reference the KL is 0"
    kept = sorted(path.name for path in tmp_path.glob("checkpoint-*"))
    assert kept == [f"checkpoint-{step}" for step in range(1, stopped)]
    assert str(caught.value).endswith(kept[-1])


def test_the_end_of_correct_completions_is_what_is_logged(tmp_path: Path) -> None:
    trainer = make("step", data(), tmp_path)
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    trainer.compute_loss(trainer.model, dict(batch))
    rows = trainer.train_dataset.select(range(len(batch["label"]))).to_list()
    ends = []
    for row in rows:
        if row["label"]:
            ids = torch.tensor([row["prompt_ids"] + row["completion_ids"]])
            assert row["completion_ids"][-1] == trainer.processing_class.eos_token_id
            with torch.no_grad():
                logps = trainer.model(input_ids=ids).logits.log_softmax(-1)
            ends.append(logps[0, -2, ids[0, -1]].item())
    assert trainer._metrics["train"]["logps/eos"] == pytest.approx([sum(ends) / len(ends)], rel=1e-5)
    padded = (batch["attention_mask"] == 0).float().mean().item()
    assert trainer._metrics["train"]["padding"] == pytest.approx([padded])


def test_weights_that_are_not_finite_are_named() -> None:
    model = torch.nn.Linear(2, 2)
    check_weights(model)
    with torch.no_grad():
        model.bias[0] = math.nan
    with pytest.raises(ValueError, match="bias: not finite after training"):
        check_weights(model)
