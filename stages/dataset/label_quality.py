"""Quality of a round's labels, counted on all of its samples that were judged."""

from collections import Counter
from typing import Any

import polars as pl

from stages.dataset.round_tables import RoundShard

LENGTH_CLASSES = (0, 250, 500, 1000, 2000, 4000)
"""Lower bounds of the classes of completion length, in characters."""

GROUPINGS = ("source", "length")
"""Columns by which contradictions are broken down."""

MAX_SHORT_WORDS = 3
"""Words and numbers up to which a step that states nothing is called short."""

_NUMBERING = r"^[#>*\s]*(?i:step\s*)?\d+\s*[.:)]\s*"
_STATEMENT = r"[=<>≤≥≠≈≡]|\\(?:boxed|leq?|geq?|neq?|approx|equiv|sim|in)\b"

Cell = tuple[str, str, str]
"""A metric, the grouping by which it is broken down (empty for none), and the source or length class."""


class LabelQuality:
    """Counts over the shards of a round; memory does not grow with the number of rows."""

    def __init__(self) -> None:
        self._count: Counter[Cell] = Counter()
        self._total: Counter[Cell] = Counter()
        self._steps_per_completion: Counter[int] = Counter()
        self._votes: Counter[int] = Counter()
        self._agreement = 0.0

    def add(self, shard: RoundShard) -> None:
        """Count one shard."""
        completions, steps = join_completions(shard), describe_steps(shard)
        correct, incorrect = pl.col("label").fill_null(False), ~pl.col("label").fill_null(True)
        has_labels = (pl.col("correct") + pl.col("incorrect")) > 0
        all_correct = (pl.col("correct") > 0) & (pl.col("incorrect") == 0) & (pl.col("unknown") == 0)
        has_incorrect = pl.col("incorrect") > 0
        self._add_by_group(completions, "correct_with_incorrect_step", has_incorrect, correct & has_labels)
        self._add_by_group(completions, "incorrect_with_all_steps_correct", all_correct, incorrect & has_labels)
        is_idle, every, is_known = pl.col("short") | pl.col("repeated"), pl.lit(True), pl.col("label").is_not_null()
        is_repeated = ~pl.struct("problem_id", "completion").is_first_distinct()
        self._add(completions, "unknown_outcomes", ~is_known, every)
        self._add(completions, "repeated_completions", is_repeated, every)
        self._add(steps, "unknown_steps", ~is_known, every)
        self._add(steps, "unanimous_steps", pl.col("agreement") >= 1, is_known)
        self._add(steps, "short_steps", pl.col("short"), every)
        self._add(steps, "repeated_steps", pl.col("repeated"), every)
        self._add(steps, "idle_correct_steps", is_idle, correct)
        self._agreement += float(steps.filter(is_known)["agreement"].sum())
        self._steps_per_completion.update(dict(completions["steps"].value_counts().iter_rows()))
        self._votes.update(dict(steps["num_votes"].value_counts().iter_rows()))
        for grouping in GROUPINGS:
            for value, number in completions[grouping].value_counts().iter_rows():
                self._total["completions", grouping, value] += number

    def report(self) -> dict[str, Any]:
        """All counts, fractions as ``{"count", "total"}``; `by_source` and `by_length` are those of completions."""
        num_completions = self._steps_per_completion.total()
        num_known = self._total["unanimous_steps", "", ""]
        return {
            **{name: self._cell((name, "", "")) for name, grouping, _ in sorted(self._total) if not grouping},
            "completions": num_completions,
            "steps": sum(steps * number for steps, number in self._steps_per_completion.items()),
            "steps_per_completion": _sort_by_number(self._steps_per_completion),
            "agreement": round(self._agreement / num_known, 6) if num_known else None,
            "votes": _sort_by_number(self._votes),
            "by_source": self._report_by("source"),
            "by_length": self._report_by("length"),
        }

    def _add(self, frame: pl.DataFrame, name: str, is_counted: pl.Expr, is_eligible: pl.Expr) -> None:
        """Count the rows that are eligible, and those of them that are counted."""
        count, total = frame.select(count=is_counted & is_eligible, total=is_eligible).sum().row(0)
        self._count[name, "", ""] += count
        self._total[name, "", ""] += total

    def _add_by_group(self, completions: pl.DataFrame, name: str, is_counted: pl.Expr, is_eligible: pl.Expr) -> None:
        """`_add`, also by source and by length."""
        self._add(completions, name, is_counted, is_eligible)
        for grouping in GROUPINGS:
            counts = completions.group_by(grouping).agg(count=(is_counted & is_eligible).sum(), total=is_eligible.sum())
            for value, count, total in counts.iter_rows():
                self._count[name, grouping, value] += count
                self._total[name, grouping, value] += total

    def _cell(self, cell: Cell) -> dict[str, int]:
        return {"count": self._count[cell], "total": self._total[cell]}

    def _report_by(self, grouping: str) -> dict[str, Any]:
        """The completions of each source or length, and how many of them contradict themselves."""
        values = {value for _, by, value in self._total if by == grouping}
        contradictions = ("correct_with_incorrect_step", "incorrect_with_all_steps_correct")
        return {
            value: {
                "completions": self._total["completions", grouping, value],
                **{name: self._cell((name, grouping, value)) for name in contradictions},
            }
            for value in (sorted(values) if grouping == "source" else map(name_length_class, LENGTH_CLASSES))
            if value in values
        }


def _sort_by_number(counts: Counter[int]) -> dict[str, int]:
    return {str(number): counts[number] for number in sorted(counts)}


def name_length_class(lower: int) -> str:
    """Name of the class of completion lengths from `lower` characters."""
    index = LENGTH_CLASSES.index(lower)
    return f"{lower} to {LENGTH_CLASSES[index + 1] - 1}" if index + 1 < len(LENGTH_CLASSES) else f"{lower} and more"


def join_completions(shard: RoundShard) -> pl.DataFrame:
    """One row per sample: label, source, length class, and the number of correct, incorrect and unknown steps."""
    counts = shard.steps.group_by("sample_id").agg(
        correct=pl.col("label").fill_null(False).sum(),
        incorrect=(~pl.col("label").fill_null(True)).sum(),
        unknown=pl.col("label").is_null().sum(),
    )
    names = [name_length_class(lower) for lower in LENGTH_CLASSES]
    length = pl.col("completion").str.len_chars().cut(LENGTH_CLASSES[1:], labels=names, left_closed=True)
    return (
        shard.samples_in_scope.join(shard.problems.select("problem_id", "source"), on="problem_id", how="left")
        .join(counts, on="sample_id", how="left")
        .with_columns(
            pl.col("correct", "incorrect", "unknown").fill_null(0).cast(pl.Int64),
            pl.col("source").fill_null("unknown"),
            length=length.cast(pl.String),
        )
        .with_columns(steps=pl.sum_horizontal("correct", "incorrect", "unknown"))
    )


def describe_steps(shard: RoundShard) -> pl.DataFrame:
    """`shard.steps` with the columns `short` and `repeated`: easy ways to be rewarded for correct steps.

    A step is short if, apart from its numbering, it has at most `MAX_SHORT_WORDS` words and numbers, no relation and no
    answer. It is repeated if, apart from numbering, case and white space, it equals an earlier step of its completion.
    """
    text = (
        pl.col("completion")
        .str.slice(pl.col("start"), pl.col("end") - pl.col("start"))
        .str.replace(_NUMBERING, "")
        .str.replace_all(r"\s+", " ")
        .str.strip_chars()
        .str.to_lowercase()
    )
    num_words, states = pl.col("text").str.count_matches(r"\w+"), pl.col("text").str.contains(_STATEMENT)
    return (
        shard.steps.join(shard.samples.select("sample_id", "completion"), on="sample_id", how="left")
        .with_columns(text=text)
        .sort("sample_id", "step")
        .with_columns(
            short=(num_words <= MAX_SHORT_WORDS) & ~states,
            repeated=~pl.struct("sample_id", "text").is_first_distinct(),
        )
    )
