"""The completions that human labels are of, found in the tables of rounds and evaluations."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from stages.common.human_labels import HumanLabel, read_human_labels
from stages.common.tables import PROBLEM, SAMPLE, STEP
from stages.judge import CompletionSteps, join_completions
from tools.audit.key_ranges import read_where
from tools.audit.step_hashes import keep_current_labels, read_step_hashes
from tools.audit.table_sets import TableSet, find_all_tables
from tools.dvc_lock import read_lock
from tools.human_labels.annotations import Annotation


@dataclass(frozen=True)
class SampleKey:
    """Where a sample is found."""

    round: str
    problem_id: str
    text_hashes: tuple[str, ...]
    """Of its steps, see `hash_step_text`."""


@dataclass(frozen=True)
class SampleTables:
    """Sets of tables with steps, below `root`."""

    root: Path
    table_sets: list[TableSet]

    @classmethod
    def find(cls, root: Path) -> Self:
        """Those of all rounds and evaluations that have run, as dvc.lock records them."""
        table_sets = find_all_tables(root, read_lock(root)) if (root / "dvc.lock").is_file() else []
        return cls(root, [tables for tables in table_sets if tables.steps is not None])

    def index(self, sample_ids: set[str]) -> dict[str, SampleKey]:
        """Where each of `sample_ids` is found; not those that are nowhere."""
        found: dict[str, SampleKey] = {}
        for tables in self.table_sets:
            assert tables.steps is not None
            where = pl.col("sample_id").is_in(sample_ids)
            problems = dict(read_where(self.root / tables.steps, STEP, where, ["sample_id", "problem_id"]).iter_rows())
            for sample_id, hashes in read_step_hashes(self.root, tables, sample_ids).items():
                in_order = tuple(hashes[step] for step in sorted(hashes))
                found.setdefault(sample_id, SampleKey(tables.name, problems[sample_id], in_order))
        return found

    def read_labels(self, path: Path) -> tuple[list[HumanLabel], str]:
        """The labels of a file that count and are of their steps' texts, and a line on the others, empty for none."""
        labels = read_human_labels(path)
        kept = keep_current_labels(self.root, self.table_sets, labels)
        return kept, describe_left_out(len(labels) - len(kept))

    def read_completions(self, labels: Iterable[HumanLabel]) -> dict[tuple[str, str], CompletionSteps]:
        """The completions that `labels` are of, by round and sample_id; not those that are nowhere."""
        sample_ids: dict[str, set[str]] = defaultdict(set)
        for label in labels:
            sample_ids[label.round].add(label.sample_id)
        found: dict[tuple[str, str], CompletionSteps] = {}
        for tables in self.table_sets:
            if tables.name not in sample_ids:
                continue
            assert tables.steps is not None
            where = pl.col("sample_id").is_in(sample_ids[tables.name])
            samples = read_where(self.root / tables.samples, SAMPLE, where)
            of_samples = pl.col("problem_id").is_in(set(samples["problem_id"]))
            problems = read_where(self.root / tables.problems, PROBLEM, of_samples)
            steps = read_where(self.root / tables.steps, STEP, where)
            found |= {(tables.name, it.sample_id): it for it in join_completions(problems, samples, steps)}
        return found

    def annotate(self, labels: Iterable[HumanLabel]) -> list[Annotation]:
        """`labels` with their completions, sorted; without labels of a completion or step that is nowhere."""
        labels = list(labels)
        completions = self.read_completions(labels)
        grouped: dict[tuple[str, str, str, str], list[HumanLabel]] = defaultdict(list)
        for label in labels:
            completion = completions.get((label.round, label.sample_id))
            if completion is not None and label.step < len(completion.steps):
                grouped[label.round, label.sample_id, label.annotator, label.kind].append(label)
        return [
            Annotation(completions[key[:2]], sorted(of_key, key=lambda label: label.step))
            for key, of_key in sorted(grouped.items())
        ]


def describe_left_out(num_labels: int) -> str:
    """A line on labels of other texts than their steps have, empty for none."""
    return f"{num_labels:,} labels are of another text of their step, and left out" if num_labels else ""
