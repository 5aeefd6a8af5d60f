"""The experiment on transfer: which problems it takes, what it counts, and its committed table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from experiments import transfer
from experiments.transfer import (
    METRICS,
    OUT,
    PolicyCounts,
    count_false_equalities,
    format_table,
    make_table,
    write_problems,
)
from stages.common.errors import UserError
from stages.common.statistics import Counts
from stages.common.tables import LABEL, OUTCOME, SAMPLE, Table, write_table
from tests.support.table_rows import Row, make_sample

EQUATION = "He has 2+3=<<2+3=5>>5 left.\n"


def make_row(equations: int) -> str:
    return json.dumps({"question": f"How many, {equations}?", "answer": EQUATION * equations + "#### 1,005"})


def test_problems_of_few_equations_are_taken_as_benchmarks_have_them(tmp_path: Path) -> None:
    source, target = tmp_path / "test.jsonl", tmp_path / "some" / "problems.jsonl"
    source.write_text("\n".join(make_row(number) for number in (1, 3, 4)) + "\n", encoding="utf-8")
    write_problems(source, target)
    rows = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert [row["problem"] for row in rows] == ["How many, 1?", "How many, 3?"]
    assert rows[0]["answer"] == "1,005"
    assert rows[0]["solution"] == "He has 2+3=5 left."


def test_what_is_not_gsm8k_is_refused_by_its_row(tmp_path: Path) -> None:
    source = tmp_path / "test.jsonl"
    source.write_text(make_row(1) + '\n{"question": "How many?", "answer": "5"}\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"test\.jsonl.*2.*expected question, and answer with ####"):
        write_problems(source, tmp_path / "problems.jsonl")


def test_a_solution_with_any_incorrect_step_has_a_false_equality(tmp_path: Path) -> None:
    ids = {name: {"sample_id": name, "problem_id": f"p{name}"} for name in "abc"}
    verdicts = {"a": True, "b": None, "c": False}
    votes = {"reason": "r", "num_votes": 1, "agreement": 1.0, "judge": "j"}
    labels = [("a", 0, True), ("b", 0, False), ("b", 1, False), ("b", 2, True), ("c", 0, None)]
    tables: dict[str, tuple[Table, list[Row]]] = {
        "samples": (SAMPLE, [make_sample(it, "-") for it in ids.values()]),
        "outcomes": (
            OUTCOME,
            [{**it, "is_correct": verdicts[name], "reason": "r", "verifier": "v"} for name, it in ids.items()],
        ),
        "labels": (LABEL, [{**ids[name], "step": step, "label": label, **votes} for name, step, label in labels]),
    }
    for name, (table, rows) in tables.items():
        filled = [dict.fromkeys(table.schema) | row for row in rows]
        write_table(tmp_path / name, table, pl.DataFrame(filled, schema=table.schema), 0)
    counts = count_false_equalities(tmp_path, 0)
    assert counts["pass_at_1"].numerators.tolist() == [1, 0, 0]
    assert counts["false_equality"].numerators.tolist() == [0, 1, 0]
    assert all(it.denominators.tolist() == [1, 1, 1] for it in counts.values())


def test_a_policy_is_compared_with_the_first_by_problem() -> None:
    def count(numerators: list[int]) -> dict[str, Counts]:
        ones = np.ones(len(numerators), dtype=np.int64)
        return dict.fromkeys(METRICS, Counts(("p",) * len(numerators), np.array(numerators), ones))

    table = make_table([PolicyCounts("", "M0", count([0, 0, 1, 0])), PolicyCounts("kto", "M3", count([1, 1, 1, 0]))])
    assert table.filter(metric="pass_at_1")["change"].to_list() == [None, 0.5]
    lines = format_table(table).splitlines()
    assert lines[2].startswith("| M0 | 25.0 [")
    assert "points" not in lines[2]
    assert lines[3].startswith("| KTO M3 | 75.0 [")
    assert "; +50.0 points [0.0, 100.0]" in lines[3]


def test_a_part_does_not_replace_the_committed_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ones = np.ones(2, dtype=np.int64)
    counts = dict.fromkeys(METRICS, Counts(("a", "b"), ones, ones))
    policies = [PolicyCounts("", "M0", counts), PolicyCounts("kto", "M3", counts)]
    monkeypatch.setattr(transfer, "OUT", tmp_path / "table")
    monkeypatch.setattr(transfer, "write_problems", lambda *_: None)
    monkeypatch.setattr(transfer, "evaluate_methods", lambda *_: policies)
    for part in (["--methods", "kto"], ["--rounds", "2"]):
        transfer.main(["test.jsonl", *part])
        assert not list(tmp_path.iterdir())
    transfer.main(["test.jsonl"])
    assert {path.name for path in tmp_path.iterdir()} == {"table.csv", "table.md"}


def test_the_committed_tables_follow_from_the_committed_counts() -> None:
    table = pl.read_csv(OUT.with_suffix(".csv"), infer_schema_length=None).with_columns(pl.col("method").fill_null(""))
    assert OUT.with_suffix(".md").read_text(encoding="utf-8") == format_table(table)
    page = Path("docs/results/smollm2.md").read_text(encoding="utf-8")
    for line in format_table(table).splitlines():
        assert line in page
