"""Solutions sampled elsewhere, measured without any model, and held against the verdicts recorded with them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.params.engine import EngineParams, RecordedParams
from stages.common.policies import Policy
from stages.common.provenance import compute_sha256
from stages.common.statistics import Counts, Estimate
from stages.common.tables import problem_id, write_json
from stages.evaluate.attempts import attempt_counts
from stages.evaluate.benchmarks import answer_text, read_lines, read_problem_file
from stages.evaluate.majority import Pair, majority_winners
from stages.evaluate.measure import equal_answers, measure
from stages.evaluate.settings import Settings, load_settings

DEFAULT_RECIPE = Path("recipes/recorded-math.yaml")


@dataclass(frozen=True)
class Difference:
    """Where our verdict is not the recorded one: row of the file (1-based), sample (0-based), and both sides."""

    row: int
    sample: int
    gold: str
    recorded_answer: str | None
    recorded_value: bool
    answer: str | None
    value: bool | None
    reason: str

    def __str__(self) -> str:
        recorded = f"recorded {self.recorded_answer!r} as {_verdict(self.recorded_value)}"
        found = f"found {self.answer!r}, {_verdict(self.value)} ({self.reason})"
        return f"row {self.row}, solution {self.sample}: gold {self.gold!r}; {recorded}; {found}"


@dataclass(frozen=True)
class RecordedEvaluation:
    """What was measured, what was measured by the recorded verdicts (null where none are), and the differences."""

    report: dict[str, Any]
    as_recorded: dict[str, Estimate] | None
    verdicts: list[Difference]
    majorities: list[Difference]


def recorded(arguments: list[str]) -> None:
    """The command: a line per metric, and a line per verdict that is not the recorded one."""
    parser = argparse.ArgumentParser(prog="python -m stages.evaluate recorded", description=__doc__)
    parser.add_argument("file", type=Path, help="JSON Lines with problem, answer and a list solutions")
    parser.add_argument("--recipe", type=Path, default=DEFAULT_RECIPE, help="settings of grader, judge and bootstrap")
    parser.add_argument("--out", type=Path, help="also write the report as JSON here")
    options = parser.parse_args(arguments)
    evaluation = evaluate_recorded(options.file, load_settings(options.recipe))
    print(describe(evaluation))
    if options.out is not None:
        write_json(options.out, evaluation.report)


def evaluate_recorded(path: Path, settings: Settings) -> RecordedEvaluation:
    """Measure the solutions in `path` (see `recorded`), at most `evaluate.majority` per problem.

    Where every row holds `recorded_correct` and `recorded_answers`, each a list as long as `solutions`, the same is
    measured by those, votes counted by text, and every difference is listed. Raises `FileNotFoundError`, or
    `ValueError` naming the row.
    """
    problems = read_problem_file(path.stem, path)
    sample = settings.sample.model_copy(
        update={"engine": EngineParams(kind="recorded", recorded=RecordedParams(path=str(path)))}
    )
    settings = Settings(**{**vars(settings), "sample": sample})
    policy = Policy(path.parent, compute_sha256(path), None, None)
    measured = measure(problems, policy, settings, path.name)
    samples, outcomes = measured.tables["samples"], measured.tables["outcomes"]
    rows = _read_recorded(path, samples)
    if rows is None:
        return RecordedEvaluation(measured.report, None, [], [])
    theirs = rows.select("problem_id", "sample_id", "answer", "is_correct")
    counts: dict[str, Counts] = attempt_counts(samples, theirs, settings.evaluate.majority, _by_text)
    both = rows.join(
        outcomes.select("sample_id", ours="answer", verdict="is_correct", reason="reason"),
        on="sample_id",
        validate="1:1",
    )
    chosen = majority_winners(samples, theirs, _by_text).select("problem_id", "sample_id", "is_correct").join(
        majority_winners(samples, outcomes, lambda pairs: equal_answers(pairs, settings)).select(
            "problem_id", ours="answer", verdict="is_correct"
        ),
        on="problem_id",
    )  # fmt: skip
    majorities = rows.select("row", "sample", "gold", "sample_id", "answer").join(chosen, on="sample_id")
    return RecordedEvaluation(
        measured.report,
        {name: it.estimate(settings.resampling) for name, it in counts.items()},
        _differences(both),
        _differences(majorities.with_columns(reason=pl.lit("majority"))),
    )


def describe(evaluation: RecordedEvaluation) -> str:
    """The evaluation for the console."""
    lines = [f"{'':28}{'measured':46}by the recorded verdicts"]
    for name, estimate in evaluation.report["metrics"].items():
        theirs = (evaluation.as_recorded or {}).get(name)
        lines.append(f"{name:28}{_figure(estimate):46}{_figure(theirs.report()) if theirs else ''}".rstrip())
    if evaluation.as_recorded is not None:
        for what, found in (("verdicts", evaluation.verdicts), ("majorities", evaluation.majorities)):
            lines += ["", f"{what} that are not the recorded ones: {len(found)}", *map(str, found)]
    for reason, drop in evaluation.report["drops"].items():
        lines.append(f"left out, {reason}: {drop['rows']}")
    return "\n".join(lines)


def _read_recorded(path: Path, samples: pl.DataFrame) -> pl.DataFrame | None:
    """Recorded answer and verdict of each of `samples` (SAMPLE rows), null where the file does not hold them."""
    ids = {(row[0], row[1]): row[2] for row in samples.select("problem_id", "sample_index", "sample_id").iter_rows()}
    rows = []
    for number, (where, row) in enumerate(read_lines(path), start=1):
        gold = answer_text(where, row)
        identity = problem_id(row["problem"], gold)
        answers, values = row.get("recorded_answers"), row.get("recorded_correct")
        if answers is None or values is None:
            return None
        lengths = {len(column) if isinstance(column, list) else -1 for column in (answers, values, row["solutions"])}
        if len(lengths) != 1 or not all(isinstance(value, bool) for value in values):
            raise ValueError(f"{where}: recorded_answers and recorded_correct: expected a text and a truth value each")
        for index, (answer, value) in enumerate(zip(answers, values, strict=True)):
            if (identity, index) in ids:
                text = None if answer is None else str(answer)
                rows.append((number, index, gold, identity, ids[identity, index], text, value))
    schema = {
        "row": pl.Int64, "sample": pl.Int64, "gold": pl.String, "problem_id": pl.String, "sample_id": pl.String,
        "answer": pl.String, "is_correct": pl.Boolean,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def _differences(rows: pl.DataFrame) -> list[Difference]:
    """Rows whose `verdict` is right where the recorded `value` is not, or the other way round."""
    unequal = rows.filter(pl.col("verdict").fill_null(False) != pl.col("is_correct")).sort("row", "sample")
    names = ("row", "sample", "gold", "answer", "is_correct", "ours", "verdict", "reason")
    return [Difference(*values) for values in unequal.select(names).iter_rows()]


def _by_text(pairs: Sequence[Pair]) -> list[bool | None]:
    """No two texts are equal."""
    return [False] * len(pairs)


def _verdict(value: bool | None) -> str:
    return "cannot tell" if value is None else "right" if value else "wrong"


def _figure(estimate: dict[str, Any]) -> str:
    """Value, interval and counts in one cell."""
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None:
        return "nothing counted"
    counts = f"{estimate['numerator']:g} of {estimate['denominator']}"
    return f"{value:.4f} ({low:.3f} to {high:.3f})  {counts}"
