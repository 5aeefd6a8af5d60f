"""The trainer against TRL's own on the same rows and model, and against the loss computed from raw logits."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from trl import KTOConfig, KTOTrainer

from stages.train import StepKTOConfig, StepKTOTrainer
from tests.support.tiny_policy import documents, lines_of, tiny_llama, tiny_mixtral, tiny_tokenizer

BATCH = 4
ROWS = 10
"""Not a multiple of the batch: the last block is a partial one."""

WEIGHTS = {"desirable_weight": 1.2, "undesirable_weight": 0.7}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def data(chat: bool = False, steps: str = "lines", count: int = ROWS) -> Dataset:
    """`steps`: the lines with their labels, one step with the outcome's label, or none."""
    rows = []
    for prompt, completion, label, labels in documents(count, seed=3):
        spans = zip(lines_of(completion), labels, strict=True)
        lines = [{"start": start, "end": end, "label": known} for (start, end), known in spans]
        whole = [{"start": 0, "end": len(completion), "label": label}]
        one: dict[str, Any] = {"prompt": prompt, "completion": completion, "label": label}
        if chat:
            one["prompt"] = [{"role": "user", "content": prompt}]
            one["completion"] = [{"role": "assistant", "content": completion}]
        if steps != "none":
            one["steps"] = lines if steps == "lines" else whole
        rows.append(one)
    return Dataset.from_list(rows)


def arguments(folder: Path, **others: Any) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": BATCH,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": "none",
        "beta": 0.5,
        "precompute_ref_log_probs": True,
        "disable_tqdm": True,
        **others,
    }


def perturb(model: Any) -> Any:
    """Move `model` away from what its trainer took as the reference, the same way for equal models."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model


def make(
    kind: str, rows: Dataset, folder: Path, eval_rows: Dataset | None = None, experts: bool = False, **others: Any
) -> Any:
    tokenizer = tiny_tokenizer()
    # TRL trains what a chat template writes behind the end token, which was never sampled; ours does not.
    tokenizer.chat_template = tokenizer.chat_template.replace("<eos>\n{% endfor %}", "<eos>{% endfor %}")
    trainer, config = (KTOTrainer, KTOConfig) if kind == "trl" else (StepKTOTrainer, StepKTOConfig)
    return trainer(
        model=tiny_mixtral(len(tokenizer)) if experts else tiny_llama(len(tokenizer)),
        args=config(**arguments(folder, **others)),
        train_dataset=rows,
        eval_dataset=eval_rows,
        processing_class=tokenizer,
    )


def losses(trainer: Any) -> list[tuple[float, dict[str, torch.Tensor]]]:
    """Loss and gradients of every batch."""
    trainer.model.train()
    found = []
    for batch in trainer.get_train_dataloader():
        trainer.model.zero_grad()
        loss = trainer.compute_loss(trainer.model, batch)
        loss.backward()
        gradients = {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}
        found.append((loss.item(), gradients))
    return found


def agree(one: Any, other: Any, factor: float = 1.0) -> None:
    perturb(one.model), perturb(other.model)
    found, wanted = losses(one), losses(other)
    assert len(found) == len(wanted) == math.ceil(ROWS / BATCH)
    for (loss, gradients), (wanted_loss, wanted_gradients) in zip(found, wanted, strict=True):
        assert loss == pytest.approx(factor * wanted_loss, rel=5e-6)
        assert gradients.keys() == wanted_gradients.keys()
        for name, gradient in gradients.items():
            assert torch.allclose(gradient, factor * wanted_gradients[name], atol=2e-6, rtol=1e-4), name


@pytest.mark.parametrize("chat", [False, True])
def test_without_the_step_term_it_is_trls_kto(tmp_path: Path, chat: bool) -> None:
    ours = make("step", data(chat), tmp_path, w_step=0.0, **WEIGHTS)
    theirs = make("trl", data(chat, steps="none"), tmp_path, **WEIGHTS)
    for column in ("prompt_ids", "completion_ids", "KL_completion_ids", "label"):
        assert list(ours.train_dataset[column]) == list(theirs.train_dataset[column]), column
    for name, trl in (("ref_step_logps", "ref_logps"), ("ref_KL_step_logps", "ref_KL_logps")):
        sums = [math.fsum(row) for row in ours.train_dataset[name]]
        assert sums == pytest.approx(list(theirs.train_dataset[trl]), rel=1e-6)
    agree(ours, theirs)
    for name in ("kl", "rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen", "logps/rejected"):
        assert ours._metrics["train"][name] == pytest.approx(theirs._metrics["train"][name], rel=1e-5, abs=1e-5), name
    assert ours._metrics["train"]["entropy"] == pytest.approx(theirs._metrics["train"]["entropy"], rel=1e-5)
    assert ours._metrics["train"]["num_tokens"] == theirs._metrics["train"]["num_tokens"]


def test_evaluation_and_training_give_a_batch_one_loss(tmp_path: Path) -> None:
    both: dict[str, Any] = {}
    for kind in ("step", "trl"):
        rows = data(steps="none")
        trainer = make(kind, rows, tmp_path, per_device_eval_batch_size=BATCH, eval_rows=rows)
        perturb(trainer.model)
        both[kind] = trainer.evaluate(), [loss for loss, _ in losses(trainer)]
    metrics, found = both["step"]
    sizes = [min(BATCH, ROWS - start) for start in range(0, ROWS, BATCH)]
    assert metrics["eval_loss"] == pytest.approx(
        math.fsum(map(math.prod, zip(found, sizes, strict=True))) / ROWS, rel=1e-6
    )
    for name in ("eval_loss", "eval_kl", "eval_rewards/margins", "eval_logps/chosen"):
        assert metrics[name] == pytest.approx(both["trl"][0][name], rel=1e-4), name
    assert set(metrics) >= {"eval_loss/step", "eval_kl/step", "eval_padding"}


def test_a_mixture_of_experts_is_trls_with_its_routers_loss(tmp_path: Path) -> None:
    ours, theirs = (make(kind, data(steps="none"), tmp_path, experts=True) for kind in ("step", "trl"))
    assert ours.aux_loss_enabled
    agree(ours, theirs)
    with pytest.raises(ValueError, match="micro_batch_size: must be None for a mixture of experts"):
        make("step", data(), tmp_path, experts=True, micro_batch_size=2)


def test_rows_without_steps_are_trls_kto(tmp_path: Path) -> None:
    agree(make("step", data(steps="none"), tmp_path), make("trl", data(steps="none"), tmp_path))


def test_one_step_per_completion_is_kto_twice(tmp_path: Path) -> None:
    step = {f"step_{name}": value for name, value in WEIGHTS.items()}
    ours = make("step", data(steps="whole"), tmp_path, w_step=1.0, **WEIGHTS, **step)
    agree(ours, make("trl", data(steps="none"), tmp_path, **WEIGHTS), factor=2.0)
    assert ours._metrics["train"]["kl/step"] == pytest.approx(ours._metrics["train"]["kl"], rel=1e-6)


def test_at_the_reference_every_term_is_half_its_weight(tmp_path: Path) -> None:
    trainer = make("step", data(), tmp_path, w_step=1.0)
    for loss, _ in losses(trainer):
        assert loss == 1.0  # two terms of 1/2, to the last bit: both passes see the same batches


def test_the_joint_loss_from_raw_logits(tmp_path: Path) -> None:
    """Step-KTO of a real model, from log-softmax on whole texts and arithmetic on Python floats."""
    weights = {**WEIGHTS, "step_desirable_weight": 0.9, "step_undesirable_weight": 2.0}
    trainer = make("step", data(), tmp_path, w_step=0.7, **weights)
    policy, reference = perturb(trainer.model), tiny_llama(len(tiny_tokenizer()))

    def ratios(prompt: list[int], completion: list[int], steps: list[int]) -> list[float]:
        ids = torch.tensor([prompt + completion])
        sums = [0.0] * (steps[-1] + 1)
        for model, sign in ((policy, 1), (reference, -1)):
            with torch.no_grad():
                logps = model(input_ids=ids).logits.double().log_softmax(-1)[0]
            for at, (token, step) in enumerate(zip(completion, steps, strict=True)):
                sums[step] += sign * logps[len(prompt) + at - 1, token].item()
        return sums

    def level(entries: list[tuple[float, bool]], z: float, desirable: float, undesirable: float) -> float:
        def loss(ratio: float, label: bool) -> float:
            margin = ratio - z if label else z - ratio
            return (desirable if label else undesirable) * (1 - 1 / (1 + math.exp(-0.5 * margin)))

        return math.fsum(loss(*entry) for entry in entries) / len(entries)

    expected = []
    for start in range(0, ROWS, BATCH):
        rows = trainer.train_dataset.select(range(start, min(start + BATCH, ROWS))).to_list()
        own = [ratios(r["prompt_ids"], r["completion_ids"], r["step_of_token"]) for r in rows]
        mismatched = [ratios(r["prompt_ids"], r["KL_completion_ids"], r["KL_step_of_token"]) for r in rows]
        z0 = max(0.0, math.fsum(map(math.fsum, mismatched)) / len(rows))
        z_step = max(0.0, math.fsum(map(math.fsum, mismatched)) / sum(map(len, mismatched)))
        outcomes = [(math.fsum(sums), r["label"]) for sums, r in zip(own, rows, strict=True)]
        steps = [
            (ratio, label == 1)
            for sums, r in zip(own, rows, strict=True)
            for ratio, label in zip(sums, r["step_labels"], strict=True)
            if label != -1
        ]
        expected.append(level(outcomes, z0, 1.2, 0.7) + 0.7 * level(steps, z_step, 0.9, 2.0))
    assert any(-1 in row for row in trainer.train_dataset["step_labels"]), "no unknown step was tried"
    assert [loss for loss, _ in losses(trainer)] == pytest.approx(expected, rel=1e-5)


def test_a_cut_correct_row_has_no_outcome_loss(tmp_path: Path) -> None:
    cut = next(
        row
        for row in data().to_list()
        if row["label"] is False and row["steps"][0]["label"] is False and len(row["steps"]) > 1
    )
    cut["label"] = True
    trainer = make("step", Dataset.from_list([cut, cut]), tmp_path, w_step=0.0, after_first_error="truncate")
    assert list(trainer.train_dataset["outcome_known"]) == [False, False]
    perturb(trainer.model)
    [(loss, gradients)] = losses(trainer)
    assert loss == 0
    assert not any(gradient.any() for gradient in gradients.values())


def test_long_rows_are_dropped_before_completions_are_paired(tmp_path: Path) -> None:
    longest = max(
        make("step", data(), tmp_path).train_dataset, key=lambda r: len(r["prompt_ids"] + r["completion_ids"])
    )
    limit = len(longest["prompt_ids"] + longest["completion_ids"]) - 1
    trainer = make("step", data(), tmp_path, max_length=limit)
    kept = trainer.train_dataset
    assert trainer.drops.report()["longer than max_length"]["rows"] == ROWS - len(kept) >= 1
    assert all(len(row["prompt_ids"] + row["completion_ids"]) <= limit for row in kept)
    assert set(map(tuple, kept["KL_completion_ids"])) == set(map(tuple, kept["completion_ids"]))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"w_step": -1.0}, "w_step: expected a number >= 0"),
        ({"step_desirable_weight": -1.0}, "step_desirable_weight: expected a number >= 0"),
        ({"after_first_error": "drop"}, "after_first_error: expected one of"),
        ({"loss_type": "apo_zero_unpaired"}, "loss_type: the step term"),
        ({"precompute_ref_log_probs": False}, "precompute_ref_log_probs: must be true"),
    ],
)
def test_options_that_cannot_be_used_are_refused(tmp_path: Path, option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StepKTOConfig(**arguments(tmp_path, **option))


def test_the_trainer_imports_nothing_of_its_stage() -> None:
    for path in Path("stages/train/trainer").glob("*.py"):
        for name in re.findall(r"^\s*from (stages[\w.]*) import", path.read_text(encoding="utf-8"), flags=re.M):
            assert name.startswith(("stages.common.", "stages.train.trainer.")), f"{path}: {name}"
