"""Responses of a second verifier are shown with their sample, and verdicts follow from them or are named as broken."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stages.common import journal
from stages.common.engines import Completion, Exchange, GenerationRequest
from stages.common.params.engine import EngineParams
from stages.common.params.judge import JudgeParams
from stages.common.params.outcome import ModelVerifierParams, OutcomeParams
from stages.common.params.sample import SampleParams
from stages.common.policies import MANIFEST
from stages.common.tables import OUTCOME, PROBLEM, SAMPLE, VERIFIER_RESPONSE, write_table
from stages.outcome import verify_samples
from stages.outcome.model_verifier import ModelVerifier
from tests.support.table_rows import make_problem, make_sample, make_table_set, write_rows
from tools.audit.check_results import CheckResults
from tools.audit.key_ranges import KeyRange
from tools.audit.lineage import show
from tools.audit.lineage.sample_lineage import read_lineage
from tools.audit.table_sets import TableSet
from tools.audit.verify.row_checks import check_rows, read_rows

EVERYTHING = KeyRange("all", "", None)
MODEL = ModelVerifierParams(engine=EngineParams(kind="openai"), model="org/verifier", asks_by_shape=True)
PAIRS = {"a": ("5 apples", "5 oranges"), "b": ("(2,3)", "2"), "c": ("7", "8"), "d": ("7", "7")}
"""Gold answer and answer by problem: unknown, incorrect by shape, incorrect, correct."""


class FakeEngine:
    """Calls every pair the same answer."""

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        for request in requests:
            yield request, Completion('{"verdict": "correct"}', "stop", 10, 1, None, "org/verifier")

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TableSet:
    """A round with a second verifier in `tmp_path`."""
    monkeypatch.setattr("stages.common.engines.runner.ROOT", tmp_path / journal.ROOT)
    judge = JudgeParams(kind="arithmetic")
    cells: dict[str, Any] = {"sample": SampleParams(), "outcome": OutcomeParams(second_verifier=MODEL), "judge": judge}
    found = make_table_set(**cells, splitter=None, steps=None, labels=None)
    problems = [make_problem(name, answer=gold) for name, (gold, _) in PAIRS.items()]
    samples = [
        make_sample({"problem_id": name, "sample_id": f"s{name}"}, rf"So \boxed{{{answer}}}.")
        for name, (_, answer) in PAIRS.items()
    ]
    problem_rows, sample_rows = pl.DataFrame(problems, PROBLEM.schema), pl.DataFrame(samples, SAMPLE.schema)
    outcomes = verify_samples(problem_rows, sample_rows, found.outcome, num_workers=1)
    with ModelVerifier.open(MODEL, "test", FakeEngine()) as model:
        answered, responses = model.ask(outcomes, problem_rows)
    write_rows(tmp_path, found, problems=problems, samples=samples, outcomes=answered.to_dicts(),
               responses=responses.to_dicts())  # fmt: skip
    (tmp_path / found.policy).mkdir(parents=True)
    (tmp_path / found.policy / MANIFEST).write_text(json.dumps({"made_from": {"kind": "test"}}), encoding="utf-8")
    return found


def change(root: Path, tables: TableSet, sample_id: str, cells: dict[str, Any]) -> None:
    """Replace cells of a sample's first response."""
    path = root / tables.outcomes / "responses/all.parquet"
    rows = pl.read_parquet(path).to_dicts()
    next(row for row in rows if row["sample_id"] == sample_id).update(cells)
    responses = pl.DataFrame(rows, VERIFIER_RESPONSE.schema).sort(VERIFIER_RESPONSE.key)
    write_table(path.parent, VERIFIER_RESPONSE, responses, 0)


def verify(root: Path, tables: TableSet) -> list[str]:
    results = CheckResults(frozenset({"verdicts", "tables"}))
    rows = read_rows(results, root, tables, EVERYTHING)
    check_rows(results, root, tables, EVERYTHING, rows, None)
    return [error for check in results.by_check.values() for error in check.errors]


def test_verdicts_follow_from_the_responses(tmp_path: Path, tables: TableSet) -> None:
    outcomes = pl.read_parquet(tmp_path / tables.outcomes / "all.parquet")
    assert dict(outcomes.select("sample_id", "is_correct").iter_rows()) == {
        "sa": True, "sb": True, "sc": False, "sd": True,
    }  # fmt: skip
    assert verify(tmp_path, tables) == []


@pytest.mark.parametrize(
    ("sample_id", "cells", "error"),
    [
        ("sa", {"text": '{"verdict": "incorrect"}'}, "is_correct"),
        ("sb", {"text": '{"verdict": "incorrect"}'}, "is_correct"),
        ("sa", {"text": "yes"}, "is_correct"),
        ("sb", {"finish_reason": "length"}, "is_correct"),
        ("sa", {"request_hash": "e" * 32}, "request_hash"),
        ("sa", {"sample_id": "sc", "problem_id": "c"}, "what the rules leave unknown"),
    ],
)
def test_a_changed_response_is_found(
    tmp_path: Path, tables: TableSet, sample_id: str, cells: dict[str, Any], error: str
) -> None:
    change(tmp_path, tables, sample_id, cells)
    errors = verify(tmp_path, tables)
    assert errors
    assert any(error in one for one in errors), errors


def test_a_verdict_that_a_model_may_not_give_is_found(tmp_path: Path, tables: TableSet) -> None:
    """Responses on a contradiction change nothing, so a verdict that follows them is none of the verifier's."""
    path = tmp_path / tables.outcomes / "all.parquet"
    is_seven = pl.col("sample_id") == "sc"
    outcomes = pl.read_parquet(path).with_columns(is_correct=pl.when(is_seven).then(True).otherwise("is_correct"))
    write_table(path.parent, OUTCOME, outcomes, 0)
    assert any("sc" in one for one in verify(tmp_path, tables))


def test_responses_are_shown_with_their_sample(tmp_path: Path, tables: TableSet) -> None:
    lines = {}
    for name in PAIRS:
        lineage = read_lineage(tmp_path, tables, f"s{name}")
        assert lineage is not None
        lines[name] = "\n".join(show._render("sample", show._build_context(tmp_path, lineage, 160)))
    for name in "ab":
        assert "reply     second verifier: org/verifier" in lines[name]
        assert "reply     second verifier, answers exchanged: org/verifier" in lines[name]
        assert lines[name].count('{"verdict": "correct"}') == 2
        assert "; a model says correct" in lines[name]
    assert "second verifier" not in lines["c"] + lines["d"]
