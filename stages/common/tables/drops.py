"""Counts of dropped rows: every reason with its number and a few readable examples."""

from typing import Any

MAX_EXAMPLES = 10
"""Examples kept per reason."""

MAX_EXCERPT_CHARS = 300
"""Longest excerpt of an example's text."""


class DropLog:
    """Counts dropped rows by reason and keeps the first `MAX_EXAMPLES` of each."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[dict[str, str]]] = {}

    def drop(self, reason: str, where: str, text: object = "") -> None:
        """Count one row under `reason`; `where` names it (file and row, or id), `text` is excerpted."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append({"where": _make_excerpt(where), "text": _make_excerpt(text)})

    @property
    def total(self) -> int:
        return sum(self._counts.values())

    def counts(self) -> dict[str, int]:
        """``{reason: number of rows}``, reasons sorted."""
        return {reason: self._counts[reason] for reason in sorted(self._counts)}

    def report(self) -> dict[str, Any]:
        """``{reason: {"rows": n, "examples": [{"where", "text"}]}}``, reasons sorted."""
        return {reason: {"rows": count, "examples": self._examples[reason]} for reason, count in self.counts().items()}


def _make_excerpt(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    # A lone surrogate cannot be written as UTF-8; the report must survive the row that it reports.
    return text[:MAX_EXCERPT_CHARS].encode("utf-8", "backslashreplace").decode("utf-8")
