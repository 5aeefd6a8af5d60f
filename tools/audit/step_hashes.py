"""Whether human labels are of the texts that their steps have in the tables."""

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from pathlib import Path

import polars as pl

from stages.common.errors import UserError
from stages.common.human_labels import ANOTHER_TEXT, HumanLabel, hash_steps, keep_current
from stages.common.tables import SAMPLE, STEP
from tools.audit.key_ranges import read_where
from tools.audit.table_sets import TableSet


def read_step_hashes(root: Path, tables: TableSet, sample_ids: Set[str]) -> dict[str, dict[int, str]]:
    """Hashes of the texts of samples' steps, by sample_id and step; nothing of samples that have no steps there."""
    if tables.steps is None:
        return {}
    where = pl.col("sample_id").is_in(sample_ids)
    samples = read_where(root / tables.samples, SAMPLE, where, ["sample_id", "completion"])
    return hash_steps(samples, read_where(root / tables.steps, STEP, where))


def keep_current_labels(root: Path, table_sets: Iterable[TableSet], labels: Sequence[HumanLabel]) -> list[HumanLabel]:
    """`keep_current` by the tables of each label's round."""
    sample_ids: defaultdict[str, set[str]] = defaultdict(set)
    for label in labels:
        sample_ids[label.round].add(label.sample_id)
    hashes = {it.name: read_step_hashes(root, it, sample_ids[it.name]) for it in table_sets if it.name in sample_ids}
    return keep_current(labels, lambda label: hashes.get(label.round, {}).get(label.sample_id))


def require_current_labels(
    path: Path, labels: Sequence[HumanLabel], root: Path, table_sets: Iterable[TableSet]
) -> None:
    """Raise `UserError` naming the first of `labels`, those of the file at `path`, that is of another text."""
    current = set(keep_current_labels(root, table_sets, labels))
    if stale := next((label for label in labels if label not in current), None):
        where = f"{path}: {stale.round}, sample {stale.sample_id} step {stale.step}"
        raise UserError(f"{where}: {ANOTHER_TEXT}; label it anew, or remove the line")
