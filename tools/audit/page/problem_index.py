"""Which samples there are to look at, and what may be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import polars as pl

from stages.common.tables import LABEL, OUTCOME, PROBLEM, SAMPLE
from stages.dataset import select_samples
from tools.audit.key_ranges import SAMPLE_KEY, read_where
from tools.audit.lineage.sample_lineage import DropReasons
from tools.audit.table_sets import TableSet

EVERYTHING = pl.lit(value=True)
ALL = "all"

KINDS = {
    "right answer, wrong step": pl.col("is_correct") & pl.col("wrong"),
    "wrong answer, no wrong step": ~pl.col("is_correct") & ~pl.col("wrong"),
    "unknown step": pl.col("unknown"),
    "judges disagree": pl.col("disagree"),
    "unknown verdict": pl.col("is_correct").is_null(),
}
"""What a sample may be looked at for; `kept` and `dropped: why` come on top."""

_DISAGREE = r"^judges disagree|^one judge: \d+ correct|^\d+ correct, \d+ incorrect of "
"""How reasons of unknown labels begin where judges, or their votes, did not agree."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for; `all` leaves a choice open."""

    round: str = ALL
    source: str = ALL
    kind: str = ALL


@dataclass(frozen=True)
class Place:
    """A problem of a round, with the tags of its samples by sample_id."""

    round: str
    problem_id: str
    tags: dict[str, list[str]]


class Index:
    """All samples of the rounds, and what they may be looked at for.

    Samples of a kind are told by all labels and the rule of the data set, which takes seconds where there are many:
    they are found when they are first asked for. Which problems there are is known at once.
    """

    def __init__(self, root: Path, parts: list[TableSet]) -> None:
        self._root = root
        self._parts = {part.name: part for part in parts}
        self._problems = pl.concat([_problems(root, part) for part in parts])
        self._tagged: pl.DataFrame | None = None
        self._tagging = Lock()
        self._found: dict[Wanted, pl.DataFrame] = {}

    def choices(self) -> dict[str, list[str]]:
        """What may be asked for, by what it is asked of."""
        tags = self._all_tagged()["tags"].explode().drop_nulls().unique().sort().to_list()
        return {
            "round": [ALL, *self._problems["round"].unique(maintain_order=True)],
            "source": [ALL, *self._problems["source"].unique().sort()],
            "kind": [ALL, *(kind for kind in KINDS if kind in tags), *(tag for tag in tags if tag not in KINDS)],
        }

    def find(self, wanted: Wanted, at: int) -> tuple[int, Place | None]:
        """How many problems have a sample as `wanted`, and the one at 0-based place `at`, None where there is none."""
        found = self._found.get(wanted)
        if found is None:
            found = self._filter(wanted)
            self._found = {wanted: found}  # the last question is asked again at every step
        if not 0 <= at < found.height:
            return found.height, None
        name, problem = found.row(at)
        return found.height, Place(name, problem, self._tags(name, problem))

    def _tags(self, name: str, problem: str) -> dict[str, list[str]]:
        own = pl.col("problem_id") == problem
        if self._tagged is None:
            rows = _tag(self._root, self._parts[name], own)
        else:
            rows = self._tagged.filter((pl.col("round") == name) & own)
        return dict(rows.select("sample_id", "tags").iter_rows())

    def _filter(self, wanted: Wanted) -> pl.DataFrame:
        rows = self._problems
        if wanted.kind != ALL:
            rows = self._all_tagged().filter(pl.col("tags").list.contains(wanted.kind))
        for column in ("round", "source"):
            if (value := getattr(wanted, column)) != ALL:
                rows = rows.filter(pl.col(column) == value)
        return rows.select("round", "problem_id").unique(maintain_order=True)

    def _all_tagged(self) -> pl.DataFrame:
        with self._tagging:
            if self._tagged is None:
                self._tagged = pl.concat([_tag(self._root, part, EVERYTHING) for part in self._parts.values()])
            return self._tagged


def build_index(root: Path, parts: list[TableSet]) -> Index:
    """Index the rounds among `parts`; raises `ValueError` where none has samples."""
    filled = [part for part in parts if part.selection is not None and any((root / part.samples).glob("*.parquet"))]
    if not filled:
        raise ValueError("no round has samples here; `dvc repro` makes them, `dvc checkout` brings them back")
    return Index(root, filled)


def _problems(root: Path, part: TableSet) -> pl.DataFrame:
    """Columns round, problem_id, source: the problems of a round that have samples."""
    asked = read_where(root / part.samples, SAMPLE, EVERYTHING, ["problem_id"]).unique(maintain_order=True)
    return asked.join(_sources(root, part, EVERYTHING), on="problem_id", how="left", maintain_order="left").select(
        pl.lit(part.name).alias("round"), "problem_id", pl.col("source").fill_null("unknown")
    )


def _sources(root: Path, part: TableSet, where: pl.Expr) -> pl.DataFrame:
    return read_where(root / part.problems, PROBLEM, where, ["problem_id", "source"])


def _tag(root: Path, part: TableSet, where: pl.Expr) -> pl.DataFrame:
    """Columns round, problem_id, sample_id, source, tags; `where` takes whole problems, as choosing a data set does."""
    assert part.selection is not None
    samples = read_where(root / part.samples, SAMPLE, where, [*SAMPLE_KEY, "completion"])
    verdicts = read_where(root / part.outcomes, OUTCOME, where, [*SAMPLE_KEY, "is_correct"])
    rows = samples.join(verdicts, on=SAMPLE_KEY, how="left", maintain_order="left")
    fates = DropReasons()
    select_samples(rows.rename({"is_correct": "label"}), part.selection.params, part.selection.seed, fates)
    fate = [f"dropped: {fates.by_sample[i]}" if i in fates.by_sample else "kept" for i in rows["sample_id"]]
    rows = rows.drop("completion").join(_by_sample(root, part, where), on=SAMPLE_KEY, how="left", maintain_order="left")
    rows = rows.with_columns(pl.col("wrong", "unknown", "disagree").fill_null(value=False), fate=pl.Series(fate))
    tags = [pl.when(kind).then(pl.lit(name)) for name, kind in KINDS.items()]
    return rows.join(_sources(root, part, where), on="problem_id", how="left", maintain_order="left").select(
        pl.lit(part.name).alias("round"),
        "problem_id",
        "sample_id",
        pl.col("source").fill_null("unknown"),
        pl.concat_list(*tags, "fate").list.drop_nulls().alias("tags"),
    )


def _by_sample(root: Path, part: TableSet, where: pl.Expr) -> pl.DataFrame:
    """Whether any step of a sample is wrong, is unknown, or is so because judges or votes disagree."""
    assert part.labels is not None
    judged = read_where(root / part.labels, LABEL, where, [*SAMPLE_KEY, "label", "reason"])
    unknown = pl.col("label").is_null()
    return judged.group_by(SAMPLE_KEY).agg(
        wrong=(~pl.col("label")).any(),
        unknown=unknown.any(),
        disagree=(unknown & pl.col("reason").str.contains(_DISAGREE)).any(),
    )
