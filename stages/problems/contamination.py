"""Contamination: problems that share an n-gram of words with an evaluation problem."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.common.errors import UserError
from stages.common.provenance import compute_sha256
from stages.common.raw_rows import RawRow, read_file, read_hub
from stages.problems.word_tokens import tokenize_words


@dataclass(frozen=True)
class Overlap:
    """What a problem shares with an evaluation problem."""

    evaluation: str
    """File and line of the evaluation problem."""
    ngram: str


class EvaluationSet:
    """The n-grams of all evaluation problems: those of files, and of `hub`, (repo, commit, split) each.

    Words are compared without case, punctuation, operators and LaTeX layout. An evaluation problem of fewer than
    `ngram` words is found wherever a problem holds it whole, operators included: within "Solve: Simplify 2 + 3. (A) 4",
    hence also within "Simplify 2 + 3 * 4". Raises `UserError` naming file and line for an evaluation problem that
    cannot be read: skipping it would leave it unprotected.
    """

    def __init__(self, paths: Sequence[str], ngram: int, hub: Sequence[tuple[str, str, str]] = ()) -> None:
        self._ngram = ngram
        self._locations: dict[str, str] = {}
        self._short: dict[tuple[str, ...], str] = {}
        self._short_lengths: set[int] = set()
        self.files: list[dict[str, object]] = []
        for path in map(Path, paths):
            self._add({"file": path.name}, read_file(path), str(path))
            self.files[-1]["sha256"] = compute_sha256(path)
        for repo, revision, split in hub:
            name = f"{repo}@{revision} {split}"
            self._add({"file": name}, read_hub(repo, None, revision, split, streaming=False), name)

    def _add(self, file: dict[str, object], rows: Iterator[RawRow], name: str) -> None:
        num_problems = 0
        for location, problem in _read_evaluation_problems(rows):
            for gram in self._list_ngrams(problem):
                self._locations.setdefault(gram, location)
            if len(tokenize_words(problem, operators=False)) < self._ngram:
                words = tuple(tokenize_words(problem))
                self._short.setdefault(words, location)
                self._short_lengths.add(len(words))
            num_problems += 1
        if not num_problems:
            raise UserError(f"{name}: holds no evaluation problem")
        self.files.append({**file, "problems": num_problems})

    def _list_ngrams(self, problem: str) -> Iterator[str]:
        tokens = tokenize_words(problem, operators=False)
        for start in range(len(tokens) - self._ngram + 1):
            yield " ".join(tokens[start : start + self._ngram])

    def find_overlap(self, problem: str) -> Overlap | None:
        """The first n-gram or short evaluation problem that `problem` shares, None if there is none."""
        for gram in self._list_ngrams(problem):
            if (location := self._locations.get(gram)) is not None:
                return Overlap(location, gram)
        return self._find_short(tokenize_words(problem))

    def _find_short(self, words: list[str]) -> Overlap | None:
        for length in sorted(self._short_lengths):
            for start in range(len(words) - length + 1):
                found = tuple(words[start : start + length])
                if found in self._short:
                    return Overlap(self._short[found], " ".join(found))
        return None


def _read_evaluation_problems(rows: Iterator[RawRow]) -> Iterator[tuple[str, str]]:
    for row in rows:
        if row.error == "blank line":
            continue
        if row.error is not None or not isinstance(row.value, dict):
            raise UserError(f"{row.location}: expected an object with a problem ({row.error or 'not an object'})")
        problem = row.value.get("problem", row.value.get("question"))
        if not isinstance(problem, str) or not tokenize_words(problem, operators=False):
            raise UserError(f"{row.location}: expected a column problem or question that holds text")
        yield row.location, problem
