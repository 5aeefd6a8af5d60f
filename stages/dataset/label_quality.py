"""How good a round's labels are, told from all of its samples before selection."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from stages.dataset.round_tables import RoundShard

LENGTHS = (0, 250, 500, 1000, 2000, 4000)
"""Lower bounds of the classes of solution length, in characters."""

BY = ("source", "length")
"""By what contradictions are told apart."""

SHORT = 3
"""Words and numbers up to which a step that states nothing is called short."""

_NUMBERING = r"^[#>*\s]*(?i:step\s*)?\d+\s*[.:)]\s*"
_STATES = r"[=<>≤≥≠≈≡]|\\(?:boxed|leq?|geq?|neq?|approx|equiv|sim|in)\b"

Cell = tuple[str, str, str]
"""What is counted, by which of `BY` it is told apart (empty for not at all), and which source or length."""


class LabelQuality:
    """Counts over the shards of a round; memory does not grow with their rows."""

    def __init__(self) -> None:
        self._count: Counter[Cell] = Counter()
        self._of: Counter[Cell] = Counter()
        self._steps_per_solution: Counter[int] = Counter()
        self._votes: Counter[int] = Counter()
        self._agreement = 0.0

    def add(self, labelled: RoundShard) -> None:
        """Count one shard."""
        solutions, steps = join_completions(labelled), describe_steps(labelled)
        correct, incorrect = pl.col("label").fill_null(False), ~pl.col("label").fill_null(True)
        judged = (pl.col("correct") + pl.col("incorrect")) > 0
        all_correct = (pl.col("correct") > 0) & (pl.col("incorrect") == 0) & (pl.col("unknown") == 0)
        self._tell(solutions, "correct_with_incorrect_step", correct & (pl.col("incorrect") > 0), correct & judged)
        self._tell(solutions, "incorrect_with_all_steps_correct", incorrect & all_correct, incorrect & judged)
        self._share(solutions, "unknown_outcomes", pl.col("label").is_null(), pl.lit(True))
        self._share(
            solutions, "repeated_completions", ~pl.struct("problem_id", "completion").is_first_distinct(), pl.lit(True)
        )
        idle = pl.col("short") | pl.col("repeated")
        rewarded = pl.col("label").fill_null(False)
        self._share(steps, "unknown_steps", pl.col("label").is_null(), pl.lit(True))
        self._share(steps, "unanimous_steps", pl.col("agreement") >= 1, pl.col("label").is_not_null())
        self._share(steps, "short_steps", pl.col("short"), pl.lit(True))
        self._share(steps, "repeated_steps", pl.col("repeated"), pl.lit(True))
        self._share(steps, "idle_correct_steps", idle & rewarded, rewarded)
        self._agreement += float(steps.filter(pl.col("label").is_not_null())["agreement"].sum())
        self._steps_per_solution.update(dict(solutions["steps"].value_counts().iter_rows()))
        self._votes.update(dict(steps["num_votes"].value_counts().iter_rows()))
        for name in BY:
            for value, number in solutions[name].value_counts().iter_rows():
                self._of["completions", name, value] += number

    def report(self) -> dict[str, Any]:
        """Counts of everything, shares as ``{"count", "of"}``; `by_source` and `by_length` hold those of solutions."""
        solutions = self._steps_per_solution.total()
        labelled = self._of["unanimous_steps", "", ""]
        shares = {what: self._cell((what, name, value)) for what, name, value in sorted(self._of) if not name}
        return {
            **shares,
            "completions": solutions,
            "steps": sum(steps * number for steps, number in self._steps_per_solution.items()),
            "steps_per_completion": _by_number(self._steps_per_solution),
            "agreement": round(self._agreement / labelled, 6) if labelled else None,
            "votes": _by_number(self._votes),
            "by_source": self._by("source"),
            "by_length": self._by("length"),
        }

    def _share(self, frame: pl.DataFrame, what: str, top: pl.Expr, bottom: pl.Expr) -> None:
        count, of = frame.select(top=top & bottom, bottom=bottom).sum().row(0)
        self._count[what, "", ""] += count
        self._of[what, "", ""] += of

    def _tell(self, solutions: pl.DataFrame, what: str, top: pl.Expr, bottom: pl.Expr) -> None:
        """`_share`, also by source and by length."""
        self._share(solutions, what, top, bottom)
        for name in BY:
            counts = solutions.group_by(name).agg(top=(top & bottom).sum(), bottom=bottom.sum())
            for value, count, of in counts.iter_rows():
                self._count[what, name, value] += count
                self._of[what, name, value] += of

    def _cell(self, cell: Cell) -> dict[str, int]:
        return {"count": self._count[cell], "total": self._of[cell]}

    def _by(self, name: str) -> dict[str, Any]:
        """The solutions of each source or length, and how many of them contradict themselves."""
        values = {value for _, by, value in self._of if by == name}
        ordered = sorted(values) if name == "source" else list(map(name_length_class, LENGTHS))
        told = ("correct_with_incorrect_step", "incorrect_with_all_steps_correct")
        return {
            value: {
                "completions": self._of["completions", name, value],
                **{what: self._cell((what, name, value)) for what in told},
            }
            for value in ordered
            if value in values
        }


def _by_number(counts: Counter[int]) -> dict[str, int]:
    return {str(number): counts[number] for number in sorted(counts)}


def name_length_class(lower: int) -> str:
    """The name of the class of solution lengths that begins with `lower` characters."""
    at = LENGTHS.index(lower)
    return f"{lower} to {LENGTHS[at + 1] - 1}" if at + 1 < len(LENGTHS) else f"{lower} and more"


def join_completions(labelled: RoundShard) -> pl.DataFrame:
    """One row per sample: label, source, length class, and the number of correct, incorrect and unknown steps."""
    counted = labelled.steps.group_by("sample_id").agg(
        correct=pl.col("label").fill_null(False).sum(),
        incorrect=(~pl.col("label").fill_null(True)).sum(),
        unknown=pl.col("label").is_null().sum(),
    )
    classes = [name_length_class(lower) for lower in LENGTHS]
    length = pl.col("completion").str.len_chars().cut(LENGTHS[1:], labels=classes, left_closed=True).cast(pl.String)
    return (
        labelled.samples.join(labelled.problems.select("problem_id", "source"), on="problem_id", how="left")
        .join(counted, on="sample_id", how="left")
        .with_columns(pl.col("correct", "incorrect", "unknown").fill_null(0).cast(pl.Int64), length=length)
        .with_columns(pl.col("source").fill_null("unknown"), steps=pl.sum_horizontal("correct", "incorrect", "unknown"))
    )


def describe_steps(labelled: RoundShard) -> pl.DataFrame:
    """`labelled.steps` with what their texts are: `short` and `repeated`.

    A step is short that has at most `SHORT` words and numbers beside its numbering and states no relation and no
    answer. It is repeated where it says, but for numbering, case and white space, what an earlier step of the same
    solution said. A model is rewarded for correct steps, and both are easily correct.
    """
    text = (
        pl.col("completion")
        .str.slice(pl.col("start"), pl.col("end") - pl.col("start"))
        .str.replace(_NUMBERING, "")
        .str.replace_all(r"\s+", " ")
        .str.strip_chars()
        .str.to_lowercase()
    )
    return (
        labelled.steps.join(labelled.samples.select("sample_id", "completion"), on="sample_id", how="left")
        .with_columns(text=text)
        .sort("sample_id", "step")
        .with_columns(
            short=(pl.col("text").str.count_matches(r"\w+") <= SHORT) & ~pl.col("text").str.contains(_STATES),
            repeated=~pl.struct("sample_id", "text").is_first_distinct(),
        )
    )
