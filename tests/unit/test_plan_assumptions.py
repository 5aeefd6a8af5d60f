"""The plan before any data is there: rows as counted or as the Hub says, everything else stated and overridable."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stages.common.errors import UsageError, UserError
from stages.common.params.block import validate
from stages.common.params.problems import ProblemsParams
from stages.common.params.recipe import read_recipe
from tools.plan.assumptions import Assumptions, assume_splits, read_assumptions
from tools.plan.llm_cost import CostEstimate, render_estimates

SPLITS = {"validation": 0.1, "test": 0.2}


def make_params(**changes: Any) -> ProblemsParams:
    return validate(ProblemsParams, {"splits": SPLITS, **changes}, "problems")


def answer(monkeypatch: pytest.MonkeyPatch, reply: Any) -> None:
    """What the Hub says of a data set: an exception, or its splits."""

    def load(*_: Any, **__: Any) -> Any:
        if isinstance(reply, Exception):
            raise reply
        return SimpleNamespace(info=SimpleNamespace(splits=reply))

    monkeypatch.setattr("datasets.load_dataset_builder", load)


def test_the_hub_s_count_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, {"train": SimpleNamespace(num_examples=1000)})
    splits, text = assume_splits(make_params(hub={"repo": "org/data"}), 1, Assumptions())
    assert splits == {"validation": (40, 224.0, 372.0), "test": (80, 224.0, 372.0), "train": (280, 224.0, 372.0)}
    assert text == "1,000 rows (as the Hub counts them; 40% of them kept): 40 validation, 80 test, 280 train"
    splits, _ = assume_splits(make_params(hub={"repo": "org/data"}, limit=10), 1, read_assumptions(["kept=1"]))
    assert sum(size for size, *_ in splits.values()) == 10


def test_offline_a_known_count_is_assumed_and_another_has_to_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, ConnectionError("no network"))
    _, text = assume_splits(make_params(), 1, Assumptions())
    assert text.startswith("859,494 rows (assumed, since the Hub does not say;")
    with pytest.raises(UsageError, match=r"org/data: the Hub does not say.*--assume rows=N"):
        assume_splits(make_params(hub={"repo": "org/data"}), 1, Assumptions())
    splits, _ = assume_splits(make_params(hub={"repo": "org/data"}), 1, read_assumptions(["rows=100", "kept=0.5"]))
    assert sum(size for size, *_ in splits.values()) == 50


def test_files_are_counted_and_their_first_rows_measured(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps({"q": "x" * 10, "a": "y" * 20}) + "\n" for _ in range(50)), encoding="utf-8")
    files = {"paths": [str(path)], "columns": {"problem": "q", "solution": "a"}}
    splits, text = assume_splits(make_params(reader="files", files=files), 1, Assumptions(kept=1.0))
    assert splits["train"] == (35, 10.0, 20.0)
    assert text.startswith("50 rows (counted; 100%")
    with pytest.raises(UserError, match=r"none\.jsonl: no such file"):
        assume_splits(make_params(reader="files", files={"paths": ["none.jsonl"]}), 1, Assumptions())


def test_toy_problems_are_as_many_as_the_recipe_says() -> None:
    params = read_recipe(Path("recipes/smoke.yaml")).problems
    splits, _ = assume_splits(params, 1, Assumptions())
    assert {split: size for split, (size, *_) in splits.items()} == {"train": 60, "validation": 20, "test": 40}


@pytest.mark.parametrize("assignment", ["kept", "kept=2.0", "kept=many", "speed=3", "rows=0"])
def test_what_cannot_be_assumed_is_refused(assignment: str) -> None:
    with pytest.raises(UsageError, match=rf"--assume.*{assignment.partition('=')[0]}"):
        read_assumptions([assignment])


def test_hours_and_their_price_follow_from_the_speed() -> None:
    estimates = [CostEstimate("sample@M1", "the policy", 10, 100, 7_200_000, True, None)]
    shown = render_estimates(estimates, read_assumptions(["tokens_per_s=1000", "price_per_hour=3"]))
    assert "2.0 hours  6.00 of machine time" in shown
    assert "Total: 6.00 of machine time, 2.0 hours.\n" in shown
