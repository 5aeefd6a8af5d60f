"""Rows that a user or a data set gives the trainer: one of another form ends in a line that names row and column."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from stages.train.dataset_folder import read_dataset_folder, read_rows
from stages.train.trainer.preference_rows import read_preference_rows
from tests.support.tiny_policy import write_dataset

GOOD: dict[str, Any] = {
    "prompt": "1 + 1?\n",
    "completion": "ab\ncd",
    "label": True,
    "steps": [{"start": 0, "end": 3, "label": True}, {"start": 3, "end": 5, "label": None}],
}


def steps(*spans: tuple[Any, Any, Any]) -> dict[str, Any]:
    return {"steps": [{"start": start, "end": end, "label": label} for start, end, label in spans]}


def test_a_row_is_read_as_it_is() -> None:
    [row] = read_preference_rows([GOOD])
    assert (row.prompt, row.completion, row.outcome) == ("1 + 1?\n", "ab\ncd", True)
    assert (row.spans, row.step_labels) == ([(0, 3), (3, 5)], [True, None])


@pytest.mark.parametrize("without", [{}, {"steps": None}])
def test_without_steps_a_completion_is_one_of_unknown_label(without: dict[str, Any]) -> None:
    [row] = read_preference_rows([{**{name: GOOD[name] for name in ("prompt", "completion", "label")}, **without}])
    assert (row.spans, row.step_labels) == ([(0, 5)], [None])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 1}, "row 1: label: expected True, False or None, found 1"),
        ({"completion_ids": [3, "x"]}, "row 1: completion_ids: expected a list of token ids, found"),
        ({"prompt": None}, "row 1: prompt: expected text or chat messages, found None"),
        ({"prompt": []}, "row 1: prompt: expected text or chat messages, found []"),
        ({"prompt": [{"role": "user"}]}, "row 1: prompt: expected text or chat messages"),
        ({"completion": None}, "row 1: completion: expected text or one assistant message, found None"),
        ({"completion": [{"role": "user", "content": "ab"}]}, "row 1: completion: expected text or one assistant"),
        (steps((1, 5, True)), "row 1: steps[0]: expected start 0 and an end from there to 5, found 1 to 5"),
        (steps((0, 3, True), (4, 5, True)), "row 1: steps[1]: expected start 3 and an end from there to 5"),
        (steps((0, 3, True), (2, 5, True)), "row 1: steps[1]: expected start 3 and an end from there to 5"),
        (
            steps((0, 3, True), (3, 2, True)),
            "row 1: steps[1]: expected start 3 and an end from there to 5, found 3 to 2",
        ),
        (steps((0, 10**6, True)), "row 1: steps[0]: expected start 0 and an end from there to 5, found 0 to 1000000"),
        (steps((0, 2.5, True)), "row 1: steps[0]: expected start 0 and an end from there to 5, found 0 to 2.5"),
        ({"steps": []}, "row 1: steps: expected the last to end at 5, found 0"),
        (steps((0, 3, True)), "row 1: steps: expected the last to end at 5, found 3"),
        (steps((0, 5, 1)), "row 1: steps[0]: label: expected True, False or None, found 1"),
        ({"steps": [{"start": 0, "end": 5}]}, "row 1: steps[0]: expected start, end and label"),
        ({"steps": {"start": [0], "end": [5]}}, "row 1: steps: expected a list of start, end and label, found {"),
        ({"steps": ["all of it"]}, "row 1: steps[0]: expected start, end and label, found 'all of it'"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    rows = read_preference_rows([GOOD, {**GOOD, **change}])
    next(rows)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        next(rows)


def test_other_formats_are_named_by_their_columns() -> None:
    with pytest.raises(ValueError, match=r"^row 0: expected columns .*, found prompt, chosen, rejected"):
        list(read_preference_rows([{"prompt": "a", "chosen": "b", "rejected": "c"}]))


def test_a_data_set_row_is_named_by_its_file(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "rows", 8)
    source = read_dataset_folder(folder)
    assert len(list(read_rows(source, with_steps=True))) == 8
    path = folder / "step_kto.parquet"
    rows = pl.read_parquet(path).to_dicts()
    rows[3]["steps"][0]["end"] += 1
    pl.DataFrame(rows, schema=pl.read_parquet_schema(path)).write_parquet(path)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: row 3: steps\[1\]: expected start \d+ and an end"):
        list(read_rows(source, with_steps=True))
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: its sha256 is not the one in"):
        read_dataset_folder(folder)


VALUES = st.none() | st.booleans() | st.integers(-2, 9) | st.text(max_size=3)
STEPS = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("start", "end", "label"), VALUES)) | VALUES, max_size=4
)


@given(completion=st.text(max_size=6), steps=STEPS | VALUES, label=VALUES)
def test_whatever_is_accepted_covers_the_completion(completion: str, steps: Any, label: Any) -> None:
    rows = read_preference_rows([{"prompt": "", "completion": completion, "label": label, "steps": steps}])
    try:
        row = next(rows)
    except ValueError as error:
        event(re.sub(r"found.*", "", str(error)))
        return
    assert "".join(completion[start:end] for start, end in row.spans) == completion
    assert len(row.spans) == len(row.step_labels)
    assert set(map(type, [*row.step_labels, row.outcome])) <= {bool, type(None)}
