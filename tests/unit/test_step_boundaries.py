"""The marked boundaries are of the texts they name, in valid places; the readers agree as docs/steps.md says."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

REAL = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data"))
OWN = Path("tests/data")  # the samples of the small model are part of the repository
ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in Path("tests/data/step_boundaries.jsonl").read_text(encoding="utf-8").splitlines()
]
FILES = sorted({row["file"] for row in ROWS})
STYLES = {"headings", "numbered", "paragraphs", "lines", "sentences", "mixed"}


@cache
def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def read_text(row: dict[str, Any]) -> str:
    """The text that a row's boundaries are offsets of; skips the test where the real data are missing."""
    path = Path(row["file"])
    if not path.is_relative_to(OWN):
        path = REAL / path
        if not path.is_file():
            pytest.skip(f"{path} is missing; set STEPKTO_REAL_DATA to the folder of real data")
    line = read_lines(path)[row["row"]]
    match row["file"].split("/")[0]:
        case "recorded":
            return line["solutions"][row["sample"]]
        case "numina":
            return line["solution"]
        case "gsm8k":
            return line["answer"]
        case "processbench":
            return "\n\n".join(line["steps"])
        case _:
            return line["completion"]


def find_faults(row: dict[str, Any], text: str) -> list[str]:
    """What is wrong with a row, as a list of words."""
    boundaries = row["boundaries"]
    faults = []
    if hashlib.sha256(text.encode()).hexdigest() != row["sha256"] or len(text) != row["length"]:
        faults.append("another text")
    if any(left >= right for left, right in pairwise(boundaries)):
        faults.append("not sorted")
    start = len(text) - len(text.lstrip())
    if any(not start < offset < len(text) for offset in boundaries):
        return [*faults, "outside the text, or where its first step begins"]
    for offset in boundaries:
        if text[offset].isspace():
            faults.append(f"{offset}: at a blank character")
        if text[offset - 1].isalnum() and text[offset].isalnum():
            faults.append(f"{offset}: inside a word")
        line = text[text.rfind("\n", 0, offset) + 1 : offset]
        if line.strip() and row["style"] != "sentences":
            faults.append(f"{offset}: not where a line begins")
    return faults


@pytest.mark.parametrize("file", FILES)
def test_boundaries_lie_where_a_line_or_a_sentence_of_their_text_begins(file: str) -> None:
    faults = {(row["id"], row["marked_by"]): find_faults(row, read_text(row)) for row in ROWS if row["file"] == file}
    assert {key: found for key, found in faults.items() if found} == {}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"sha256": "0" * 64}, "another text"),
        ({"boundaries": [9, 4]}, "not sorted"),
        ({"boundaries": [0]}, "outside the text, or where its first step begins"),
        ({"boundaries": [13]}, "outside the text, or where its first step begins"),
        ({"boundaries": [3]}, "3: at a blank character"),
        ({"boundaries": [5]}, "5: inside a word"),
        ({"boundaries": [7]}, "7: not where a line begins"),
    ],
)
def test_a_fault_in_a_row_is_found(change: dict[str, Any], fault: str) -> None:
    text = "One\nTwo. Six."
    row = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "length": 13, "style": "lines", "boundaries": [4]}
    assert find_faults(row, text) == []
    assert fault in find_faults(row | change, text)


def test_the_rows_are_two_hundred_texts_sorted_and_complete() -> None:
    keys = [(row["id"], row["marked_by"]) for row in ROWS]
    assert keys == sorted(set(keys))
    assert len({row["sha256"] for row in ROWS}) >= 200
    assert {row["style"] for row in ROWS} == STYLES
    for row in ROWS:
        assert row["part"] == ("test" if int(row["sha256"][-1], 16) % 2 else "dev"), row["id"]


def test_the_agreement_of_the_readers_is_the_one_in_the_documentation() -> None:
    readers = Counter(row["id"] for row in ROWS)
    marked: dict[str, set[tuple[str, int]]] = {"a": set(), "b": set()}
    for row in ROWS:
        if readers[row["id"]] == 2:
            marked[row["marked_by"]] |= {(row["id"], offset) for offset in row["boundaries"]}
    f1 = 2 * len(marked["a"] & marked["b"]) / (len(marked["a"]) + len(marked["b"]))
    documented = re.search(r"(\d+) of the texts.*?F1 of (0\.\d{3})", Path("docs/steps.md").read_text(), re.DOTALL)
    assert documented, "docs/steps.md: expected the readers' agreement, found none"
    assert documented.groups() == (str(list(readers.values()).count(2)), f"{f1:.3f}")
