"""The rows of one range: ids, spans, labels and verdicts recomputed and compared with those on disk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stages.common.engines import find_engine_kind
from stages.common.tables import (
    LABEL,
    OUTCOME,
    PROBLEM,
    SAMPLE,
    SELECTION,
    STEP,
    VERIFIER_RESPONSE,
    Table,
    list_shards,
    make_problem_id,
    make_sample_id,
    seed_from,
)
from stages.common.verifiers import UNSTABLE_REASONS
from stages.outcome import ModelQuestion, apply_responses, list_questions, verify_samples
from stages.sample import choose_problems, hash_sampling
from stages.select import keep_in_scope, select_samples
from stages.split import split_samples
from tools.audit.check_results import CheckResults
from tools.audit.key_ranges import SAMPLE_KEY, STEP_KEY, UNREADABLE, KeyRange
from tools.audit.table_sets import DatasetSelection, TableSet
from tools.audit.verify.label_checks import check_labels
from tools.audit.verify.row_comparison import check_equal, check_parents, name_row, read_checked
from tools.audit.verify.token_checks import check_token_ids


@dataclass(frozen=True)
class RangeRows:
    """The tables of one range; None where a table is not there or not readable."""

    problems: pl.DataFrame | None
    samples: pl.DataFrame | None
    steps: pl.DataFrame | None
    labels: pl.DataFrame | None
    outcomes: pl.DataFrame | None
    selection: pl.DataFrame | None


def read_rows(results: CheckResults, root: Path, tables: TableSet, keys: KeyRange) -> RangeRows:
    """Read one range of `tables`; what cannot be read is an error of check ``tables``."""

    def read(folder: Path | None, table: Table) -> pl.DataFrame | None:
        if folder is None:
            return None
        # Several table sets share the problems, whose shape `check_problems` checks once.
        return read_checked(results, root, folder, table, keys, with_shape=folder != tables.problems)

    return RangeRows(
        read(tables.problems, PROBLEM),
        read(tables.samples, SAMPLE),
        read(tables.steps, STEP),
        read(tables.labels, LABEL),
        read(tables.outcomes, OUTCOME),
        read(tables.selection.selections if tables.selection else None, SELECTION),
    )


def check_problems(results: CheckResults, root: Path, folder: Path, keys: KeyRange) -> None:
    """Problem ids must follow from the problems in `folder`."""
    frame = read_checked(results, root, folder, PROBLEM, keys)
    if frame is None:
        return
    results.count("problems", frame.height)
    for identity, problem, answer in frame.select("problem_id", "problem", "answer").iter_rows():
        expected = make_problem_id(problem, answer)
        if identity != expected:
            where = f"{folder}/{keys.shard}.parquet: problem {identity}"
            results.add_error("problems", where, f"text and answer give id {expected}")


def check_rows(
    results: CheckResults, root: Path, tables: TableSet, keys: KeyRange, rows: RangeRows, policy: str | None
) -> None:
    """All checks of one range; `policy` is the hash of the policy that wrote the samples, None if unknown."""
    if rows.problems is None or rows.samples is None:
        return
    if "samples" in results:
        _check_samples(results, tables, keys, rows.problems, rows.samples, policy)
        check_token_ids(results, f"{tables.samples}/{keys.shard}.parquet", rows.samples, root / tables.policy)
    samples = rows.samples.join(rows.problems.select("problem_id"), on="problem_id", how="semi", maintain_order="left")
    if "verdicts" in results and rows.outcomes is not None:
        _check_verdicts(results, root, tables, keys, rows.problems, samples, rows.outcomes)
    in_scope = samples if tables.selection is None or tables.judge.scope == "all" else None
    if tables.selection is not None and rows.selection is not None:
        in_scope = keep_in_scope(samples, rows.selection, tables.judge.scope)
        if "selection" in results and rows.outcomes is not None:
            _check_selection(results, tables.selection, keys, samples, rows.outcomes, rows.selection)
    if "steps" in results and rows.steps is not None and in_scope is not None:
        _check_steps(results, tables, keys, samples, in_scope, rows.steps)
    if "labels" in results and rows.steps is not None and rows.labels is not None:
        check_labels(results, root, tables, keys, rows.problems, samples, rows.steps, rows.labels)


def _check_samples(
    results: CheckResults,
    tables: TableSet,
    keys: KeyRange,
    problems: pl.DataFrame,
    samples: pl.DataFrame,
    policy: str | None,
) -> None:
    path = f"{tables.samples}/{keys.shard}.parquet"
    check_parents(results, "samples", path, samples, problems, ["problem_id"], "problem")
    results.count("samples", samples.height)
    splits = dict(problems.select("problem_id", "split").iter_rows())
    sampling_hash, num_samples = hash_sampling(tables.sample, tables.seed), tables.sample.num_samples
    engine = find_engine_kind(tables.sample.engine)
    for row in samples.iter_rows(named=True):
        problem, index = row["problem_id"], row["sample_index"]
        identity = make_sample_id(problem, row["policy"], row["sampling_hash"], index, row["completion"])
        seed = seed_from("sample", problem, row["policy"], row["sampling_hash"], index)
        expected = {
            "sample_id": identity,
            "policy": policy or row["policy"],
            "sampling_hash": sampling_hash,
            "seed": engine.choose_seed(seed),
        }
        errors = [f"{name} is {row[name]!r}, expected {value!r}" for name, value in expected.items()
                  if row[name] != value]  # fmt: skip
        if not 0 <= index < num_samples:
            errors.append(f"sample_index is {index}, of {num_samples} samples")
        if splits.get(problem, tables.split) != tables.split:
            errors.append(f"its problem is of split {splits[problem]}, not {tables.split}")
        if errors:
            where = f"{path}: sample {row['sample_id']} of problem {problem}"
            results.add_error("samples", where, "; ".join(errors))
    if _is_complete(tables):
        indices = samples.group_by("problem_id", maintain_order=True).agg(pl.col("sample_index").unique())
        for problem, found in indices.filter(pl.col("sample_index").list.len() < num_samples).iter_rows():
            missing = sorted({*range(num_samples)} - {*found})
            results.add_error("samples", f"{path}: problem {problem}", f"samples with index {missing} are missing")


def check_sampled_problems(results: CheckResults, root: Path, tables: TableSet, policy: str) -> None:
    """The problems that have samples must be those that the rule chooses; `policy` is the policy's hash."""
    try:
        pool = _scan(root / tables.problems, tables).filter(pl.col("split") == tables.split).select("problem_id")
        sampled = _scan(root / tables.samples, tables).select("problem_id").unique().sort("problem_id").collect()
        problems = pool.collect()
    except UNREADABLE:
        return  # check "tables" reports it
    # A round's problems are chosen by hash; an evaluation's are the first by id.
    expected = choose_problems(problems, policy, tables.num_problems if tables.selection else None)
    expected = expected.head(tables.num_problems) if tables.num_problems is not None else expected
    for problem in sampled.join(expected, on="problem_id", how="anti", maintain_order="left")["problem_id"]:
        what = f"is not among the {tables.split} problems to sample"
        results.add_error("samples", f"{tables.samples}: problem {problem}", what)
    if _is_complete(tables):
        for problem in expected.join(sampled, on="problem_id", how="anti", maintain_order="left")["problem_id"]:
            results.add_error("samples", f"{tables.samples}: problem {problem}", "has no samples")


def _scan(folder: Path, tables: TableSet) -> pl.LazyFrame:
    return pl.scan_parquet([folder / f"{shard}.parquet" for shard in list_shards(tables.shard_digits)])


def _check_steps(
    results: CheckResults,
    tables: TableSet,
    keys: KeyRange,
    samples: pl.DataFrame,
    in_scope: pl.DataFrame,
    steps: pl.DataFrame,
) -> None:
    """`in_scope` are those of `samples` that the judge labels."""
    path = f"{tables.steps}/{keys.shard}.parquet"
    with_sample = check_parents(results, "steps", path, steps, samples, SAMPLE_KEY, "sample")
    broken = find_broken_spans(with_sample, samples)
    for row in broken.iter_rows(named=True):
        spans = f"steps {row['steps']}, starts {row['starts']}, ends {row['ends']}"
        what = f"spans do not lead from 0 to {row['length']} without gap: {spans}"
        results.add_error("steps", f"{path}: {name_row(row)}", what)
    intact = in_scope.join(broken, on=SAMPLE_KEY, how="anti", maintain_order="left")
    if tables.splitter.shape == "model":  # asking it again may cost money
        results.count("steps", steps.height)
        results.note_not_recomputed("steps", "where a model divided", steps.height)
        return
    expected = split_samples(intact, tables.splitter)
    rest = with_sample.join(broken, on=SAMPLE_KEY, how="anti", maintain_order="left")
    check_equal(results, "steps", path, rest, expected, STEP_KEY, "the splitter")
    results.count("steps", steps.height - rest.height)


def find_broken_spans(steps: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Samples whose steps, in order, are not numbered from 0 or do not lead from 0 to the end of the completion.

    Columns problem_id, sample_id, length, steps, starts, ends. A sample without steps is not among them.
    """
    spans = (
        steps.sort(STEP_KEY)
        .group_by(SAMPLE_KEY, maintain_order=True)
        .agg(steps="step", starts="start", ends="end", count=pl.len())
        .join(samples.select(*SAMPLE_KEY, length=pl.col("completion").str.len_chars()), on=SAMPLE_KEY)
    )
    is_numbered = pl.col("steps") == pl.int_ranges(0, pl.col("count"), dtype=pl.Int32)
    is_contiguous = (
        (pl.col("starts").list.first() == 0)
        & (pl.col("ends").list.last() == pl.col("length"))
        & (pl.col("starts").list.slice(1) == pl.col("ends").list.head(pl.col("count") - 1))
        & (pl.col("starts").list.eval(pl.element().diff().drop_nulls() > 0).list.all())
    )
    return spans.filter(~(is_numbered & is_contiguous)).drop("count")


def _check_verdicts(
    results: CheckResults,
    root: Path,
    tables: TableSet,
    keys: KeyRange,
    problems: pl.DataFrame,
    samples: pl.DataFrame,
    outcomes: pl.DataFrame,
) -> None:
    path = f"{tables.outcomes}/{keys.shard}.parquet"
    expected = verify_samples(problems, samples, tables.outcome, num_workers=1)
    is_unsure = pl.any_horizontal(pl.col("reason").str.starts_with(reason) for reason in UNSTABLE_REASONS)
    unsure = pl.concat([outcomes, expected]).filter(is_unsure)
    results.note_not_recomputed("verdicts", "verdicts that ran out of time", unsure["sample_id"].n_unique())
    second = tables.outcome.second_verifier
    if second is not None and tables.verifier_responses is not None:
        responses = read_checked(results, root, tables.verifier_responses, VERIFIER_RESPONSE, keys)
        if responses is None:
            return
        _check_questions(
            results, tables.verifier_responses, keys, list_questions(expected, problems, second), responses
        )
        expected = apply_responses(expected, responses, second)
    sure = outcomes.join(unsure, on=SAMPLE_KEY, how="anti", maintain_order="left")
    expected = expected.join(unsure, on=SAMPLE_KEY, how="anti", maintain_order="left")
    check_equal(results, "verdicts", path, sure, expected, SAMPLE_KEY, "the verifier")


def _check_questions(
    results: CheckResults, folder: Path, keys: KeyRange, questions: Iterable[ModelQuestion], responses: pl.DataFrame
) -> None:
    """The model must have been asked what the rules leave unknown, and nothing else."""
    key = list(VERIFIER_RESPONSE.key)
    rows = [(one.problem_id, one.sample_id, one.is_swapped, one.request.key) for one in questions]
    schema = {name: VERIFIER_RESPONSE.schema[name] for name in (*key, "request_hash")}
    expected = pl.DataFrame(rows, schema=schema, orient="row").sort(key)
    path = f"{folder}/{keys.shard}.parquet"
    check_equal(
        results, "verdicts", path, responses.select(list(schema)), expected, key, "what the rules leave unknown"
    )


def _check_selection(
    results: CheckResults,
    selection: DatasetSelection,
    keys: KeyRange,
    samples: pl.DataFrame,
    outcomes: pl.DataFrame,
    rows: pl.DataFrame,
) -> None:
    outcomes = outcomes.select(*SAMPLE_KEY, "is_correct")
    samples = samples.select(*SAMPLE_KEY, "completion").join(outcomes, on=SAMPLE_KEY, how="left")
    expected = select_samples(samples, selection.rule, selection.seed)
    path = f"{selection.selections}/{keys.shard}.parquet"
    check_equal(results, "selection", path, rows, expected, SAMPLE_KEY, "the rule")


def _is_complete(tables: TableSet) -> bool:
    """Whether every sample must be there: requests may fail, and a file may hold fewer."""
    engine = find_engine_kind(tables.sample.engine)
    return engine.generates and not engine.makes_requests
