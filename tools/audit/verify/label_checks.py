"""Labels: a rule's are made again, a served judge's are counted again from its raw replies, a process reward model's
must follow from the scores that their reasons show."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from stages.common.params.judge import PrmParams
from stages.common.tables import REPLY
from stages.judge import judge_samples
from stages.judge.llm import InvalidReply
from tools.audit.check_results import CheckResults
from tools.audit.key_ranges import (
    SAMPLE_KEY,
    STEP_KEY,
    UNREADABLE,
    WHOLE,
    KeyRange,
    check_equal,
    check_parents,
    check_shape,
    name_row,
    read_range,
)
from tools.audit.table_sets import TableSet, replies_folder
from tools.audit.verify.recounted_votes import COUNTED, count_again, read_again


def check_labels(
    findings: CheckResults,
    root: Path,
    part: TableSet,
    span: KeyRange,
    problems: pl.DataFrame,
    samples: pl.DataFrame,
    steps: pl.DataFrame,
    judged: pl.DataFrame,
) -> None:
    """Labels of the range must be what the judge gives, one for every step."""
    path = f"{part.labels}/{span.shard}.parquet"
    own = steps.join(samples.select(SAMPLE_KEY), on=SAMPLE_KEY, how="semi", maintain_order="left")
    if part.judge.kind == "prm":
        assert part.judge.prm is not None
        findings.note("labels", "scores of a process reward model, which is not run again", judged.height)
        _check_members(findings, path, own, judged)
        _check_thresholds(findings, path, part.judge.prm, judged)
        return
    if part.judge.kind != "llm":
        expected = judge_samples(problems, samples, own, part.judge, part.seed)
        check_equal(findings, "labels", path, judged, expected, STEP_KEY, f"judge {part.judge.kind}")
        return
    replies = _read_replies(findings, root, part, span)
    if replies is None:
        findings.note("labels", "labels of a served judge whose replies are not here", judged.height)
        _check_members(findings, path, own, judged)
        return
    where = str(replies_folder(part) / f"{span.shard}.parquet")
    known = _check_replies(findings, where, part, replies, own)
    counted = count_again(known, own, part.judge, part.judges, part.seed)
    said = judged.select(*STEP_KEY, said="reason")
    due = counted.join(said, on=STEP_KEY, how="left").with_columns(reason=pl.coalesce("reason", "said"))
    columns = list(COUNTED)
    check_equal(findings, "labels", path, judged.select(columns), due.select(columns), STEP_KEY, "the vote")


def _read_replies(findings: CheckResults, root: Path, part: TableSet, span: KeyRange) -> pl.DataFrame | None:
    folder = replies_folder(part)
    path = folder / f"{span.shard}.parquet"
    if not (root / path).is_file():
        return None
    try:
        replies = read_range(root / folder, REPLY, span)
    except UNREADABLE as error:
        findings.fault("tables", str(path), f"unreadable: {' '.join(str(error).split())}")
        return None
    check_shape(findings, str(path), REPLY, replies, span.shard)
    return replies


def _check_replies(
    findings: CheckResults, path: str, part: TableSet, replies: pl.DataFrame, steps: pl.DataFrame
) -> pl.DataFrame:
    """Replies must be about steps that are there and votes that were wanted, and read as they were; returns those."""
    findings.seen("labels", replies.height)
    whole = pl.col("step") == WHOLE
    known = pl.concat(
        [
            check_parents(findings, "labels", path, replies.filter(whole), steps, SAMPLE_KEY, "sample"),
            check_parents(findings, "labels", path, replies.filter(~whole), steps, STEP_KEY, "step"),
        ]
    )
    wanted = pl.col("vote").is_between(0, part.judge.num_votes - 1) & pl.col("judge_index").is_between(
        0, part.judges - 1
    )
    for row in known.filter(~wanted).iter_rows(named=True):
        what = f"nobody asked for it: {part.judge.num_votes} votes of {part.judges} judges were wanted"
        findings.fault("labels", f"{path}: {name_row(row)}", what)
    known = known.filter(wanted)
    counts = dict(steps.group_by("sample_id").len().iter_rows())
    for row in known.iter_rows(named=True):
        read = read_again(row, counts[row["sample_id"]])
        fault = read.error if isinstance(read, InvalidReply) else None
        if row["error"] != fault:
            findings.fault("labels", f"{path}: {name_row(row)}", f"error is {row['error']!r}, the text gives {fault!r}")
    return known


def _check_members(findings: CheckResults, path: str, steps: pl.DataFrame, judged: pl.DataFrame) -> None:
    """Where labels cannot be made again: each must have its step, each step its label, the first error be the first."""
    findings.seen("labels", judged.height)
    own = check_parents(findings, "labels", path, judged, steps, STEP_KEY, "step")
    for row in steps.join(judged, on=STEP_KEY, how="anti").iter_rows(named=True):
        findings.fault("labels", f"{path}: {name_row(row)}", "step has no label")
    first = pl.when(~pl.col("label")).then("step").min().over(SAMPLE_KEY)
    for row in (
        own.with_columns(due=first).filter(pl.col("first_error").ne_missing(pl.col("due"))).iter_rows(named=True)
    ):
        what = f"first_error is {row['first_error']}, the labels give {row['due']}"
        findings.fault("labels", f"{path}: {name_row(row)}", what)


def _check_thresholds(findings: CheckResults, path: str, prm: PrmParams, judged: pl.DataFrame) -> None:
    """Labels must follow from the score in their reason, and be unknown where there is none."""
    score = pl.col("reason").str.extract(r"^(?:flipped on purpose: )?score ([01]\.\d{4})$").cast(pl.Float64)
    due = pl.when(score >= prm.correct_threshold).then(True).when(score < prm.incorrect_threshold).then(False)
    flipped = pl.col("reason").str.starts_with("flipped on purpose: ")
    broken = judged.with_columns(due=due ^ flipped).filter(pl.col("label").ne_missing(pl.col("due")))
    for row in broken.iter_rows(named=True):
        what = f"label is {row['label']}, the thresholds make {row['due']} of {row['reason']!r}"
        findings.fault("labels", f"{path}: {name_row(row)}", what)
