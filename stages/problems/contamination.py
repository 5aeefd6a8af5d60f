"""Contamination: problems that share an n-gram of words with an evaluation problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.common.provenance import file_sha256
from stages.problems.rows import read_file
from stages.problems.words import words


@dataclass(frozen=True)
class Overlap:
    """What a problem shares with an evaluation problem."""

    evaluation: str
    """File and line of the evaluation problem."""
    ngram: str


class EvaluationSet:
    """The n-grams of all evaluation problems.

    Words are compared without case, punctuation, operators and LaTeX layout. An evaluation problem of fewer than
    `ngram` words matches a problem with the same words only. Raises `ValueError` naming file and line for an
    evaluation problem that cannot be read: one left out silently would be one not protected.
    """

    def __init__(self, paths: list[str], ngram: int) -> None:
        self._ngram = ngram
        self._where: dict[str, str] = {}
        self.files: list[dict[str, object]] = []
        for path in map(Path, paths):
            problems = 0
            for where, problem in _read_evaluation(path):
                for gram in self._grams(problem):
                    self._where.setdefault(gram, where)
                problems += 1
            if not problems:
                raise ValueError(f"{path}: holds no evaluation problem")
            self.files.append({"file": path.name, "sha256": file_sha256(path), "problems": problems})

    def _grams(self, problem: str) -> Iterator[str]:
        found = words(problem, operators=False)
        if len(found) < self._ngram:
            yield " ".join(found)
        for start in range(len(found) - self._ngram + 1):
            yield " ".join(found[start : start + self._ngram])

    def overlap(self, problem: str) -> Overlap | None:
        """The first n-gram of `problem` that an evaluation problem has too, None if there is none."""
        for gram in self._grams(problem):
            if (where := self._where.get(gram)) is not None:
                return Overlap(where, gram)
        return None


def _read_evaluation(path: Path) -> Iterator[tuple[str, str]]:
    for row in read_file(path):
        if row.fault == "blank line":
            continue
        if row.fault is not None or not isinstance(row.value, dict):
            raise ValueError(f"{row.where}: expected an object with a problem ({row.fault or 'not an object'})")
        problem = row.value.get("problem", row.value.get("question"))
        if not isinstance(problem, str) or not words(problem, operators=False):
            raise ValueError(f"{row.where}: expected a column problem or question that holds text")
        yield row.where, problem
