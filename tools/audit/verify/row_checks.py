"""The rows of one range: ids, spans, labels and verdicts made again and compared with those on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stages.common.tables import LABEL, OUTCOME, PROBLEM, SAMPLE, STEP, Table, problem_id, sample_id, seed_from
from stages.outcome import grade_samples
from stages.sample import sampling_settings
from stages.split import split_samples
from tools.audit.check_results import CheckResults
from tools.audit.key_ranges import (
    SAMPLE_KEY,
    STEP_KEY,
    UNREADABLE,
    KeyRange,
    check_equal,
    check_parents,
    check_shape,
    name_row,
    read_range,
)
from tools.audit.table_sets import TableSet
from tools.audit.verify.label_checks import check_labels

UNSURE = ("no verdict in ", "the grading process died")
"""Verdicts that depend on the machine's speed or memory begin so."""


DRAWS_ALL = "transformers"
"""The engine that gives all samples that are asked for; others may be refused some."""


@dataclass(frozen=True)
class Rows:
    """The tables of a part in one range; None where a table is not read or not readable."""

    problems: pl.DataFrame | None
    samples: pl.DataFrame | None
    steps: pl.DataFrame | None
    judged: pl.DataFrame | None
    outcomes: pl.DataFrame | None


def read_rows(findings: CheckResults, root: Path, part: TableSet, span: KeyRange) -> Rows:
    """Read what `part` has in the range; what cannot be read is a fault of check ``tables``."""

    def read(folder: Path | None, table: Table) -> pl.DataFrame | None:
        if folder is None:
            return None
        path = folder / f"{span.shard}.parquet"
        try:
            frame = read_range(root / folder, table, span)
        except UNREADABLE as error:
            findings.fault("tables", str(path), f"unreadable: {' '.join(str(error).split())}")
            return None
        if folder != part.problems:  # several parts read those; check_problems looks at them once
            check_shape(findings, str(path), table, frame, span.shard)
        return frame

    return Rows(
        read(part.problems, PROBLEM),
        read(part.samples, SAMPLE),
        read(part.steps, STEP),
        read(part.labels, LABEL),
        read(part.outcomes, OUTCOME),
    )


def check_problems(findings: CheckResults, root: Path, folder: Path, span: KeyRange) -> None:
    """Problem ids must follow from the problems in `folder`."""
    path = folder / f"{span.shard}.parquet"
    try:
        frame = read_range(root / folder, PROBLEM, span)
    except UNREADABLE as error:
        findings.fault("tables", str(path), f"unreadable: {' '.join(str(error).split())}")
        return
    check_shape(findings, str(path), PROBLEM, frame, span.shard)
    findings.seen("problems", frame.height)
    for identity, problem, answer in frame.select("problem_id", "problem", "answer").iter_rows():
        expected = problem_id(problem, answer)
        if identity != expected:
            findings.fault("problems", f"{path}: problem {identity}", f"text and answer give id {expected}")


def check_rows(
    findings: CheckResults, root: Path, part: TableSet, span: KeyRange, rows: Rows, policy: str | None
) -> None:
    """All checks of one range of `part`; `policy` is the hash of the policy that wrote the samples, None if unknown."""
    if rows.problems is None or rows.samples is None:
        return
    samples = rows.samples
    if "samples" in findings:
        _check_samples(findings, part, span, rows.problems, samples, policy)
    samples = samples.join(rows.problems.select("problem_id"), on="problem_id", how="semi", maintain_order="left")
    if "steps" in findings and rows.steps is not None:
        _check_steps(findings, part, span, samples, rows.steps)
    if "labels" in findings and rows.steps is not None and rows.judged is not None:
        check_labels(findings, root, part, span, rows.problems, samples, rows.steps, rows.judged)
    if "verdicts" in findings and rows.outcomes is not None:
        _check_verdicts(findings, part, span, rows.problems, samples, rows.outcomes)


def _check_samples(
    findings: CheckResults,
    part: TableSet,
    span: KeyRange,
    problems: pl.DataFrame,
    samples: pl.DataFrame,
    policy: str | None,
) -> None:
    path = f"{part.samples}/{span.shard}.parquet"
    check_parents(findings, "samples", path, samples, problems, ["problem_id"], "problem")
    findings.seen("samples", samples.height)
    split_of = dict(problems.select("problem_id", "split").iter_rows())
    settings = sampling_settings(part.sample, part.seed)
    for row in samples.iter_rows(named=True):
        problem, index = row["problem_id"], row["sample_index"]
        identity = sample_id(problem, row["policy"], row["sampling_hash"], index, row["completion"])
        seed = seed_from("sample", problem, row["policy"], row["sampling_hash"], index)
        expected = {
            "sample_id": identity,
            "policy": policy or row["policy"],
            "sampling_hash": settings,
            # Other engines draw by rules of their own.
            "seed": {"transformers": seed, "served": seed % 2**31, "recorded": None}[part.sample.engine],
        }
        wrong = [
            f"{name} is {row[name]!r}, should be {value!r}" for name, value in expected.items() if row[name] != value
        ]
        if not 0 <= index < part.sample.samples:
            wrong.append(f"index is {index}, of {part.sample.samples} samples")
        if split_of.get(problem, part.split) != part.split:
            wrong.append(f"its problem is of split {split_of[problem]}, not {part.split}")
        if wrong:
            findings.fault("samples", f"{path}: sample {row['sample_id']} of problem {problem}", "; ".join(wrong))
    if part.sample.engine == DRAWS_ALL:
        _check_complete(findings, path, samples, part.sample.samples)


def _check_complete(findings: CheckResults, path: str, samples: pl.DataFrame, count: int) -> None:
    """Every problem that was sampled must have its `count` samples."""
    drawn = samples.group_by("problem_id", maintain_order=True).agg(pl.col("sample_index").unique())
    for problem, indices in drawn.filter(pl.col("sample_index").list.len() < count).iter_rows():
        missing = sorted({*range(count)} - {*indices})
        findings.fault("samples", f"{path}: problem {problem}", f"samples with index {missing} are missing")


def _check_steps(
    findings: CheckResults, part: TableSet, span: KeyRange, samples: pl.DataFrame, steps: pl.DataFrame
) -> None:
    path = f"{part.steps}/{span.shard}.parquet"
    own = check_parents(findings, "steps", path, steps, samples, SAMPLE_KEY, "sample")
    broken = broken_spans(own, samples)
    for row in broken.iter_rows(named=True):
        span_of = f"steps {row['steps']}, starts {row['starts']}, ends {row['ends']}"
        what = f"spans do not lead from 0 to {row['length']} without gap: {span_of}"
        findings.fault("steps", f"{path}: {name_row(row)}", what)
    whole = samples.join(broken, on=SAMPLE_KEY, how="anti", maintain_order="left")
    expected = split_samples(whole, part.splitter)
    rest = own.join(broken, on=SAMPLE_KEY, how="anti", maintain_order="left")
    check_equal(findings, "steps", path, rest, expected, STEP_KEY, "the splitter")
    findings.seen("steps", steps.height - rest.height)


def broken_spans(steps: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Samples whose steps, in order, are not numbered from 0 or do not lead from 0 to the end of the text.

    Columns problem_id, sample_id, length, steps, starts, ends. A sample without steps is not among them.
    """
    spans = (
        steps.sort(STEP_KEY)
        .group_by(SAMPLE_KEY, maintain_order=True)
        .agg(steps="step", starts="start", ends="end", count=pl.len())
        .join(samples.select(*SAMPLE_KEY, length=pl.col("completion").str.len_chars()), on=SAMPLE_KEY)
    )
    numbered = pl.col("steps") == pl.int_ranges(0, pl.col("count"), dtype=pl.Int32)
    contiguous = (
        (pl.col("starts").list.first() == 0)
        & (pl.col("ends").list.last() == pl.col("length"))
        & (pl.col("starts").list.slice(1) == pl.col("ends").list.head(pl.col("count") - 1))
        & (pl.col("starts").list.eval(pl.element().diff().drop_nulls() > 0).list.all())
    )
    return spans.filter(~(numbered & contiguous)).drop("count")


def _check_verdicts(
    findings: CheckResults,
    part: TableSet,
    span: KeyRange,
    problems: pl.DataFrame,
    samples: pl.DataFrame,
    outcomes: pl.DataFrame,
) -> None:
    path = f"{part.outcomes}/{span.shard}.parquet"
    expected = grade_samples(problems, samples, part.outcome, workers=1)
    both = pl.concat([outcomes, expected]).filter(
        pl.any_horizontal(pl.col("reason").str.starts_with(reason) for reason in UNSURE)
    )
    findings.note("verdicts", "verdicts whose comparison was given up here or there", both["sample_id"].n_unique())
    sure = outcomes.join(both, on=SAMPLE_KEY, how="anti", maintain_order="left")
    due = expected.join(both, on=SAMPLE_KEY, how="anti", maintain_order="left")
    check_equal(findings, "verdicts", path, sure, due, SAMPLE_KEY, "the grader")
