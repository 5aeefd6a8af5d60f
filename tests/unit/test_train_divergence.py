"""Divergence: what stops a run, and what is left of it."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from stages.common.errors import UserError
from stages.train.trainer.divergence import DivergenceCallback, check_weights
from stages.train.trainer.divergence_signs import DivergenceLimits
from tests.unit.test_train_trl import data, make

MAX_STEPS = 100
GOOD = {"loss": 0.5, "grad_norm": 1.0, "log_ratios/mismatched/token": -0.1, "logps/eos": -0.5, "nll": 0.5}


def follow(folder: Path, history: list[dict[str, float]], limits: DivergenceLimits, max_steps: int = MAX_STEPS) -> None:
    """Log `history`, an entry a step, as a trainer does."""
    args, callback = SimpleNamespace(output_dir=str(folder)), DivergenceCallback(limits)
    for number, logs in enumerate(history, start=1):
        entries = [{"step": at, **entry} for at, entry in enumerate(history[:number], start=1)]
        state = SimpleNamespace(global_step=entries[-1]["step"], max_steps=max_steps, log_history=entries)
        callback.on_log(args, state, None, logs=logs)


def log_metrics(folder: Path, limits: DivergenceLimits, num_changed: int = 10, **changed: float) -> None:
    """Log 20 steps, the last `num_changed` with `changed` metrics and the others with good ones."""
    follow(folder, [GOOD] * (20 - num_changed) + [{**GOOD, **changed}] * num_changed, limits)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"loss": math.nan}, "step 11: loss is nan"),
        ({"grad_norm": math.inf}, "step 11: grad_norm is inf"),
        ({"kl/unclamped": -math.inf}, "step 11: kl/unclamped is -inf"),
        ({"log_ratios/rejected": -math.inf}, "step 11: log_ratios/rejected is -inf"),
        ({"steps/rewards/correct": math.nan}, "step 11: steps/rewards/correct is nan"),
        (
            {"log_ratios/mismatched/token": 2.5},
            r"step 19: the mean log-ratio of mismatched completions is 2\.24 nats per token, beyond max_kl 2\.0",
        ),
        (
            {"log_ratios/mismatched/token": -4000.0},
            r"step 11: the mean log-ratio of mismatched completions is -400\.09 nats per token, beyond max_kl 2\.0",
        ),
        ({"log_ratios/chosen/token": -2.5}, r"step 11: the mean log-ratio of correct completions is -2\.50"),
        ({"steps/log_ratios/correct/token": -2.5}, r"step 11: the mean log-ratio of correct steps is -2\.50"),
        ({"grad_norm": 0.0}, r"step 20: the gradient is zero in 10 steps, while the mean loss is 0\.50"),
        ({"nll": 3.0}, r"step 19: correct text has lost 2\.25 nats per token, beyond max_kl 2\.0"),
        (
            {"logps/eos": -6.0},
            r"step 20: the end token's log-probability has fallen by 5\.50 nats, above .* 5\.0",
        ),
    ],
    ids=str,
)
def test_signs_of_divergence_stop_training(tmp_path: Path, changed: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=rf"^{message}.*lower train\.learning_rate or raise train\.beta"):
        log_metrics(tmp_path, DivergenceLimits(nll_metric="nll"), **changed)


def test_no_limit_and_good_metrics_stop_nothing(tmp_path: Path) -> None:
    limits = DivergenceLimits()
    log_metrics(tmp_path, limits)
    log_metrics(tmp_path, limits, **{"log_ratios/mismatched/token": -1.9, "logps/eos": -5.4, "nll": 9.0})
    log_metrics(tmp_path, limits, **{"log_ratios/rejected/token": -9.0, "log_ratios/chosen/token": 9.0})
    log_metrics(tmp_path, limits, **{"grad_norm": 0.0, "loss": 0.0})  # there is nothing left to learn
    log_metrics(tmp_path, limits, 9, **{"grad_norm": 0.0, "entropy": math.nan})
    none = DivergenceLimits(None, None, None, "nll")
    log_metrics(tmp_path, none, **{"log_ratios/mismatched/token": 9.0, "logps/eos": -50.0, "nll": 9.0})
    log_metrics(tmp_path, limits, 1, **{"log_ratios/mismatched/token": 9.0, "logps/eos": -9.0})  # one step is noise


def test_the_last_update_is_measured_once(tmp_path: Path) -> None:
    calls: list[dict[str, float]] = []

    def follow_to(after: dict[str, float], step: int) -> None:
        callback = DivergenceCallback(DivergenceLimits(nll_metric="nll"), lambda: calls.append(after) or after)
        history = [{**GOOD, "step": number} for number in range(1, step + 1)]
        for _ in range(2):  # the last step's log, and the summary of the run
            state = SimpleNamespace(global_step=step, max_steps=20, log_history=history)
            callback.on_log(SimpleNamespace(output_dir=str(tmp_path)), state, None, logs=GOOD)

    follow_to({"log_ratios/mismatched/token": -4.0}, 19)
    assert not calls
    follow_to({"log_ratios/mismatched/token": -1.9, "logps/eos": -9.0, "nll": 2.4}, 20)
    follow_to({}, 20)
    assert len(calls) == 2
    for after, message in (
        ({"log_ratios/mismatched/token": 2.1}, "the mean log-ratio of mismatched completions is 2"),
        ({"nll": 2.6}, "correct text has lost 2"),
        ({"nll": math.nan}, "nll is nan"),
    ):
        with pytest.raises(UserError, match=f"^step 20: after the last update, {message}"):
            follow_to(after, 20)


SHORT_RUNS = json.loads(Path("tests/data/divergence.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("run", SHORT_RUNS["runs"], ids=lambda run: run["run"])
def test_runs_shorter_than_a_window(tmp_path: Path, run: dict[str, Any]) -> None:
    """All methods on the smoke recipe's rows: as they are, and at learning rates that break the policy."""
    limits, max_steps = DivergenceLimits(nll_metric=run["nll_metric"]), len(run["history"])
    if run["stops"] is None:
        follow(tmp_path, run["history"], limits, max_steps)
    else:
        with pytest.raises(UserError, match=run["stops"]):
            follow(tmp_path, run["history"], limits, max_steps)


@pytest.mark.parametrize("max_steps", [3, 4, 7, 19])
def test_a_short_run_that_ends_displaced_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, max_steps: int
) -> None:
    """Its accuracies are noise: with labels by chance a healthy run of four steps looks like this."""
    worse = [{**CHANCE, "log_ratios/chosen/token": -0.05 * step} for step in range(max_steps)]
    with caplog.at_level(logging.WARNING, "stages.train.trainer.divergence"):
        follow(tmp_path, worse, DivergenceLimits(), max_steps)
    assert sum("correct completions have lost" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("max_steps", [3, 4, 7, 19])
def test_a_short_run_that_ends_without_end_tokens_stops(tmp_path: Path, max_steps: int) -> None:
    ends = [{"logps/eos": -20.0 * (step > max_steps / 2)} for step in range(1, max_steps + 1)]
    with pytest.raises(UserError, match=r"the end token's log-probability has fallen by"):
        follow(tmp_path, ends, DivergenceLimits(), max_steps)


@pytest.mark.parametrize(
    ("logged", "missing"),
    [
        (("accuracy/chosen",), ["no incorrect completions"]),
        (("accuracy/rejected", "steps/accuracy/incorrect"), ["no correct completions", "no correct steps"]),
        (("accuracy/chosen", "accuracy/rejected"), []),
        ((), []),
    ],
)
def test_one_label_alone_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, logged: tuple[str, ...], missing: list[str]
) -> None:
    with caplog.at_level(logging.WARNING, "stages.train.trainer.divergence"):
        for max_steps in (4, 20):
            follow(tmp_path, [{**GOOD, **dict.fromkeys(logged, 1.0)}] * max_steps, DivergenceLimits(), max_steps)
    assert [record.getMessage() for record in caplog.records] == [
        f"step {step}: {each} so far: nothing tells correct from incorrect text; check its labels"
        for step in (4, 10)
        for each in missing
    ]


def test_one_label_alone_is_displaced_too(tmp_path: Path) -> None:
    history = [{"accuracy/chosen": 0.0, "log_ratios/chosen/token": -0.01 * step} for step in range(60)]
    with pytest.raises(UserError, match="correct completions have lost"):
        follow(tmp_path, history, DivergenceLimits())
    pairs = [{"rewards/accuracies": 0.5, "log_ratios/chosen/token": -0.01 * step} for step in range(60)]
    with pytest.raises(UserError, match="correct completions have lost"):
        follow(tmp_path, pairs, DivergenceLimits())
    follow(tmp_path, [{**entry, "rewards/accuracies": 0.6} for entry in pairs], DivergenceLimits())


DISPLACEMENT = json.loads(Path("tests/data/displacement.json").read_text(encoding="utf-8"))
CHANCE = {
    **{"accuracy/chosen": 0.0, "accuracy/rejected": 1.0},
    **{"steps/accuracy/correct": 0.0, "steps/accuracy/incorrect": 1.0},
}


@pytest.mark.parametrize("run", DISPLACEMENT["runs"], ids=lambda run: run["run"])
def test_runs_on_toy_arithmetic(tmp_path: Path, run: dict[str, Any]) -> None:
    """Healthy ones and one that recovers go on, those that end below M0 or little above it stop early."""
    args = SimpleNamespace(output_dir=str(tmp_path))
    callback, history, stopped = DivergenceCallback(DivergenceLimits()), [], None
    for entry in run["history"]:
        history.append({**CHANCE, **entry})
        state = SimpleNamespace(global_step=entry["step"], max_steps=125, log_history=history)
        try:
            callback.on_log(args, state, None, logs=history[-1])
        except ValueError as error:
            stopped = str(error)
            break
    assert (stopped is not None) == run["is_stopped"]
    if stopped:
        assert stopped.startswith("step 30: correct completions have lost 0."), stopped


def displace(step: int, **changed: float) -> dict[str, float]:
    good = {"log_ratios/chosen/token": 0.0, "steps/log_ratios/correct/token": 0.0}
    return {**CHANCE, **good, **changed, "step": step}


@pytest.mark.parametrize(("key", "level"), [("", "completions"), ("steps/", "steps")])
def test_displacement_is_warned_of_and_stops_only_if_it_lasts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, key: str, level: str
) -> None:
    names = ("chosen", "rejected") if level == "completions" else ("correct", "incorrect")
    bad = {f"{key}log_ratios/{names[0]}/token": -0.04}

    def log(steps: int, limit: float | None = 0.02, num_steps: int = 100, **changed: float) -> None:
        history = [displace(step, **(bad | changed if step > 10 else {})) for step in range(1, steps + 1)]
        follow(tmp_path, history, DivergenceLimits(max_displacement=limit), num_steps)

    with caplog.at_level(logging.WARNING, "stages.train.trainer.divergence"):
        log(35)  # the mean of ten steps is below -0.02 from step 16 on
    assert [record.getMessage() for record in caplog.records] == [
        f"step 16: correct {level} have lost 0.024 nats per token against the reference, above max_displacement 0.02, "
        "and training accuracy is 50%, where 50% is chance; training makes correct text less likely; lower "
        "train.learning_rate, raise train.beta or set train.nll_weight, or raise train.max_displacement; the run stops "
        "if this lasts for 20 steps"
    ]
    with pytest.raises(ValueError, match=rf"^step 36: correct {level} have lost 0\.040 nats per token .*nll_weight"):
        log(36)
    with pytest.raises(ValueError, match=r"^step 26"):
        log(26, num_steps=26)  # which has no more steps to recover in
    log(60, None)
    log(60, 0.05)
    log(60, **{f"{key}accuracy/{names[0]}": 0.2})  # 60% of both labels: it tells them apart


def plant(folder: Path, desirable: float, undesirable: float, **options: Any) -> Any:
    """A trainer of 30 steps with these weights of correct and incorrect completions and steps."""
    weights = {"desirable_weight": desirable, "step_desirable_weight": desirable}
    weights |= {"undesirable_weight": undesirable, "step_undesirable_weight": undesirable}
    shared = {"per_device_train_batch_size": 2, "logging_steps": 1, "save_strategy": "no"}
    return make("step", data(count=60), folder, **{**shared, **weights, **options})


def test_a_planted_displacement_stops_a_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"step \d+: correct (completions|steps) have lost .* raise train\.beta"):
        plant(tmp_path / "bad", 0.1, 9.0, learning_rate=1e-2, max_kl=None).train()
    with pytest.raises(ValueError, match=r"step \d+: the mean log-ratio of mismatched completions is -2\.\d+ nats"):
        plant(tmp_path / "worse", 0.1, 9.0, learning_rate=1e-2, max_displacement=None).train()
    trainer = plant(tmp_path / "good", 1.0, 1.0, learning_rate=1e-3, nll_weight=1.0)
    trainer.train()
    assert trainer.state.log_history[-2]["log_ratios/chosen/token"] > 0


def test_the_last_good_checkpoint_is_kept_and_named(tmp_path: Path) -> None:
    trainer = make("step", data(), tmp_path, learning_rate=1e-2, max_kl=1e-3, logging_steps=1, save_steps=1)
    with pytest.raises(
        ValueError, match=r"step \d: the mean log-ratio .* the last checkpoint is .*checkpoint-\d$"
    ) as caught:
        trainer.train()
    stopped = int(str(caught.value)[len("step ")])
    assert stopped > 1, "at the reference log-ratios are 0"
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
