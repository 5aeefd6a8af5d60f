"""Which problems there are to look at, and what they can be filtered by."""

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import polars as pl

from stages.common.errors import UserError
from stages.common.tables import LABEL, OUTCOME, PROBLEM, SAMPLE, SELECTION
from stages.judge.llm import DISAGREEMENT_PATTERN
from tools.audit.key_ranges import SAMPLE_KEY, read_where
from tools.audit.lineage.sample_lineage import read_first
from tools.audit.table_sets import TableSet

EVERYTHING = pl.lit(value=True)
ALL = "all"

KINDS = {
    "correct answer, incorrect step": pl.col("is_correct") & pl.col("has_error"),
    "incorrect answer, no incorrect step": ~pl.col("is_correct") & ~pl.col("has_error") & pl.col("is_judged"),
    "unknown step": pl.col("has_unknown"),
    "judges disagree": pl.col("has_disagreement"),
    "unknown verdict": pl.col("is_correct").is_null(),
    "not judged": ~pl.col("is_judged"),
}
"""Kinds of samples; `kept` and `dropped: why` come on top."""


@dataclass(frozen=True)
class ProblemFilter:
    """What to show; `all` leaves a choice open."""

    round: str = ALL
    source: str = ALL
    kind: str = ALL


@dataclass(frozen=True)
class IndexedProblem:
    """A problem of a round, with the tags of its samples by sample_id."""

    round: str
    problem_id: str
    tags: dict[str, list[str]]


class ProblemIndex:
    """All problems of the rounds, and the kinds of their samples.

    Kinds follow from all labels and the rule of the dataset, which takes seconds where there are many: they are found
    when they are first asked for. Which problems there are is known at once.
    """

    def __init__(self, root: Path, table_sets: list[TableSet]) -> None:
        self._root = root
        self._table_sets = {tables.name: tables for tables in table_sets}
        self._problems = pl.concat([_list_problems(root, tables) for tables in table_sets])
        self._tagged: pl.DataFrame | None = None
        self._tagging = Lock()
        self._last: tuple[ProblemFilter, pl.DataFrame] | None = None
        """The last filter, which is asked for again at every step, and its problems."""

    def list_choices(self) -> dict[str, list[str]]:
        """The values of each field of `ProblemFilter`."""
        tags = self.tag_samples()["tags"].explode().drop_nulls().unique().sort().to_list()
        return {
            "round": [ALL, *self._problems["round"].unique(maintain_order=True)],
            "source": [ALL, *self._problems["source"].unique().sort()],
            "kind": [ALL, *(kind for kind in KINDS if kind in tags), *(tag for tag in tags if tag not in KINDS)],
        }

    def tag_samples(self) -> pl.DataFrame:
        """All samples of all rounds: round, problem_id, sample_id, source, is_correct, tags, num_steps, num_chars.

        `num_steps` is null where a sample is not judged.
        """
        with self._tagging:
            if self._tagged is None:
                tagged = [_tag_samples(self._root, tables, EVERYTHING) for tables in self._table_sets.values()]
                self._tagged = pl.concat(tagged)
            return self._tagged

    def list_problems(self) -> pl.DataFrame:
        """Columns round, problem_id, source: the problems of each round that have samples."""
        return self._problems

    def locate(self, chosen: ProblemFilter, round_name: str, sample_id: str) -> int | None:
        """The position of a sample's problem among those as `chosen`, None where it is not among them."""
        if round_name not in self._table_sets:
            return None
        of_sample = pl.col("sample_id") == sample_id
        sample = read_first(self._root / self._table_sets[round_name].samples, SAMPLE, of_sample)
        if sample is None:
            return None
        is_problem = (pl.col("round") == round_name) & (pl.col("problem_id") == sample["problem_id"])
        found = self.list_found(chosen).with_row_index("position").filter(is_problem)
        return next(iter(found["position"]), None)

    def find(self, chosen: ProblemFilter, position: int) -> tuple[int, IndexedProblem | None]:
        """How many problems have a sample as `chosen`, and the one at a 0-based position, None where there is none."""
        found = self.list_found(chosen)
        if not 0 <= position < found.height:
            return found.height, None
        name, problem = found.row(position)
        return found.height, IndexedProblem(name, problem, self.find_tags(name, problem))

    def find_tags(self, name: str, problem: str) -> dict[str, list[str]]:
        """Tags by sample of a problem in round `name`."""
        of_problem = pl.col("problem_id") == problem
        if self._tagged is None:
            rows = _tag_samples(self._root, self._table_sets[name], of_problem)
        else:
            rows = self._tagged.filter((pl.col("round") == name) & of_problem)
        return dict(rows.select("sample_id", "tags").iter_rows())

    def list_found(self, chosen: ProblemFilter) -> pl.DataFrame:
        """Columns round, problem_id: the problems that have a sample as `chosen`."""
        last = self._last  # another thread may ask for another filter
        if last is None or last[0] != chosen:
            self._last = last = (chosen, self._filter(chosen))
        return last[1]

    def _filter(self, chosen: ProblemFilter) -> pl.DataFrame:
        rows = self._problems
        if chosen.kind != ALL:
            rows = self.tag_samples().filter(pl.col("tags").list.contains(chosen.kind))
        for column in ("round", "source"):
            if (value := getattr(chosen, column)) != ALL:
                rows = rows.filter(pl.col(column) == value)
        return rows.select("round", "problem_id").unique(maintain_order=True)


def build_index(root: Path, table_sets: list[TableSet]) -> ProblemIndex:
    """Index the rounds among `table_sets`; raises `UserError` where none has samples."""
    rounds = [tables for tables in table_sets if tables.selection and any((root / tables.samples).glob("*.parquet"))]
    if not rounds:
        raise UserError("no round has samples here; run `dvc repro` or `dvc checkout`")
    return ProblemIndex(root, rounds)


def _list_problems(root: Path, tables: TableSet) -> pl.DataFrame:
    """Columns round, problem_id, source: the problems of a round that have samples."""
    sampled = read_where(root / tables.samples, SAMPLE, EVERYTHING, ["problem_id"]).unique(maintain_order=True)
    return _add_source(root, tables, sampled, EVERYTHING).select("round", "problem_id", "source")


def _add_source(root: Path, tables: TableSet, rows: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
    sources = read_where(root / tables.problems, PROBLEM, where, ["problem_id", "source"])
    joined = rows.join(sources, on="problem_id", how="left", maintain_order="left")
    return joined.with_columns(pl.lit(tables.name).alias("round"), pl.col("source").fill_null("unknown"))


def _tag_samples(root: Path, tables: TableSet, where: pl.Expr) -> pl.DataFrame:
    """The columns of `ProblemIndex.tag_samples`."""
    assert tables.selection is not None
    assert tables.labels is not None
    selected = read_where(root / tables.selection.selections, SELECTION, where).select(
        *SAMPLE_KEY, selection=("dropped: " + pl.col("drop_reason")).fill_null("kept")
    )
    labels = read_where(root / tables.labels, LABEL, where, [*SAMPLE_KEY, "label", "reason"])
    is_unknown = pl.col("label").is_null()
    by_sample = labels.group_by(SAMPLE_KEY).agg(
        is_judged=pl.lit(value=True),
        num_steps=pl.len(),
        has_error=(~pl.col("label")).any(),
        has_unknown=is_unknown.any(),
        has_disagreement=(is_unknown & pl.col("reason").str.contains(DISAGREEMENT_PATTERN)).any(),
    )
    num_chars = pl.col("completion").str.len_chars().alias("num_chars")
    rows = read_where(root / tables.samples, SAMPLE, where, [*SAMPLE_KEY, num_chars])
    outcomes = read_where(root / tables.outcomes, OUTCOME, where, [*SAMPLE_KEY, "is_correct"])
    for facts in (outcomes, selected, by_sample):
        rows = rows.join(facts, on=SAMPLE_KEY, how="left", maintain_order="left")
    rows = rows.with_columns(pl.col("is_judged", "has_error", "has_unknown", "has_disagreement").fill_null(value=False))
    tags = [pl.when(kind).then(pl.lit(name)) for name, kind in KINDS.items()]
    rows = rows.with_columns(pl.concat_list(*tags, "selection").list.drop_nulls().alias("tags"))
    return _add_source(root, tables, rows, where).select(
        "round", *SAMPLE_KEY, "source", "is_correct", "tags", "num_steps", "num_chars"
    )
