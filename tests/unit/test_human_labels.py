"""Human labels of steps: what is written is read, the last one counts, and a bad line is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.human_labels import (
    HumanLabel,
    append_human_labels,
    check_human_label,
    keep_last,
    read_human_labels,
)
from tests.support.human_labels import CELLS, human_label

CASES = [
    json.loads(line) for line in (Path(__file__).parents[1] / "data/human_label_lines.jsonl").open(encoding="utf-8")
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
SMALL = st.builds(
    human_label,
    annotator=st.sampled_from("ab"),
    sample_id=st.sampled_from("xy"),
    step=st.integers(0, 3),
    kind=st.sampled_from(["own", "gold"]),
    mode=st.sampled_from(["per_step", "first_error"]),
    label=st.sampled_from(["correct", "incorrect", "neutral", "cannot_tell", "bad_split"]),
    seconds=st.floats(0, 1e6),
)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_lines(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(
        json.dumps(CELLS) + "\n" + json.dumps(CELLS | {"sample_id": "other"} | case["cells"]) + "\n", "utf-8"
    )
    if case["error"] is None:
        assert read_human_labels(path)[1] == human_label(**{"sample_id": "other"} | case["cells"])
        return
    with pytest.raises(UserError) as raised:
        read_human_labels(path)
    assert str(raised.value).startswith(f"{path}:2: {case['error']}")


@pytest.mark.parametrize("key", sorted(CELLS.keys() - {"kind"}))
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(UserError, match=f"^here: {key}: missing key"):
        check_human_label({name: cell for name, cell in CELLS.items() if name != key}, "here")


@pytest.mark.parametrize("line", [b"", b"{", b"\xff", b"[" * 100_000, b"null", b"[]", b'"text"', b"NaN"])
def test_what_is_no_object_is_refused(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(json.dumps(CELLS).encode() + b"\n" + line + b"\n")
    with pytest.raises(UserError, match=r"labels\.jsonl:2: "):
        read_human_labels(path)


@given(st.sampled_from(sorted(CELLS)), JSON)
def test_any_value_is_taken_or_refused_in_one_line(key: str, value: Any) -> None:
    error, label = None, None
    try:
        label = check_human_label(CELLS | {key: value}, "here")
    except UserError as raised:
        error = str(raised)
    assert (error is None) == (label is not None)
    if error is not None:
        assert error.startswith("here: ")
        assert len(error) < 1000
    else:
        assert getattr(label, key) == value
        assert type(value) in (str, int, float, bool)


@given(st.lists(SMALL))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, labels: list[HumanLabel]) -> None:
    path = tmp_path_factory.mktemp("labels") / "some" / "labels.jsonl"
    append_human_labels(path, labels[:1])
    append_human_labels(path, labels[1:])
    assert read_human_labels(path) == keep_last(labels)
    assert len(path.read_bytes().splitlines()) == len(labels)


@given(st.lists(SMALL))
def test_the_last_label_counts(labels: list[HumanLabel]) -> None:
    kept = keep_last(labels)
    keys = [(it.annotator, it.sample_id, it.kind, it.step) for it in kept]
    assert len(set(keys)) == len(keys)
    assert keep_last(kept) == kept
    for number, label in enumerate(labels):
        item = (label.annotator, label.sample_id, label.kind)
        later = [it for it in labels[number + 1 :] if (it.annotator, it.sample_id, it.kind) == item]
        is_replaced = any(it.step == label.step for it in later)
        is_taken_back = label.mode == "first_error" and any(
            it.mode == "first_error" and it.is_correct is not True and it.step < label.step for it in later
        )
        assert any(it is label for it in kept) == (not is_replaced and not is_taken_back)


def test_a_first_error_takes_back_what_was_said_of_later_steps() -> None:
    def mark(step: int, label: str) -> HumanLabel:
        return human_label(step=step, label=label, mode="first_error")

    first = [mark(0, "correct"), mark(1, "correct"), mark(2, "incorrect")]
    assert keep_last([*first, mark(0, "incorrect")]) == [mark(0, "incorrect")]
    no_error = [mark(step, "correct") for step in range(4)]
    assert keep_last([*first, *no_error]) == no_error
    by_step = human_label(step=3, label="correct", mode="per_step")
    assert by_step in keep_last([by_step, *first])


def test_neutral_counts_as_correct_and_doubt_as_unknown() -> None:
    labels = {"correct": True, "neutral": True, "incorrect": False, "cannot_tell": None, "bad_split": None}
    assert {label: human_label(label=label).is_correct for label in labels} == labels


def test_a_missing_file_says_who_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"labels\.jsonl: no such file; `audit serve` creates it"):
        read_human_labels(tmp_path / "labels.jsonl")
