"""Counting what is dropped: every reason with its number and a few examples that a person can read."""

from __future__ import annotations

from typing import Any

EXAMPLES = 10
"""Examples kept per reason."""

EXCERPT = 300
"""Characters kept of an example's text."""


class DropLog:
    """Counts dropped rows by reason and keeps the first `EXAMPLES` of each."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[dict[str, str]]] = {}

    def drop(self, reason: str, where: str, text: object = "") -> None:
        """Count one row under `reason`; `where` names it (file and row, or id), `text` is excerpted."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < EXAMPLES:
            examples.append({"where": _excerpt(where), "text": _excerpt(text)})

    @property
    def total(self) -> int:
        return sum(self._counts.values())

    def report(self) -> dict[str, Any]:
        """``{reason: {"rows": n, "examples": [{"where", "text"}]}}``, reasons sorted."""
        return {
            reason: {"rows": self._counts[reason], "examples": self._examples[reason]}
            for reason in sorted(self._counts)
        }


def _excerpt(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    # A lone surrogate cannot be written as UTF-8; the report must survive the row that it reports.
    return text[:EXCERPT].encode("utf-8", "backslashreplace").decode("utf-8")
