"""Labels must follow from what they are derived from: a rule, votes of language models, or scores."""

from pathlib import Path

import polars as pl

from stages.common.errors import UserError
from stages.common.tables import REPLY
from stages.judge import Judge, LabelEvidence, make_judge
from stages.judge.llm import InvalidReply, read_kept_reply
from tools.audit.check_results import CheckResults
from tools.audit.key_ranges import ALL_STEPS, SAMPLE_KEY, STEP_KEY, KeyRange
from tools.audit.table_sets import TableSet
from tools.audit.verify.row_comparison import check_equal, check_parents, name_row, read_checked


def check_labels(
    results: CheckResults,
    root: Path,
    tables: TableSet,
    keys: KeyRange,
    problems: pl.DataFrame,
    samples: pl.DataFrame,
    steps: pl.DataFrame,
    labels: pl.DataFrame,
) -> None:
    """Labels of the range must be what the judge gives, one for every step."""
    path = f"{tables.labels}/{keys.shard}.parquet"
    steps = steps.join(samples.select(SAMPLE_KEY), on=SAMPLE_KEY, how="semi", maintain_order="left")
    judge = make_judge(tables.judge, tables.seed)
    if judge.audit_note is not None:
        results.note_not_recomputed("labels", judge.audit_note, labels.height)
    replies = _read_replies(results, root, tables, keys, judge, steps) if judge.has_replies else None
    expected = judge.recount(LabelEvidence(problems, samples, steps, labels, replies))
    if expected is None or "judge" not in expected.columns:
        _check_judge(results, path, judge, labels)
    if expected is None:
        results.note_not_recomputed(
            "labels", f"labels of kind {tables.judge.kind} without their replies", labels.height
        )
        _check_members(results, path, steps, labels)
        return
    columns = expected.columns
    check_equal(results, "labels", path, labels.select(columns), expected.select(columns), STEP_KEY, judge.evidence)


def _read_replies(
    results: CheckResults, root: Path, tables: TableSet, keys: KeyRange, judge: Judge, steps: pl.DataFrame
) -> pl.DataFrame | None:
    """Replies on steps that are there and votes that are requested, each read as it was; others are errors."""
    assert tables.replies is not None
    if not (root / tables.replies / f"{keys.shard}.parquet").is_file():
        return None
    replies = read_checked(results, root, tables.replies, REPLY, keys)
    if replies is None:
        return None
    results.count("labels", replies.height)
    path = f"{tables.replies}/{keys.shard}.parquet"
    is_about_all = pl.col("step") == ALL_STEPS
    known = pl.concat([
        check_parents(results, "labels", path, replies.filter(is_about_all), steps, SAMPLE_KEY, "sample"),
        check_parents(results, "labels", path, replies.filter(~is_about_all), steps, STEP_KEY, "step"),
    ])  # fmt: skip
    num_votes, num_judges = tables.judge.num_votes, len(judge.llms)
    is_vote = pl.col("vote").is_between(0, num_votes - 1)
    is_requested = is_vote & pl.col("judge_index").is_between(0, num_judges - 1)
    for row in known.filter(~is_requested).iter_rows(named=True):
        what = f"was not requested: {num_votes} votes of {num_judges} judges were"
        results.add_error("labels", f"{path}: {name_row(row)}", what)
    known = known.filter(is_requested)
    _check_attempts(results, path, judge, steps, known)
    num_steps = dict(steps.group_by("sample_id").len().iter_rows())
    for row in known.iter_rows(named=True):
        read = read_kept_reply(row, num_steps[row["sample_id"]], judge.llms)
        error = read.error if isinstance(read, InvalidReply) else None
        if row["error"] != error:
            what = f"error is {row['error']!r}, the text gives {error!r}"
            results.add_error("labels", f"{path}: {name_row(row)}", what)
    return known


def _check_judge(results: CheckResults, path: str, judge: Judge, labels: pl.DataFrame) -> None:
    """Every label must name the judge of the params, or one and the same where its model's folder is not here."""
    models = [Path(params.model) for params in (*judge.llms, judge.params.prm) if params is not None]
    try:
        is_known = all(folder.is_dir() or not folder.is_absolute() for folder in models)
        expected = judge.identity if is_known else None
    except UserError:  # its prompt is not here
        expected = None
    expected = expected or str(labels["judge"].mode().sort().first())
    for row in labels.filter(pl.col("judge") != expected).iter_rows(named=True):
        results.add_error("labels", f"{path}: {name_row(row)}", f"judge is {row['judge']}, the params give {expected}")


def _check_attempts(results: CheckResults, path: str, judge: Judge, steps: pl.DataFrame, rows: pl.DataFrame) -> None:
    """Of a sample that a model voted on all votes must be there, with another attempt after an invalid one alone.

    After a request without a completion (no `finish_reason`) the engine had made all its attempts.
    """
    num_steps = dict(steps.group_by("sample_id").len().iter_rows())
    key = ["problem_id", "sample_id", "judge_index"]
    errors = (
        rows.sort("attempt")
        .group_by(*key, "step", "vote")
        .agg("attempt", is_invalid=pl.col("error").is_not_null(), reason=pl.col("finish_reason").last())
    )
    for (problem, sample, index), of_sample in errors.sort(*key, "step", "vote").group_by(key, maintain_order=True):
        llm = judge.llms[index]
        numbers = range(num_steps[sample]) if llm.mode == "step" else [ALL_STEPS]
        missing = {(step, vote) for step in numbers for vote in range(judge.params.num_votes)}
        where = {"problem_id": problem, "sample_id": sample, "judge_index": index}
        for step, vote, attempts, is_invalid, reason in of_sample.drop(key).iter_rows():
            missing.discard((step, vote))
            if attempts != [*range(len(attempts))] or not all(is_invalid[:-1]) or len(attempts) > llm.max_attempts:
                row = {**where, "step": step, "vote": vote, "attempt": attempts[-1]}
                what = f"attempts are {attempts}, invalid {is_invalid}; one follows an invalid one alone"
                results.add_error("labels", f"{path}: {name_row(row)}", what)
            elif is_invalid[-1] and reason and len(attempts) < llm.max_attempts:
                row = {**where, "step": step, "vote": vote, "attempt": len(attempts)}
                results.add_error("labels", f"{path}: {name_row(row)}", "reply is missing; the one before is invalid")
        for step, vote in sorted(missing):
            row = {**where, "step": step, "vote": vote, "attempt": 0}
            results.add_error("labels", f"{path}: {name_row(row)}", "reply is missing")


def _check_members(results: CheckResults, path: str, steps: pl.DataFrame, labels: pl.DataFrame) -> None:
    """Where labels cannot be recomputed, each has its step, each step its label, and the first error is the first."""
    results.count("labels", labels.height)
    with_step = check_parents(results, "labels", path, labels, steps, STEP_KEY, "step")
    for row in steps.join(labels, on=STEP_KEY, how="anti").iter_rows(named=True):
        results.add_error("labels", f"{path}: {name_row(row)}", "step has no label")
    with_step = with_step.with_columns(expected=pl.when(~pl.col("label")).then("step").min().over(SAMPLE_KEY))
    for row in with_step.filter(pl.col("first_error").ne_missing(pl.col("expected"))).iter_rows(named=True):
        what = f"first_error is {row['first_error']}, the labels give {row['expected']}"
        results.add_error("labels", f"{path}: {name_row(row)}", what)
