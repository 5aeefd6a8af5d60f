"""Contamination: problems that share an n-gram of words with an evaluation problem."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.common.benchmarks import read_benchmark
from stages.common.errors import UserError
from stages.common.params.evaluate import BenchmarkParams
from stages.common.params.problems import DecontaminationParams
from stages.common.provenance import compute_sha256
from stages.common.raw_rows import RawRow, read_file, read_hub
from stages.problems.question_filters import DRAWING_CODE
from stages.problems.word_tokens import tokenize_words


@dataclass(frozen=True)
class Overlap:
    """What a problem shares with an evaluation problem."""

    evaluation: str
    """File and line of the evaluation problem."""
    ngram: str


class EvaluationSet:
    """The n-grams of all evaluation problems that were added.

    Words are compared without case, punctuation, operators, LaTeX layout and the code of drawings. An evaluation
    problem of fewer than `ngram` words is found wherever a problem holds it whole, operators included: within
    "Solve: Simplify 2 + 3. (A) 4", hence also within "Simplify 2 + 3 * 4".
    """

    def __init__(self, ngram: int) -> None:
        self._ngram = ngram
        self._locations: dict[str, str] = {}
        self._short: dict[tuple[str, ...], str] = {}
        self._short_lengths: set[int] = set()
        self.files: list[dict[str, object]] = []
        """What was added: `file`, its `sha256` where it is one of this machine, and how many `problems` it holds."""

    def add(self, file: dict[str, object], problems: Iterable[tuple[str, str]]) -> None:
        """Add the evaluation problems of `file`, each as (location, text); raise `UserError` if there are none."""
        num_problems = 0
        for location, problem in problems:
            for gram in self._list_ngrams(problem):
                self._locations.setdefault(gram, location)
            if len(tokenize_words(_leave_out_drawings(problem), operators=False)) < self._ngram:
                words = tuple(tokenize_words(_leave_out_drawings(problem)))
                self._short.setdefault(words, location)
                self._short_lengths.add(len(words))
            num_problems += 1
        if not num_problems:
            raise UserError(f"{file['file']}: holds no evaluation problem")
        self.files.append({**file, "problems": num_problems})

    def _list_ngrams(self, problem: str) -> Iterator[str]:
        tokens = tokenize_words(_leave_out_drawings(problem), operators=False)
        for start in range(len(tokens) - self._ngram + 1):
            yield " ".join(tokens[start : start + self._ngram])

    def find_overlap(self, problem: str) -> Overlap | None:
        """The first n-gram or short evaluation problem that `problem` shares, None if there is none."""
        for gram in self._list_ngrams(problem):
            if (location := self._locations.get(gram)) is not None:
                return Overlap(location, gram)
        return self._find_short(tokenize_words(_leave_out_drawings(problem)))

    def _find_short(self, words: list[str]) -> Overlap | None:
        for length in sorted(self._short_lengths):
            for start in range(len(words) - length + 1):
                found = tuple(words[start : start + length])
                if found in self._short:
                    return Overlap(self._short[found], " ".join(found))
        return None


def _leave_out_drawings(problem: str) -> str:
    """`problem` without the code of its drawings, which many problems share; with it where that is all."""
    text = DRAWING_CODE.sub(" ", problem)
    return text if tokenize_words(text) else problem


def read_evaluation_sets(
    params: DecontaminationParams, benchmarks: Mapping[str, BenchmarkParams]
) -> EvaluationSet | None:
    """The problems of `benchmarks`, and of the further sets that `params` name; None if there are none.

    Raises `UserError` for a set, and for one problem of it, that cannot be read: nothing would be protected without it.
    """
    evaluation = EvaluationSet(params.ngram)
    for name, benchmark in benchmarks.items():
        try:
            table = read_benchmark(name, benchmark)
        except UserError as error:
            raise UserError(f"evaluate.benchmarks.{name}, which problems are held against: {error}") from error
        origin = {"file": table["origin"][0]}
        if benchmark.file is not None:
            origin = {"file": Path(benchmark.file.path).name, "sha256": benchmark.file.sha256}
        rows = table.select("origin_row", "problem").iter_rows()
        evaluation.add(origin, ((f"{name}, row {row}", problem) for row, problem in rows))
    for path in map(Path, params.files):
        rows = _read_evaluation_problems(read_file(path))
        evaluation.add({"file": path.name, "sha256": compute_sha256(path)}, rows)
    for hub in params.hub:
        rows_of_hub = read_hub(hub.repo, None, hub.revision, hub.split, streaming=False)
        evaluation.add({"file": f"{hub.repo}@{hub.revision} {hub.split}"}, _read_evaluation_problems(rows_of_hub))
    return evaluation if evaluation.files else None


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
