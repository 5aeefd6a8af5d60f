"""Which samples there are to look at, and what may be asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from stages.audit.chain import Fates, rows_where
from stages.audit.layout import PROBLEMS, Part
from stages.audit.tables import SAMPLE_KEY
from stages.dataset import select
from stages.records import JUDGED, OUTCOME, PROBLEM, SAMPLE

EVERYTHING = pl.lit(value=True)
ALL = "all"

KINDS = {
    "right answer, wrong step": pl.col("value") & pl.col("wrong"),
    "wrong answer, no wrong step": ~pl.col("value") & ~pl.col("wrong"),
    "unknown step": pl.col("unknown"),
    "judges disagree": pl.col("disagree"),
    "unknown verdict": pl.col("value").is_null(),
}
"""What a sample may be looked at for; `kept` and `dropped: why` come on top."""

_DISAGREE = r"^judges disagree|^one judge: \d+ right|^\d+ right, \d+ wrong of "
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


@dataclass
class Index:
    """All samples of the rounds: round, problem_id, sample_id, source, tags."""

    rows: pl.DataFrame
    _found: dict[Wanted, pl.DataFrame] = field(default_factory=dict)

    def choices(self) -> dict[str, list[str]]:
        """What may be asked for, by what it is asked of."""
        tags = self.rows["tags"].explode().drop_nulls().unique().sort().to_list()
        return {
            "round": [ALL, *self.rows["round"].unique(maintain_order=True)],
            "source": [ALL, *self.rows["source"].unique().sort()],
            "kind": [ALL, *(kind for kind in KINDS if kind in tags), *(tag for tag in tags if tag not in KINDS)],
        }

    def find(self, wanted: Wanted, at: int) -> tuple[int, Place | None]:
        """How many problems have a sample as `wanted`, and the one at 0-based place `at`, None where there is none."""
        if wanted not in self._found:
            self._found = {wanted: self._filter(wanted)}  # the last question is asked again at every step
        found = self._found[wanted]
        if not 0 <= at < found.height:
            return found.height, None
        name, problem = found.row(at)
        own = self.rows.filter((pl.col("round") == name) & (pl.col("problem_id") == problem))
        return found.height, Place(name, problem, dict(own.select("sample_id", "tags").iter_rows()))

    def _filter(self, wanted: Wanted) -> pl.DataFrame:
        rows = self.rows
        for column in ("round", "source"):
            if (value := getattr(wanted, column)) != ALL:
                rows = rows.filter(pl.col(column) == value)
        if wanted.kind != ALL:
            rows = rows.filter(pl.col("tags").list.contains(wanted.kind))
        return rows.select("round", "problem_id").unique(maintain_order=True)


def build_index(root: Path, parts: list[Part]) -> Index:
    """Index the rounds among `parts`; raises `ValueError` where none has samples."""
    frames = [_index_part(root, part) for part in parts if part.selection is not None]
    filled = [frame for frame in frames if not frame.is_empty()]
    if not filled:
        raise ValueError("no round has samples here; `dvc repro` makes them, `dvc checkout` brings them back")
    return Index(pl.concat(filled))


def _index_part(root: Path, part: Part) -> pl.DataFrame:
    assert part.selection is not None
    samples = rows_where(root / part.samples, SAMPLE, EVERYTHING).select(*SAMPLE_KEY, "text")
    verdicts = rows_where(root / part.outcomes, OUTCOME, EVERYTHING).select(*SAMPLE_KEY, "value")
    sources = rows_where(root / PROBLEMS, PROBLEM, EVERYTHING).select("problem_id", "source")
    rows = samples.join(verdicts, on=SAMPLE_KEY, how="left", maintain_order="left")
    fates = Fates()
    select(rows.rename({"value": "label"}), part.selection.params, part.selection.seed, fates)
    fate = [f"dropped: {fates.reasons[i]}" if i in fates.reasons else "kept" for i in rows["sample_id"]]
    rows = rows.drop("text").join(_by_sample(root, part), on=SAMPLE_KEY, how="left", maintain_order="left")
    rows = rows.with_columns(pl.col("wrong", "unknown", "disagree").fill_null(value=False), fate=pl.Series(fate))
    tags = [pl.when(kind).then(pl.lit(name)) for name, kind in KINDS.items()]
    return rows.join(sources, on="problem_id", how="left", maintain_order="left").select(
        pl.lit(part.name).alias("round"),
        "problem_id",
        "sample_id",
        pl.col("source").fill_null("unknown"),
        pl.concat_list(*tags, "fate").list.drop_nulls().alias("tags"),
    )


def _by_sample(root: Path, part: Part) -> pl.DataFrame:
    """Whether any step of a sample is wrong, is unknown, or is so because judges or votes disagree."""
    assert part.judged is not None
    judged = rows_where(root / part.judged, JUDGED, EVERYTHING)
    unknown = pl.col("label").is_null()
    return judged.group_by(SAMPLE_KEY).agg(
        wrong=(~pl.col("label")).any(),
        unknown=unknown.any(),
        disagree=(unknown & pl.col("reason").str.contains(_DISAGREE)).any(),
    )
