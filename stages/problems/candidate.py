"""The schema check: a raw value becomes a candidate with text where text is expected, or a drop reason."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stages.common.text import format_answer

_COLUMNS = {"problem": ("problem", "question"), "solution": ("solution", "reference_solution"), "source": ("source",)}
"""Columns of NuminaMath and MATH, and what other collections call them."""

_SIMILAR_COLUMNS = {
    "problem": ("problem", "question", "query", "prompt", "instruction", "input"),
    "solution": ("solution", "rationale", "explanation", "response", "completion", "output", "answer"),
}
"""Names to which those of an unknown file are compared, the likeliest first."""

_FINAL_LINE = re.compile(r"(?:^|\n)####[ \t]*([^\n]*\S)\s*$")
"""GSM8K's last line: `#### 72`."""


@dataclass(frozen=True)
class Candidate:
    """A row whose fields are text and not empty."""

    source: str
    problem: str
    solution: str
    answer: str | None
    """Gold answer where the row gives one."""
    marks: frozenset[str] = frozenset()
    """Flags of NuminaMath-1.5 that say something against the row: their columns."""


def read_candidate(value: Any, columns: Mapping[str, str] | None = None) -> Candidate | str:
    """The candidate in `value`, or the reason why there is none. `columns` names the columns of its fields.

    Read without `columns`: NuminaMath-CoT, NuminaMath-1.5 with its flags, MATH, and GSM8K, whose answer is its solution
    with the gold answer in the last line.
    """
    if not isinstance(value, dict):
        return "not an object"
    names = find_columns(value, columns or {})
    fields: dict[str, str] = {}
    for field in _COLUMNS:
        if field not in names:
            return f"{field} missing"
        text = value[names[field]]
        if text is None:
            return f"{field} null"
        if not isinstance(text, str):
            return f"{field} not text"
        if not text.strip():
            return f"{field} empty"
        fields[field] = text
    answer = value[names["answer"]] if "answer" in names else None
    if answer is not None and (isinstance(answer, bool) or not isinstance(answer, (str, int, float))):
        return "answer not text or number"
    answer = None if answer is None else format_answer(answer) or None
    if answer is None and "\\boxed" not in fields["solution"] and (last := _FINAL_LINE.search(fields["solution"])):
        answer = last[1]
    return Candidate(**fields, answer=answer, marks=_read_marks(value))


def find_columns(value: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, str]:
    """``{field: column}`` of those fields of a candidate that the row `value` has."""
    names = {
        field: next((name for name in ([columns[field]] if field in columns else known) if name in value), None)
        for field, known in {**_COLUMNS, "answer": ("answer",)}.items()
    }
    answer = value.get("answer")
    if names["solution"] is None and "solution" not in columns and isinstance(answer, str) and "####" in answer:
        names["solution"] = "answer"
    if names["answer"] == names["solution"]:
        names["answer"] = None
    return {field: name for field, name in names.items() if name is not None}


def suggest_columns(found: Iterable[str]) -> dict[str, str]:
    """A map of columns for rows that have the columns `found`, by similar names: a guess for a message."""
    rest, suggested = list(found), {}
    for field, known in _SIMILAR_COLUMNS.items():
        near = (match for name in known for match in difflib.get_close_matches(name, rest, n=1, cutoff=0.6))
        inside = (column for name in known for column in rest if name in column.lower())
        if (column := next(near, None) or next(inside, None)) is not None:
            suggested[field] = column
            rest.remove(column)
    return suggested


def _read_marks(value: Mapping[str, Any]) -> frozenset[str]:
    """Columns of NuminaMath-1.5 whose flags are against a row; a flag that is absent, null or empty says nothing."""
    names = ("problem_is_valid", "solution_is_valid", "synthetic", "question_type")
    flags = {name: str(value[name]).strip().casefold() for name in names if value.get(name) is not None}
    against = {name for name in names[:2] if flags.get(name, "") not in ("yes", "true", "")}
    against |= {"synthetic"} if flags.get("synthetic") in ("yes", "true") else set()
    against |= {"question_type"} if flags.get("question_type") == "proof" else set()
    return frozenset(against)
