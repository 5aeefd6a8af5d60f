"""Completions sampled elsewhere, evaluated without any model and compared with the verdicts recorded with them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.benchmarks import read_gold_answer, read_problem_file
from stages.common.errors import UserError
from stages.common.params.engine import EngineParams, RecordedParams
from stages.common.policies import Policy
from stages.common.provenance import compute_sha256
from stages.common.raw_rows import read_objects
from stages.common.statistics import Estimate
from stages.common.tables import make_problem_id, write_json
from stages.evaluate.evaluation_params import EvaluationParams, load_params
from stages.evaluate.problem_set import ProblemSetRun, compare_answers, evaluate_problems, get_task
from stages.evaluate.several_samples import AnswerPair, choose_majority, count_samples

DEFAULT_RECIPE = Path("recipes/recorded-math.yaml")

_RECORDED_SCHEMA = {
    "row": pl.Int64, "sample_index": pl.Int64, "gold": pl.String, "problem_id": pl.String, "sample_id": pl.String,
    "answer": pl.String, "is_correct": pl.Boolean,
}  # fmt: skip


@dataclass(frozen=True)
class RecordedEvaluation:
    """Our metrics, those by the recorded verdicts (None without them), and all differences.

    Columns of differences: ``row`` (1-based) and ``sample_index`` (0-based) in the file, ``gold``, the recorded
    ``answer`` and ``is_correct``, ``our_answer``, ``our_verdict`` and its ``reason``.
    """

    report: dict[str, Any]
    as_recorded: dict[str, Estimate] | None
    verdict_differences: pl.DataFrame
    majority_differences: pl.DataFrame


def run_recorded(file: Path, recipe: Path = DEFAULT_RECIPE, out: Path | None = None) -> str:
    """Evaluate `file`, JSON Lines with `problem`, `answer` and a list `solutions`; return lines for a console.

    Verifier, judge and bootstrap follow `recipe`; `out` receives the report as JSON.
    """
    evaluation = evaluate_recorded(file, load_params(recipe))
    if out is not None:
        write_json(out, evaluation.report)
    return format_recorded(evaluation)


def evaluate_recorded(path: Path, params: EvaluationParams) -> RecordedEvaluation:
    """Evaluate the completions in `path` (see `run_recorded`), at most `evaluate.num_majority_samples` per problem.

    If every row has `recorded_correct` and `recorded_answers`, each a list as long as `solutions`, the metrics are
    also computed from those, with votes counted by text, and every difference is listed. Raises `UserError`
    naming the row.
    """
    problems = read_problem_file(path.stem, path)
    engine = EngineParams(kind="recorded", recorded=RecordedParams(path=str(path)))
    sample = params.sample.model_copy(update={"engine": engine})
    params = replace(params, sample=sample)
    policy = Policy(path.parent, compute_sha256(path), None, None)
    run = ProblemSetRun(problems, policy, params, path.name)
    run.draw(None)
    result = evaluate_problems(run)
    samples, outcomes = result.tables["samples"], result.tables["outcomes"]
    recorded = _read_recorded(path, samples)
    if recorded is None:
        return RecordedEvaluation(result.report, None, pl.DataFrame(), pl.DataFrame())
    recorded_outcomes = recorded.select("problem_id", "sample_id", "answer", "is_correct")
    counts = count_samples(samples, recorded_outcomes, params.evaluate.num_majority_samples, _compare_by_text)
    ours = outcomes.select("sample_id", "reason", our_answer="answer", our_verdict="is_correct")
    recorded_majority = choose_majority(samples, recorded_outcomes, _compare_by_text)
    our_majority = choose_majority(samples, outcomes, partial(compare_answers, params=params, task=get_task(problems)))
    majorities = (
        recorded.drop("is_correct", "problem_id")
        .join(recorded_majority.select("problem_id", "sample_id", "is_correct"), on="sample_id")
        .join(our_majority.select("problem_id", our_answer="answer", our_verdict="is_correct"), on="problem_id")
        .with_columns(reason=pl.lit("majority"))
    )
    return RecordedEvaluation(
        result.report,
        {name: it.estimate(params.bootstrap) for name, it in counts.items()},
        _list_differences(recorded.join(ours, on="sample_id", validate="1:1")),
        _list_differences(majorities),
    )


def format_recorded(evaluation: RecordedEvaluation) -> str:
    """The evaluation for the terminal."""
    lines = [f"{'':32}{'measured':46}by the recorded verdicts"]
    for name, estimate in evaluation.report["metrics"].items():
        recorded = (evaluation.as_recorded or {}).get(name)
        by_recorded = _format_estimate(recorded.to_dict()) if recorded else ""
        lines.append(f"{name:32}{_format_estimate(estimate):46}{by_recorded}".rstrip())
    if evaluation.as_recorded is not None:
        differences = {"verdicts": evaluation.verdict_differences, "majorities": evaluation.majority_differences}
        for name, found in differences.items():
            lines += ["", f"{name} that differ from the recorded ones: {found.height}"]
            lines += map(_format_difference, found.iter_rows(named=True))
    lines += [f"left out, {reason}: {drop['rows']}" for reason, drop in evaluation.report["drops"].items()]
    return "\n".join(lines)


def _read_recorded(path: Path, samples: pl.DataFrame) -> pl.DataFrame | None:
    """Recorded answer and verdict of each of `samples` (SAMPLE rows), None if the file does not hold them."""
    ids = {(row[0], row[1]): row[2] for row in samples.select("problem_id", "sample_index", "sample_id").iter_rows()}
    rows = []
    for number, (location, row) in enumerate(read_objects(path), start=1):
        gold = read_gold_answer(location, row)
        problem = make_problem_id(row["problem"], gold)
        answers, verdicts = row.get("recorded_answers"), row.get("recorded_correct")
        if answers is None or verdicts is None:
            return None
        lengths = {len(column) if isinstance(column, list) else -1 for column in (answers, verdicts, row["solutions"])}
        if len(lengths) != 1 or not all(isinstance(verdict, bool) for verdict in verdicts):
            raise UserError(f"{location}: recorded_answers and recorded_correct: expected one text and Boolean each")
        for index, (answer, verdict) in enumerate(zip(answers, verdicts, strict=True)):
            if (problem, index) in ids:
                text = None if answer is None else str(answer)
                rows.append((number, index, gold, problem, ids[problem, index], text, verdict))
    return pl.DataFrame(rows, schema=_RECORDED_SCHEMA, orient="row")


def _list_differences(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of which only one of `our_verdict` and the recorded `is_correct` is correct."""
    is_different = pl.col("our_verdict").fill_null(False) != pl.col("is_correct")
    return rows.filter(is_different).sort("row", "sample_index")


def _compare_by_text(pairs: Sequence[AnswerPair]) -> list[bool | None]:
    """No two different texts are equal."""
    return [False] * len(pairs)


def _format_difference(row: dict[str, Any]) -> str:
    words = {True: "correct", False: "incorrect", None: "unknown"}
    recorded = f"recorded {row['answer']!r} as {words[row['is_correct']]}"
    found = f"found {row['our_answer']!r}, {words[row['our_verdict']]} ({row['reason']})"
    return f"row {row['row']}, completion {row['sample_index']}: gold {row['gold']!r}; {recorded}; {found}"


def _format_estimate(estimate: dict[str, Any]) -> str:
    """Value, interval and counts in one cell."""
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None:
        return "nothing counted"
    counts = f"{estimate['numerator']:g} of {estimate['denominator']}"
    return f"{value:.4f} ({low:.3f} to {high:.3f})  {counts}"
