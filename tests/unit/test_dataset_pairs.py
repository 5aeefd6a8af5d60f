"""Pairs of completions and of next steps: against their definition, whatever the labels, and the same bytes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.common.provenance import hash_folder
from stages.dataset import RoundPairs

SPAN = pl.Struct({"start": pl.Int32, "end": pl.Int32, "label": pl.Boolean})
LABELS = st.sampled_from([True, False, None])
COMPLETIONS = st.lists(
    st.tuples(
        st.integers(0, 3),
        LABELS,
        st.lists(st.tuples(st.sampled_from(["a ", "b ", " "]), LABELS), min_size=1, max_size=4),
    ),
    max_size=24,
)  # fmt: skip


def make_rows(completions: list[tuple[int, bool | None, list[tuple[str, bool | None]]]]) -> pl.DataFrame:
    """Rows of problems with steps of two characters or one."""
    rows = []
    for at, (problem, label, steps) in enumerate(completions):
        ends = [sum(len(text) for text, _ in steps[: number + 1]) for number in range(len(steps))]
        spans = [
            {"start": end - len(text), "end": end, "label": known}
            for end, (text, known) in zip(ends, steps, strict=True)
        ]
        rows.append((f"s{at:02}", f"p{problem}", "".join(text for text, _ in steps), label, spans))
    schema = dict.fromkeys(["sample_id", "problem_id", "completion"], pl.String) | {
        "label": pl.Boolean,
        "steps": pl.List(SPAN),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


@given(COMPLETIONS, st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_pairs_are_of_one_problem_and_counted(completions: list[Any], most: int) -> None:
    rows = make_rows(completions)
    known = {row["sample_id"]: row for row in rows.to_dicts()}
    round_pairs = RoundPairs()
    round_pairs.add(rows, most)
    report = round_pairs.report()
    sizes = Counter(row["problem_id"] for row in known.values())
    for name, frame in round_pairs.frames.items():
        by_problem = Counter(frame["problem_id"])
        assert all(count <= min(max(sizes[problem] // 2, 1), most) for problem, count in by_problem.items())
        assert len(set(frame.iter_rows())) == frame.height, "no pair comes twice"
        without = report[name.removesuffix(".parquet")]["problems_without"]
        assert len(by_problem) + sum(without.values()) == len(sizes)
    outcomes = {problem: {row["label"] for row in known.values() if row["problem_id"] == problem} for problem in sizes}
    pairs = round_pairs.frames["pairs.parquet"]
    assert set(pairs["problem_id"]) == {problem for problem, labels in outcomes.items() if {True, False} <= labels}
    for problem, chosen, rejected in pairs.iter_rows():
        assert known[chosen]["problem_id"] == known[rejected]["problem_id"] == problem
        assert (known[chosen]["label"], known[rejected]["label"]) == (True, False)
    expected = find_step_pairs(list(known.values()))
    found = {row[1:] for row in round_pairs.frames["step_pairs.parquet"].iter_rows()}
    assert found <= expected
    problems = {known[chosen]["problem_id"] for chosen, *_ in expected}
    assert problems == {known[chosen]["problem_id"] for chosen, *_ in found}, "a problem with a pair gives one"


def find_step_pairs(rows: list[dict[str, Any]]) -> set[tuple[str, str, int, int]]:
    """All pairs of next steps, by the definition, one by one."""

    def steps_of(row: dict[str, Any]) -> list[tuple[int, str, str, bool]]:
        """Number, beginning, text and label of the steps after correct ones alone."""
        found = []
        for number, step in enumerate(row["steps"]):
            text = row["completion"][step["start"] : step["end"]].strip()
            if step["label"] is not None and text:
                found.append((number, row["completion"][: step["start"]], text, step["label"]))
            if step["label"] is not True:
                break
        return found

    return {
        (one["sample_id"], other["sample_id"], number, other_number)
        for one in rows
        for other in rows
        if one["problem_id"] == other["problem_id"]
        for number, beginning, text, label in steps_of(one)
        for other_number, other_beginning, other_text, other_label in steps_of(other)
        if label and not other_label and beginning == other_beginning and text != other_text
    }


def test_pairs_are_written_in_one_order(tmp_path: Path) -> None:
    rows = make_rows([(at % 5, at % 3 > 0, [("a ", True), ("ab"[at % 2] + " ", at % 2 == 0)]) for at in range(40)])
    hashes = set()
    for number, parts in enumerate(([rows], [rows.filter(problem_id=f"p{problem}") for problem in (3, 1, 4, 0, 2)])):
        pairs = RoundPairs()
        for part in parts:
            pairs.add(part, 10)
        folder = tmp_path / str(number)
        folder.mkdir()
        pairs.write(folder)
        hashes.add(json.dumps(hash_folder(folder), sort_keys=True))
    assert len(hashes) == 1, "shards in any order give the same bytes"
    written = pl.read_parquet(tmp_path / "0/pairs.parquet")
    assert written["problem_id"].to_list() != sorted(written["problem_id"]), "pairs of one problem are apart"
    empty = RoundPairs()
    empty.write(tmp_path)
    assert pl.read_parquet(tmp_path / "step_pairs.parquet").is_empty()
