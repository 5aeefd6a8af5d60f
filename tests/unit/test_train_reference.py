"""The reference's log-probs: computed once for given rows and weights, found again with other params."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from stages.train import StepKTOConfig, StepKTOTrainer
from tests.support.journals import describe_left_aside, rewrite_journal
from tests.support.tiny_policy import tiny_llama, tiny_tokenizer
from tests.unit.test_train_trl import BATCH, ROWS, arguments, data, perturb

COLUMNS = ("ref_step_logps", "ref_KL_step_logps")


class Counting(StepKTOTrainer):
    """Notes how many rows go through the reference, and may die after some groups."""

    scored = 0
    dies_after: int | None = None

    def _compute_reference_logps(self, dataset: Dataset, name: str, batch_size: int) -> Iterator[Any]:
        for number, group in enumerate(super()._compute_reference_logps(dataset, name, batch_size)):
            if number == self.dies_after:
                raise KeyboardInterrupt
            Counting.scored += len(group[""])
            yield group


def make_counting(folder: Path, rows: Dataset | None = None, model: Any = None, **options: Any) -> tuple[int, Any]:
    """How many rows were scored to make a trainer that keeps them in `folder`, and the trainer."""
    torch.set_num_threads(1)
    tokenizer = tiny_tokenizer()
    Counting.scored = 0
    config = StepKTOConfig(**arguments(folder, reference_journal=str(folder / "reference.jsonl"), **options))
    trainer = Counting(model or tiny_llama(len(tokenizer)), config, rows or data(), tokenizer)
    return Counting.scored, trainer


def columns(trainer: Any) -> list[list[list[float]]]:
    return [list(trainer.train_dataset[name]) for name in COLUMNS]


@pytest.mark.parametrize(
    "options",
    [{}, {"beta": 5.0}, {"learning_rate": 1e-2}, {"w_step": 0.0}, {"step_desirable_weight": 3.0}, {"seed": 7}],
    ids=str,
)
def test_other_training_options_find_it(tmp_path: Path, options: dict[str, Any]) -> None:
    scored, first = make_counting(tmp_path)
    assert scored == ROWS
    scored, again = make_counting(tmp_path, **options)
    assert scored == 0
    assert columns(again) == columns(first)


def test_it_is_what_is_computed_without_a_journal(tmp_path: Path) -> None:
    make_counting(tmp_path)
    _, kept = make_counting(tmp_path)
    assert columns(kept) == columns(make_plain(tmp_path))


def make_plain(folder: Path) -> Any:
    tokenizer = tiny_tokenizer()
    return StepKTOTrainer(tiny_llama(len(tokenizer)), StepKTOConfig(**arguments(folder)), data(), tokenizer)


def test_other_weights_rows_or_rules_compute_anew(tmp_path: Path) -> None:
    make_counting(tmp_path)
    assert make_counting(tmp_path, model=perturb(tiny_llama(len(tiny_tokenizer()))))[0] == ROWS
    assert make_counting(tmp_path, rows=data(count=BATCH + 1))[0] == 1, "the first batch is there"
    assert make_counting(tmp_path, after_first_error="truncate")[0] > 0
    assert make_counting(tmp_path, kl_block_size=2)[0] == ROWS - ROWS % BATCH, (
        "the last two rows are mismatched as before"
    )


def test_a_killed_pass_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counting, "dies_after", 1)
    with pytest.raises(KeyboardInterrupt):
        make_counting(tmp_path)
    monkeypatch.setattr(Counting, "dies_after", None)
    scored, trainer = make_counting(tmp_path)
    assert scored == ROWS - BATCH
    assert columns(trainer) == columns(make_plain(tmp_path))


def test_no_reference_model_is_kept(tmp_path: Path) -> None:
    assert make_counting(tmp_path)[1].ref_model is None


def test_weights_that_are_not_finite_are_reported(tmp_path: Path) -> None:
    model = tiny_llama(len(tiny_tokenizer()))
    with torch.no_grad():
        next(model.parameters()).fill_(float("inf"))
    with pytest.raises(ValueError, match="reference log-probs of train rows: not finite"):
        make_counting(tmp_path, model=model)


@pytest.mark.parametrize(
    "change",
    [
        lambda group: {"": group[""]},
        lambda group: {**group, "KL_": [row[1:] for row in group["KL_"]]},
        lambda group: {prefix: rows[:-1] for prefix, rows in group.items()},
        lambda group: {prefix: [sum(row) for row in rows] for prefix, rows in group.items()},
        lambda group: group[""],
    ],
    ids=["own alone", "a step less", "a row less", "sums over steps", "a list"],
)
def test_log_probs_of_another_form_are_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Any
) -> None:
    _, first = make_counting(tmp_path)
    count = rewrite_journal(tmp_path / "reference.jsonl", change)
    scored, again = make_counting(tmp_path)
    assert scored == ROWS
    assert columns(again) == columns(first)
    assert describe_left_aside(count) in caplog.text
    assert make_counting(tmp_path)[0] == 0
