"""Tables of a round with steps to label, for tests of what is done with human labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from stages.common.human_labels import HumanLabel, hash_step_text
from stages.common.params.judge import JudgeParams
from stages.common.params.outcome import OutcomeParams
from stages.common.params.sample import SampleParams
from stages.common.params.split import SplitParams
from stages.common.tables import PROBLEM, SAMPLE, STEP, write_table
from tests.support.human_labels import human_label
from tools.audit.table_sets import TableSet
from tools.human_labels import SampleTables

STEPS = {
    "s0": ["First, $1+1=2$.\n", "Zweitens: ½.\n", "So 2."],
    "s1": ["a\u2028b\n", " ", "</script>\n", "end"],
    "s2": ["only"],
    "s3": ["x\n", "y\n"],
}
"""Steps of each sample; the first two are of problem p0, the others of p1 and p2."""

PROBLEMS = {"s0": "p0", "s1": "p0", "s2": "p1", "s3": "p2"}


def make_tables(root: Path, name: str = "M1") -> SampleTables:
    """Write the tables of round `name` below `root`."""
    samples, steps = [], []
    for sample_id, texts in STEPS.items():
        ids = {"sample_id": sample_id, "problem_id": PROBLEMS[sample_id]}
        cells = {"policy": "p", "sampling_hash": "s", "sample_index": 0, "finish_reason": "stop"}
        samples.append(dict.fromkeys(SAMPLE.schema) | ids | cells | {"completion": "".join(texts)})
        at = 0
        for step, text in enumerate(texts):
            steps.append(ids | {"step": step, "start": at, "end": at + len(text)})
            at += len(text)
    cells = {"split": "train", "source": "s", "answer": "2", "origin": "o", "origin_row": 0, "task": "math"}
    problems = [cells | {"problem_id": key, "problem": f"Problem {key}?", "solution": f"Solution {key}."}
                for key in sorted(set(PROBLEMS.values()))]  # fmt: skip
    tables = TableSet(
        name=name, policy=Path("models/M0"), shard_digits=0, seed=1, split="train", num_problems=None,
        sample=SampleParams.model_construct(), samples=Path("data/samples", name),
        outcome=OutcomeParams.model_construct(), outcomes=Path("data/outcomes", name),
        splitter=SplitParams.model_construct(), steps=Path("data/steps", name),
        judge=JudgeParams.model_construct(kind="none"), labels=None, selection=None,
    )  # fmt: skip
    rows: list[tuple[Path, Any, list[dict[str, Any]]]] = [
        (Path("data/problems"), PROBLEM, problems),
        (tables.samples, SAMPLE, samples),
        (Path("data/steps", name), STEP, steps),
    ]
    for folder, table, of_table in rows:
        write_table(root / folder, table, pl.DataFrame(of_table, schema=table.schema), 0)
    return SampleTables(root, [tables])


def label(annotator: str, sample_id: str, step: int, said: str = "correct", **cells: Any) -> HumanLabel:
    """What `annotator` said of a step of the tables."""
    ids = {"sample_id": sample_id, "problem_id": PROBLEMS[sample_id], "round": "M1"}
    texts = STEPS.get(sample_id, [])
    if step < len(texts):
        ids["text_hash"] = hash_step_text(texts[step])
    return human_label(annotator=annotator, step=step, label=said, **ids | cells)
