"""Human labels as a benchmark of judges: one label per step, with the texts that a judge is shown."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from stages.common.human_labels import HumanLabel
from stages.common.raw_rows import parse_line
from stages.common.resolved_labels import resolve_labels
from stages.judge.calibration import LabelledSolution, read_solutions
from tools.human_labels.sample_tables import SampleTables


def read_calibration_set(tables: SampleTables, path: Path) -> Iterator[LabelledSolution]:
    """The solutions in a file of human labels, their texts from `tables`, or in a published benchmark's file."""
    if _holds_human_labels(path):
        labels, left_out = tables.read_labels(path)
        if left_out:
            print(f"{path}: {left_out}", file=sys.stderr)  # what is yielded has no place for it
        yield from build_solutions(tables, labels)
    else:
        yield from read_solutions(path)


def build_solutions(tables: SampleTables, labels: list[HumanLabel]) -> Iterator[LabelledSolution]:
    """A solution per completion of `tables` that has one of `labels`, sorted; its split is that of its problem.

    `labels` are of the steps' texts, see `SampleTables.read_labels`.

    Labels that were given with the judge's in view do not count unless they adjudicate: they would flatter the judge.
    """
    labels = [label for label in labels if label.is_blind or label.kind == "adjudicated"]
    resolved = resolve_labels(labels)
    for (round_name, sample_id), it in sorted(tables.read_completions(labels).items()):
        found = [resolved.get((sample_id, step)) for step in range(len(it.steps))]
        known = [None if label is None else label.is_correct for label in found]
        if any(label is not None for label in known):
            yield LabelledSolution(
                sample_id, it.problem, list(it.steps), known, round_name, it.reference, it.problem_id, it.answer
            )


def export_solutions(tables: SampleTables, labels_path: Path, out: Path) -> str:
    """Write the same as rows of TRL's stepwise supervision, which hold all that calibration and gate need."""
    labels, left_out = tables.read_labels(labels_path)
    rows = [
        {
            "id": it.key,
            "problem_id": it.split_key,
            "prompt": it.problem,
            "completions": it.steps,
            "labels": it.labels,
            "generator": it.generator,
            "reference": it.reference,
            "answer": it.answer,
        }
        for it in build_solutions(tables, labels)
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    num_labels = sum(label is not None for row in rows for label in row["labels"])
    return f"{out}: {len(rows):,} solutions with {num_labels:,} known steps{left_out and '; '}{left_out}"


def _holds_human_labels(path: Path) -> bool:
    """Whether the first line of `path` is a human label; no if there is none."""
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    with path.open("rb") as file:
        value, _ = parse_line(file.readline())
    return isinstance(value, dict) and {"annotator", "sample_id", "step"} <= value.keys()
