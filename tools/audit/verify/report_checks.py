"""Reports of stages must count what their tables hold."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.engines import find_engine_kind
from stages.common.errors import UserError
from stages.common.params.block import validate
from stages.common.params.evaluate import EvaluateParams
from stages.common.params.sample import SampleParams
from stages.common.params.tables import TablesParams
from stages.common.policies import MANIFEST
from stages.common.statistics import Bootstrap, Counts
from stages.common.tables import LABEL, OUTCOME, SAMPLE, read_table, seed_from
from stages.evaluate.metrics import count_completions, count_formats, count_greedy, summarize_samples
from stages.evaluate.several_samples import count_samples
from stages.report import compute_summary
from tools.audit.check_results import CheckResults
from tools.audit.key_ranges import UNREADABLE
from tools.audit.table_sets import TableSet, read_json
from tools.dvc_lock import LockEntry

REPORT_FOLDER = Path("data/reports")
COPY_FOLDER = Path("reports/stages")
"""Where stage report copies the reports to, for Git."""

SUMMARY_PARAMS = Path("reports/params/M0.yaml")
"""The params with which stage report runs."""

VERDICTS = {True: "correct", False: "incorrect", None: "unknown"}

Metrics = dict[str, Any]


def check_round_counts(results: CheckResults, root: Path, tables: TableSet) -> None:
    """The numbers in the reports of round `tables.name` that follow from its tables."""
    try:
        expected = _count_round(root, tables)
    except UNREADABLE:
        return  # check "tables" reports it
    for stage, values in expected.items():
        path = REPORT_FOLDER / stage / f"{tables.name}.json"
        _compare(results, path, read_json(root / path), values)
    if tables.selection is not None and (manifest := read_json(root / tables.selection.folder / MANIFEST)):
        path = REPORT_FOLDER / "dataset" / f"{tables.name}.json"
        given = {key: value for key, value in manifest.items() if key != "drops"}
        _compare(results, path, read_json(root / path), {**given, "manifest": manifest.get("hash")})
    if policy := read_json(root / "models" / tables.name / MANIFEST).get("hash"):
        path = REPORT_FOLDER / "train" / f"{tables.name}.json"
        _compare(results, path, read_json(root / path), {"policy": policy})


def check_evaluation_report(results: CheckResults, root: Path, entry: LockEntry, policy: str) -> None:
    """The metrics in the report of evaluation `policy`, which stage `entry` wrote, but for majority votes."""
    params = entry.tracked_params
    evaluate = validate(EvaluateParams, params["evaluate"], "evaluate")
    is_recorded = not find_engine_kind(validate(SampleParams, params["sample"], "sample").engine).generates
    digits = validate(TablesParams, params["tables"], "tables").shard_digits
    bootstrap = Bootstrap(evaluate.num_bootstrap_samples, seed_from("bootstrap", params["seed"]))
    path, folder = REPORT_FOLDER / "evaluate" / f"{policy}.json", root / "data/evaluations" / policy
    report = read_json(root / path)
    sets = {} if evaluate.split is None else {folder: ("", report)}
    benchmarks = report.get("benchmarks") or {}
    sets |= {folder / "benchmarks" / name: (f"{name}: ", benchmarks.get(name) or {}) for name in evaluate.benchmarks}
    for of_set, (prefix, given) in sets.items():
        try:
            counts = _count_set(of_set, digits, evaluate.num_majority_samples, is_recorded)
            names = ("samples", "outcomes", "steps", "labels")
            rows = {name: _scan(of_set / name).select(pl.len()).collect().item() for name in names}
        except UNREADABLE:
            continue  # check "tables" reports it
        metrics = {name: each.estimate(bootstrap).to_dict() for name, each in counts.items()}
        _compare(results, path, given.get("metrics") or {}, metrics, f"{prefix}metrics.")
        _compare(results, path, given.get("num_rows") or {}, rows, f"{prefix}num_rows.")


def check_report_copies(results: CheckResults, root: Path) -> None:
    """The copies that Git holds must be the reports, where these are here."""
    if not (root / REPORT_FOLDER).is_dir():
        return  # check "files" reports it
    folders = (root / REPORT_FOLDER, root / COPY_FOLDER)
    names = {path.relative_to(folder) for folder in folders for path in folder.rglob("*.json")}
    for name in sorted(names):
        results.count("reports", 1)
        report, copy = (_read_bytes(root / folder / name) for folder in (REPORT_FOLDER, COPY_FOLDER))
        if report != copy:
            results.add_error("reports", str(COPY_FOLDER / name), f"is not {REPORT_FOLDER / name}")


def check_summary(results: CheckResults, root: Path) -> None:
    """The table of rounds and the metrics for DVC must be what the stages' reports give."""
    if not (root / REPORT_FOLDER).is_dir():
        return  # check "files" reports it
    try:
        rounds, metrics = compute_summary(root / SUMMARY_PARAMS, root / REPORT_FOLDER)
    except UserError:
        return  # checks "files" and "lock" report it
    results.count("reports", 2)
    folder = COPY_FOLDER.parent
    if _read_bytes(root / folder / "rounds.csv") != rounds.encode():
        results.add_error("reports", str(folder / "rounds.csv"), f"is not the table that {REPORT_FOLDER} gives")
    if read_json(root / folder / "metrics.json") != metrics:
        results.add_error("reports", str(folder / "metrics.json"), f"is not what {REPORT_FOLDER} gives")


def _read_bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _compare(results: CheckResults, path: Path, report: Metrics, expected: Metrics, prefix: str = "") -> None:
    results.count("reports", len(expected))
    for key, value in expected.items():
        if report.get(key) != value:
            what = f"{prefix}{key} is {report.get(key)!r}; the tables give {value!r}"
            results.add_error("reports", str(path), what)


def _count_round(root: Path, tables: TableSet) -> dict[str, Metrics]:
    """The numbers of each stage's report that follow from its tables, reading few columns."""
    samples, outcomes = _scan(root / tables.samples), _scan(root / tables.outcomes)
    tokens = samples.select(pl.len(), pl.col("prompt_tokens", "completion_tokens").sum()).collect().row(0, named=True)
    verdicts = _count_values(outcomes, "is_correct")
    expected: dict[str, Metrics] = {
        "sample": {
            "samples": tokens.pop("len"),
            **tokens,
            "finish_reasons": dict(_count_values(samples, "finish_reason")),
        },
        "outcome": {
            "verdicts": {word: verdicts[value] for value, word in VERDICTS.items()},
            **{
                f"{name}s": {value or "none": count for value, count in _count_values(outcomes, name).items()}
                for name in ("extraction_rule", "reason", "verifier")
            },
        },
    }
    if tables.selection is not None:
        reasons = _count_values(_scan(root / tables.selection.selections), "drop_reason")
        expected["select"] = {"samples": reasons.total(), "selected": reasons[None]}
    if tables.steps is not None and tables.labels is not None:
        numbers = _count_values(_scan(root / tables.steps), "step")
        sizes = {step + 1: count - numbers[step + 1] for step, count in sorted(numbers.items())}
        steps = {"steps": numbers.total(), "steps_per_sample": {str(size): n for size, n in sizes.items() if n}}
        labels = _count_values(_scan(root / tables.labels), "label")
        expected["split"] = steps
        expected["judge"] = {
            "steps": labels.total(),
            "labels": {word: labels[value] for value, word in VERDICTS.items()},
        }
    return expected


def _count_set(folder: Path, digits: int, num_majority_samples: int, is_recorded: bool) -> dict[str, Counts]:
    """Counts of one set of an evaluation, without the majority vote, for which answers are compared with each other."""
    samples, outcomes = (
        read_table(folder / name, table, digits) for name, table in (("samples", SAMPLE), ("outcomes", OUTCOME))
    )
    summary = summarize_samples(samples, read_table(folder / "labels", LABEL, digits), outcomes)
    counts = count_completions(summary) if is_recorded else count_greedy(summary)
    if is_recorded:
        del counts["truncated"]  # not recorded
    elif num_majority_samples:
        samples, outcomes = (
            read_table(folder / "majority" / name, table, digits)
            for name, table in (("samples", SAMPLE), ("outcomes", OUTCOME))
        )
        formats = count_formats(samples.join(outcomes.select("sample_id", "answer"), on="sample_id", validate="1:1"))
        counts |= {f"sampled_{name}": each for name, each in formats.items()}
    if num_majority_samples:
        several = count_samples(samples, outcomes, num_majority_samples, lambda pairs: [None] * len(pairs))
        counts |= {name: each for name, each in several.items() if not name.startswith("maj_at_")}
    return counts


def _scan(folder: Path) -> pl.LazyFrame:
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise UserError(f"{folder}: has no shards")
    return pl.scan_parquet(files)


def _count_values(rows: pl.LazyFrame, column: str) -> Counter[Any]:
    """How many rows hold each value of a column, null among them."""
    return Counter(dict(rows.group_by(column).len().collect().iter_rows()))
