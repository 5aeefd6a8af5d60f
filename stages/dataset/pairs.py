"""Preference pairs of a round's rows: completions by outcome, and next steps after the same correct beginning.

Pairs name rows of ``step_kto.parquet`` and hold no text, so that what is trained is what the row holds.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import polars as pl

from stages.common.tables import content_hash
from stages.common.tables.store import ROW_GROUP
from stages.dataset.external_sort import open_writer

SCHEMAS: dict[str, dict[str, type[pl.DataType]]] = {
    "pairs.parquet": dict.fromkeys(["problem_id", "chosen_sample_id", "rejected_sample_id"], pl.String)
}
SCHEMAS["step_pairs.parquet"] = SCHEMAS["pairs.parquet"] | dict.fromkeys(["chosen_step", "rejected_step"], pl.Int32)
"""The files of pairs and their columns. Steps are 0-based."""

Counts = dict[str, Counter[str]]


def _make_frames() -> dict[str, pl.DataFrame]:
    return {name: pl.DataFrame(schema=schema) for name, schema in SCHEMAS.items()}


def _make_counts() -> Counts:
    return {name: Counter() for name in SCHEMAS}


@dataclass
class RoundPairs:
    """The pairs of a round by file, and how many of its problems have none and why.

    Held in memory: ids alone, some 200 bytes per pair.
    """

    frames: dict[str, pl.DataFrame] = field(default_factory=_make_frames)
    counts: Counts = field(default_factory=_make_counts)

    def add(self, rows: pl.DataFrame, max_pairs: int) -> None:
        """Pair `rows` of `build_rows`, which hold all rows of their problems."""
        for name, pair in (("pairs.parquet", pair_completions), ("step_pairs.parquet", pair_steps)):
            pairs, reasons = pair(rows, max_pairs)
            self.frames[name] = pl.concat([self.frames[name], pairs])
            self.counts[name].update(reasons)

    def merge(self, other: Self) -> None:
        """Add the pairs of other problems."""
        for name in SCHEMAS:
            self.frames[name] = pl.concat([self.frames[name], other.frames[name]])
            self.counts[name] += other.counts[name]

    def order(self, name: str) -> pl.DataFrame:
        """The pairs of one file in training order: by a hash of their ids, so pairs of one problem are far apart."""
        return _sort_by_hash(self.frames[name]).drop("hash")

    def write(self, folder: Path) -> None:
        """Write one file each, also where there are no pairs."""
        for name in SCHEMAS:
            table = self.order(name).to_arrow(compat_level=pl.CompatLevel.oldest())
            with open_writer(folder / name, table.schema) as writer:
                writer.write_table(table, row_group_size=ROW_GROUP)

    def report(self) -> dict[str, Any]:
        """By file: pairs, problems with a pair, and problems without one by reason."""
        return {
            name.removesuffix(".parquet"): {
                "pairs": frame.height,
                "problems": frame["problem_id"].n_unique(),
                "problems_without": dict(sorted(self.counts[name].items())),
            }
            for name, frame in self.frames.items()
        }


def pair_completions(rows: pl.DataFrame, max_pairs: int) -> tuple[pl.DataFrame, dict[str, int]]:
    """Correct with incorrect completions of one problem, and the reasons of problems without a pair.

    A problem has as many pairs as two go into its rows of known outcome, at least one and at most `max_pairs`: an epoch
    reads no more completions than KTO does. Both kinds are used in turn, by sample id, which is a hash; the scarcer one
    repeatedly.
    """
    problems = (
        rows.sort("problem_id", "sample_id")
        .group_by("problem_id", maintain_order=True)
        .agg(
            correct=pl.col("sample_id").filter("label"),
            incorrect=pl.col("sample_id").filter(~pl.col("label")),
            number=_limit_pairs(pl.col("label").count(), max_pairs),
        )
    )
    has_correct, has_incorrect = (pl.col(name).list.len() > 0 for name in ("correct", "incorrect"))
    turn = {name: pl.col(name).list.get(pl.col("turn") % pl.col(name).list.len()) for name in ("correct", "incorrect")}
    pairs = (
        problems.filter(has_correct & has_incorrect)
        .with_columns(turn=pl.int_ranges(pl.col("number")))
        .explode("turn")
        .select("problem_id", chosen_sample_id=turn["correct"], rejected_sample_id=turn["incorrect"])
    )
    reason = (
        pl.when(has_correct)
        .then(pl.lit("no incorrect completion"))
        .when(has_incorrect)
        .then(pl.lit("no correct completion"))
        .otherwise(pl.lit("no known outcome"))
    )
    return pairs, _count_reasons(problems.filter(~(has_correct & has_incorrect)), reason)


def pair_steps(rows: pl.DataFrame, max_pairs: int) -> tuple[pl.DataFrame, dict[str, int]]:
    """Correct with incorrect next steps after the same beginning, and the reasons of problems without a pair.

    Before a pair's steps both completions have the same text, which may be empty, in steps that are labelled correct.
    Texts of the two steps differ, but for white space around them. As many pairs as in `pair_completions`; each
    incorrect step comes once before any comes again, otherwise by a hash of ids.
    """
    steps = _list_next_steps(rows)
    keys = ["problem_id", "beginning"]
    chosen, rejected = (
        steps.filter(pl.col("step_label") == is_correct).select(
            *keys, pl.col("sample_id", "step", "text").name.prefix(prefix)
        )
        for prefix, is_correct in (("chosen_", True), ("rejected_", False))
    )
    both = chosen.join(rejected, on=keys).filter(pl.col("chosen_text") != pl.col("rejected_text"))
    candidates = _sort_by_hash(both.select(list(SCHEMAS["step_pairs.parquet"])))
    numbers = rows.group_by("problem_id").agg(number=_limit_pairs(pl.len(), max_pairs))
    pairs = (
        candidates.with_columns(turn=pl.int_range(pl.len()).over("problem_id", "rejected_sample_id", "rejected_step"))
        .sort("problem_id", "turn", "hash")
        .join(numbers, on="problem_id", maintain_order="left")
        .filter(pl.int_range(pl.len()).over("problem_id") < pl.col("number"))
        .select(list(SCHEMAS["step_pairs.parquet"]))
    )
    problems = numbers.join(pairs, on="problem_id", how="anti")
    for name, frame in (("correct", chosen), ("incorrect", rejected)):
        problems = problems.with_columns(pl.col("problem_id").is_in(frame["problem_id"].unique().implode()).alias(name))
    reason = (
        pl.when(~pl.col("incorrect"))
        .then(pl.lit("no incorrect step after correct ones"))
        .when(~pl.col("correct"))
        .then(pl.lit("no correct step after correct ones"))
        .otherwise(pl.lit("no other step after the same beginning"))
    )
    return pairs, _count_reasons(problems, reason)


def _limit_pairs(num_rows: pl.Expr, max_pairs: int) -> pl.Expr:
    return (num_rows // 2).clip(1, max_pairs).cast(pl.Int64)


def _list_next_steps(rows: pl.DataFrame) -> pl.DataFrame:
    """The labelled steps that follow correct ones alone: sample, step, beginning (the text before), text, label."""
    start, end = pl.col("start"), pl.col("end")
    is_correct = pl.col("step_label").fill_null(value=False).cast(pl.UInt8)
    follows_correct = is_correct.cum_min().shift(1).over("sample_id").fill_null(1) == 1
    return (
        rows.select("problem_id", "sample_id", "completion", "steps")
        .with_columns(step=pl.int_ranges(pl.col("steps").list.len(), dtype=pl.Int32))
        .explode("steps", "step")
        .unnest("steps")
        .rename({"label": "step_label"})
        .filter(follows_correct & pl.col("step_label").is_not_null())
        .with_columns(
            beginning=pl.col("completion").str.slice(0, start),
            text=pl.col("completion").str.slice(start, end - start).str.strip_chars(),
        )
        .filter(pl.col("text") != "")
        .drop("completion", "start", "end")
    )


def _sort_by_hash(pairs: pl.DataFrame) -> pl.DataFrame:
    """`pairs` in the order of a new column ``hash``."""
    columns = [name for name in pairs.columns if name != "problem_id"]
    hashes = [content_hash("pair", *row) for row in pairs.select(columns).iter_rows()]
    return pairs.with_columns(hash=pl.Series(hashes, dtype=pl.String)).sort("hash")


def _count_reasons(problems: pl.DataFrame, reason: pl.Expr) -> dict[str, int]:
    return dict(problems.select(reason=reason)["reason"].value_counts().iter_rows())
