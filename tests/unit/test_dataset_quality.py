"""What a round's labels are told by: contradictions, repetitions, and steps that are right by saying nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.params.split import SplitParams
from stages.common.tables import SAMPLE, SELECTION
from stages.dataset.label_quality import LabelQuality, describe_steps, name_length_class
from stages.dataset.round_tables import RoundShard
from stages.split import split_samples

RECORDED = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data"), "recorded/math_100x8.jsonl")
Step = tuple[str, bool | None]


def labelled(*solutions: tuple[str, bool | None, Sequence[Step]], sources: dict[str, str] | None = None) -> RoundShard:
    """Solutions as problem, outcome, and steps with their labels; every step has one vote of full agreement."""
    samples, steps = [], []
    for at, (problem, outcome, parts) in enumerate(solutions):
        end = 0
        for step, (text, label) in enumerate(parts):
            steps.append((f"s{at}", step, end, end + len(text), label, 1, 0.0 if label is None else 1.0))
            end += len(text)
        samples.append((f"s{at}", problem, "".join(text for text, _ in parts), outcome))
    problems = [(name, (sources or {}).get(name, "math"), "?") for name in sorted({it[0] for it in solutions})]
    text = pl.String
    kept = pl.DataFrame(
        [(it[1], it[0]) for it in samples], schema={"problem_id": text, "sample_id": text}, orient="row"
    )
    return RoundShard(
        pl.DataFrame(problems, schema={"problem_id": text, "source": text, "problem": text}, orient="row"),
        pl.DataFrame(
            samples,
            schema={"sample_id": text, "problem_id": text, "completion": text, "label": pl.Boolean},
            orient="row",
        ),
        kept.with_columns(rank=pl.lit(0, pl.Int32), drop_reason=pl.lit(None, text)),
        pl.DataFrame(
            steps,
            schema={"sample_id": text, "step": pl.Int32, "start": pl.Int32, "end": pl.Int32, "label": pl.Boolean,
                    "num_votes": pl.Int32, "agreement": pl.Float64},
            orient="row",
        ),
        "all",
    )  # fmt: skip


def quality(*shards: RoundShard) -> dict[str, Any]:
    it = LabelQuality()
    for shard in shards:
        it.add(shard)
    return it.report()


def share(count: int, of: int) -> dict[str, int]:
    return {"count": count, "total": of}


FINE: list[Step] = [("We add 2 and 2 to get 4.\n", True), ("So 4 = 4.", True)]
SLIP: list[Step] = [("We add 2 and 2 to get 5.\n", False), ("So 4 = 4.", True)]


def test_contradictions_are_told_by_source_and_length() -> None:
    it = quality(
        labelled(
            ("a", True, FINE),
            ("a", True, SLIP),
            ("b", False, FINE),
            ("b", False, SLIP),
            ("b", True, [("No one knows what this is about.", None)]),  # says nothing about steps
            ("b", False, [*FINE, ("\nAnd so on, and so on, for long.", None)]),  # not all of its steps are right
            ("b", None, FINE),
            ("b", True, [("long " * 60, False)]),
            sources={"a": "aops", "b": "olympiads"},
        )
    )
    assert it["correct_with_incorrect_step"] == share(2, 3)
    assert it["incorrect_with_all_steps_correct"] == share(1, 3)
    assert it["by_source"] == {
        "aops": {
            "completions": 2,
            "correct_with_incorrect_step": share(1, 2),
            "incorrect_with_all_steps_correct": share(0, 0),
        },
        "olympiads": {
            "completions": 6,
            "correct_with_incorrect_step": share(1, 1),
            "incorrect_with_all_steps_correct": share(1, 3),
        },
    }
    assert list(it["by_length"]) == ["0 to 249", "250 to 499"]
    assert it["by_length"]["250 to 499"]["correct_with_incorrect_step"] == share(1, 1)
    assert it["unknown_outcomes"] == share(1, 8)
    assert it["unknown_steps"] == share(2, 15)
    assert (it["completions"], it["steps"], it["steps_per_completion"]) == (8, 15, {"1": 2, "2": 5, "3": 1})


def test_votes_and_their_agreement() -> None:
    shard = labelled(("a", True, [("x is one.\n", True), ("y is two.\n", False), ("z is three.", None)]))
    steps = shard.steps.with_columns(
        num_votes=pl.Series([5, 5, 5], dtype=pl.Int32), agreement=pl.Series([1.0, 0.6, 0.4])
    )
    it = quality(replace(shard, steps=steps))
    assert it["votes"] == {"5": 3}
    assert it["agreement"] == 0.8
    assert it["unanimous_steps"] == share(1, 2)


def test_nothing_labelled_has_no_agreement() -> None:
    it = quality(labelled(("a", None, [("x", None)])))
    assert it["agreement"] is None
    assert it["idle_correct_steps"] == share(0, 0)


def test_the_same_text_for_the_same_problem_is_repeated() -> None:
    it = quality(labelled(("a", True, FINE), ("a", True, FINE), ("a", True, SLIP), ("b", True, FINE)))
    assert it["repeated_completions"] == share(1, 4)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("This simplifies to:", True),
        ("## Step 3: Calculate the product:", True),
        ("Step 12. Hence\n", True),
        ("\\[ 21 \\]", True),
        ("", True),
        ("...", True),
        ("12 = 7 + 5", False),  # few words, and yet it states something
        ("x \\leq 4", False),
        ("\\boxed{7}", False),
        ("Step 2: 84 - 9 = 75", False),
        ("The sum of both is even", False),
        ("Die Summe beider Zahlen", False),
    ],
)
def test_what_is_short(text: str, short: bool) -> None:
    assert describe_steps(labelled(("a", True, [(text, True)])))["short"].to_list() == [short]


def test_what_is_repeated() -> None:
    parts: list[Step] = [
        ("Step 1: We know that 3 < 4.\n", True),
        ("Step 2: we know  that 3 < 4.\n", True),  # but for numbering, case and white space
        ("Step 3: We know that 3 < 5.\n", True),
        ("Therefore:\n", False),
        ("Therefore:\n", True),
    ]
    it = describe_steps(labelled(("a", True, parts), ("b", True, parts[:1])))
    assert it["repeated"].to_list() == [False, True, False, False, True, False]
    told = quality(labelled(("a", True, parts), ("b", True, parts[:1])))
    assert told["repeated_steps"] == share(2, 6)
    assert told["short_steps"] == share(2, 6)
    assert told["idle_correct_steps"] == share(2, 5)  # of the right labels; that of step 3 is none


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.sampled_from([True, False, None]),
            st.lists(st.tuples(st.text(min_size=1, max_size=6), st.sampled_from([True, False, None])), min_size=1,
                     max_size=4),
        ),
        min_size=1, max_size=8,
    )
)  # fmt: skip
def test_shards_add_up(solutions: list[tuple[str, bool | None, list[Step]]]) -> None:
    ordered = sorted(solutions, key=lambda it: it[0])
    together = quality(labelled(*ordered))
    apart = quality(*(labelled(*(it for it in ordered if it[0] == name)) for name in sorted({it[0] for it in ordered})))
    assert together == apart
    for value in together.values():
        if isinstance(value, dict) and set(value) == {"count", "total"}:
            assert 0 <= value["count"] <= value["total"]


@pytest.mark.parametrize(("lower", "name"), [(0, "0 to 249"), (2000, "2000 to 3999"), (4000, "4000 and more")])
def test_classes_of_length(lower: int, name: str) -> None:
    assert name_length_class(lower) == name


def test_real_solutions_are_rarely_idle() -> None:
    if not RECORDED.exists():
        pytest.skip(f"{RECORDED}: real data not here")
    rows = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]
    samples = pl.DataFrame(
        [
            (f"{at}-{k}", f"{at}", "p", "s", k, None, text, "stop", None, None, None, None)
            for at, row in enumerate(rows)
            for k, text in enumerate(row["solutions"])
        ],
        schema=SAMPLE.schema,
        orient="row",
    )
    steps = split_samples(samples, SplitParams(shape="auto", max_steps=64)).select(
        "sample_id", "step", "start", "end", label=pl.lit(True), num_votes=pl.lit(1), agreement=pl.lit(1.0)
    )
    problems = pl.DataFrame({"problem_id": [str(at) for at in range(len(rows))], "source": "math", "problem": "?"})
    known = samples.select("sample_id", "problem_id", "completion", label=pl.lit(True))
    it = quality(
        RoundShard(problems, known, pl.DataFrame(schema=SELECTION.schema), steps.sort("sample_id", "step"), "all")
    )
    assert it["completions"] == 800
    assert it["repeated_completions"] == share(76, 800)
    for what in ("short_steps", "repeated_steps", "idle_correct_steps"):
        assert 0 < it[what]["count"] / it[what]["total"] < 0.02
