"""What the views of the page count, find and compare."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import UserError
from tools.audit.label_page import label_routes
from tools.audit.page import page_html
from tools.audit.page.overview import MAX_BINS, MAX_SOURCES, choose_bins, summarize_samples
from tools.audit.page.problem_card import MAX_CHARS, describe_step_label, get_step_text
from tools.audit.page.round_comparison import describe_changes
from tools.audit.page.text_search import AFTER_CHARS, BEFORE_CHARS, TextQuery

SAMPLES = {
    "round": pl.String,
    "source": pl.String,
    "is_correct": pl.Boolean,
    "tags": pl.List(pl.String),
    "num_steps": pl.UInt32,
    "num_chars": pl.UInt32,
}
ONE_SAMPLE = st.fixed_dictionaries({
    "round": st.sampled_from(["M1", "M2"]),
    "source": st.integers(0, MAX_SOURCES + 3).map(lambda number: f"source {number}"),
    "is_correct": st.sampled_from([True, False, None]),
    "tags": st.lists(st.sampled_from(["correct answer, incorrect step", "unknown step", "kept"]), unique=True),
    "num_steps": st.none() | st.integers(1, 300),
    "num_chars": st.integers(0, 100_000),
})  # fmt: skip
HARD_TEXT = st.text(alphabet=".*+?()[]{}|^$\\ aAbB\n\x00", max_size=12)


@given(st.lists(ONE_SAMPLE, min_size=1, max_size=60))
def test_each_sample_is_counted_once(rows: list[dict[str, Any]]) -> None:
    overview = summarize_samples(pl.DataFrame(rows, schema=SAMPLES))
    kept = set(overview["sources"])
    assert len(kept) <= MAX_SOURCES
    expected = Counter((row["round"], row["source"] if row["source"] in kept else None) for row in rows)
    assert {(cell["round"], cell["source"]): cell["num_samples"] for cell in overview["cells"]} == expected
    for cell in overview["cells"]:
        mine = [
            row
            for row in rows
            if (row["round"], row["source"] if row["source"] in kept else None) == (cell["round"], cell["source"])
        ]
        assert cell["num_correct"] == sum(row["is_correct"] is True for row in mine)
        assert cell["num_unknown_answers"] == sum(row["is_correct"] is None for row in mine)
        assert cell["num_contradictions"] == sum("correct answer, incorrect step" in row["tags"] for row in mine)
        assert cell["num_with_unknown_step"] == sum("unknown step" in row["tags"] for row in mine)
        for column, bins in overview["histograms"].items():
            counts = cell["histograms"][column]
            assert {len(of_answer) for of_answer in counts.values()} == {bins["num_bins"]}
            known = [row for row in mine if row[column] is not None]
            assert sum(counts["correct"]) == sum(row["is_correct"] is True for row in known)
            assert sum(map(sum, counts.values())) == len(known)


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=200))
def test_bins_are_few_and_hold_nearly_all(values: list[int]) -> None:
    width, num_bins = choose_bins(pl.Series(values))
    assert re.fullmatch("[125]0*", str(width))
    assert 1 <= num_bins <= MAX_BINS
    assert sum(value >= width * num_bins for value in values) <= 0.01 * len(values) + 1


def test_bins_of_nothing() -> None:
    assert choose_bins(pl.Series([], dtype=pl.UInt32)) == (1, 1)
    assert choose_bins(pl.Series([None], dtype=pl.UInt32)) == (1, 1)


@given(HARD_TEXT.filter(bool), HARD_TEXT)
def test_a_text_is_found_as_it_is_and_never_as_a_pattern(text: str, whole: str) -> None:
    query = TextQuery(text)
    (found,) = pl.DataFrame({"text": [whole], "id": ["x"]}).select(query.match("text", "id")).row(0)
    assert found == (text in (whole.lower() if query.ignores_case else whole))
    cut = query.cut(whole)
    assert bool(cut["match"]) == found
    assert (cut["match"].lower() if query.ignores_case else cut["match"]) == (text if found else "")


@given(st.text(max_size=300), st.text(max_size=300))
def test_what_is_shown_around_a_match_is_bounded_and_from_the_text(before: str, after: str) -> None:
    whole = f"{before}Needle{after}"
    cut = TextQuery("Needle").cut(whole)
    assert cut["before"].removeprefix("…") + cut["match"] + cut["after"].removesuffix("…") in whole or "…" in whole
    assert len(cut["before"]) <= BEFORE_CHARS + 1
    assert len(cut["after"]) <= AFTER_CHARS + 1


@pytest.mark.parametrize(
    ("text", "is_found"), [("abc12", False), ("abc123", True), ("ABC123", False), ("abc123ff", False), ("bc123", False)]
)
def test_an_id_is_found_by_its_beginning(text: str, is_found: bool) -> None:
    rows = pl.DataFrame({"text": ["nothing"], "id": ["abc123" + "0" * 26]})
    assert rows.select(TextQuery(text).match("text", "id")).item() == is_found


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (TextQuery(""), "text: expected 1 to 200 characters, found 0"),
        (TextQuery("x" * 201), "text: expected 1 to 200 characters, found 201"),
        (TextQuery("x", field="reason"), "field: expected one of all, problem, completion, found 'reason'"),
        (TextQuery("x", offset=100_001), "offset: expected 0 to 100,000, found 100001"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(query: TextQuery, error: str) -> None:
    with pytest.raises(UserError, match=re.escape(error)):
        query.check()


def completion(number: int, answer: str, verdict: str, steps: list[tuple[str, str]], text: str = "") -> dict[str, Any]:
    rows = [{"step": at, "text": one, "label": label} for at, (one, label) in enumerate(steps)]
    return {"sample_id": f"s{number}", "answer": answer, "verdict": verdict, "steps": rows, "text": text}


def test_changes_are_those_from_one_round_to_the_next() -> None:
    right, wrong = [("1 + 1 = 2\n", "correct")], [("1 + 1 = 3\n", "incorrect"), ("So 2", "correct")]
    cards = [
        {"round": "M1", "completions": [
            completion(0, "2", "correct", wrong), completion(1, "3", "incorrect", wrong[:1]),
        ]},
        {"round": "M2", "completions": [
            completion(2, "2", "correct", right), completion(3, "2", "correct", wrong),
            completion(4, "", "unknown", [], "not judged"),
        ]},
    ]  # fmt: skip
    first, second = describe_changes(cards)
    assert (first["since"], first["new_steps"], first["repeated"]) == (None, {}, [])
    assert (first["num_samples"], first["num_correct"], first["num_contradictions"]) == (2, 1, 1)
    assert (first["num_steps"], first["num_incorrect_steps"], first["num_different"]) == (3, 2, 2)
    assert first["answers"] == [("2", 1), ("3", 1)]
    assert (second["since"], second["repeated"]) == ("M1", ["s3"])
    assert second["new_steps"] == {"s2": [0]}, "a step that differs by white space at its end is the same"
    assert (second["num_correct"], second["num_unknown"], second["answers"]) == (2, 1, [("2", 2)])
    assert describe_changes([]) == []


def test_a_version_of_the_labelling_page_follows_from_its_styles_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is seen of a step, and how, may change what a person says of it."""
    before = label_routes.read_page_version()
    monkeypatch.setattr(label_routes, "STYLES", tmp_path / "browse.css")
    (tmp_path / "browse.css").write_bytes(page_html.STYLES.read_bytes())
    assert label_routes.read_page_version() == before
    (tmp_path / "browse.css").write_text(".step { display: none; }", encoding="utf-8")
    assert label_routes.read_page_version() != before


def test_every_text_that_reaches_a_card_is_bounded() -> None:
    row = {"start": 0, "end": 3 * MAX_CHARS, "label": None, "judge": "j", "agreement": 0.0, "num_votes": 1}
    shown = describe_step_label(row | {"reason": "r" * 3 * MAX_CHARS})
    for text in (shown["reason"], get_step_text("x" * 3 * MAX_CHARS, row)):
        assert len(text) == MAX_CHARS
        assert text.endswith(" ... [cut here: 600,000 characters in all]")
    assert get_step_text("x" * MAX_CHARS, row) == "x" * MAX_CHARS
