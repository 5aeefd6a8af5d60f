"""The schema check: a raw value becomes a candidate with text where text is expected, or a drop reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stages.common.text import format_answer

_NAMES = {"problem": ("problem", "question"), "solution": ("solution", "reference_solution"), "source": ("source",)}
"""Columns of NuminaMath-CoT, and what other collections call them."""


@dataclass(frozen=True)
class Candidate:
    """A row whose fields are text and not empty."""

    source: str
    problem: str
    solution: str
    answer: str | None
    """Gold answer where the row gives one."""


def read_candidate(value: Any) -> Candidate | str:
    """The candidate in `value`, or the reason why there is none."""
    if not isinstance(value, dict):
        return "not an object"
    fields: dict[str, str] = {}
    for field, names in _NAMES.items():
        name = next((name for name in names if name in value), None)
        if name is None:
            return f"{field} missing"
        text = value[name]
        if text is None:
            return f"{field} null"
        if not isinstance(text, str):
            return f"{field} not text"
        if not text.strip():
            return f"{field} empty"
        fields[field] = text
    answer = value.get("answer")
    if answer is not None and (isinstance(answer, bool) or not isinstance(answer, (str, int, float))):
        return "answer not text or number"
    return Candidate(**fields, answer=None if answer is None else format_answer(answer) or None)
