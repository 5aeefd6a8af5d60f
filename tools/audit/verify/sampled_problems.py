"""Which problems were sampled: those that the rule chooses, all of them and no others."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from stages.common.tables import shard_names
from stages.sample import choose_problems
from tools.audit.check_results import CheckResults
from tools.audit.key_ranges import UNREADABLE
from tools.audit.table_sets import TableSet
from tools.audit.verify.row_checks import DRAWS_ALL


def check_chosen(findings: CheckResults, root: Path, part: TableSet, policy: str) -> None:
    """Compare the problems that have samples with those that the rule of `part` chooses; `policy` is its hash."""
    try:
        pool = (
            _scan(root / part.problems, part.digits)
            .filter(pl.col("split") == part.split)
            .select("problem_id")
            .collect()
        )
        sampled = _scan(root / part.samples, part.digits).select("problem_id").unique().sort("problem_id").collect()
    except UNREADABLE:
        return  # check "tables" has said so
    # A round's problems are chosen by hash; an evaluation's are the first by id.
    due = choose_problems(pool, policy, part.limit if part.selection else None)
    due = due.head(part.limit) if part.limit is not None else due
    for problem in sampled.join(due, on="problem_id", how="anti", maintain_order="left")["problem_id"]:
        findings.fault("samples", f"{part.samples}: problem {problem}", f"is not among the {part.split} ones to sample")
    if part.sample.engine != DRAWS_ALL:
        return
    for problem in due.join(sampled, on="problem_id", how="anti", maintain_order="left")["problem_id"]:
        findings.fault("samples", f"{part.samples}: problem {problem}", "has no samples and should")


def _scan(folder: Path, digits: int) -> pl.LazyFrame:
    return pl.scan_parquet([folder / f"{shard}.parquet" for shard in shard_names(digits)])
