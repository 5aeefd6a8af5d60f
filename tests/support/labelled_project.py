"""Tables of a round with steps to label, for tests of what is done with human labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stages.common.human_labels import HumanLabel, hash_step_text
from stages.common.params.judge import JudgeParams
from tests.support.human_labels import human_label
from tests.support.table_rows import make_problem, make_sample, make_steps, make_table_set, write_rows
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
        samples.append(make_sample(ids, "".join(texts)))
        steps += make_steps(ids, texts)
    problems = [
        make_problem(key, f"Problem {key}?", solution=f"Solution {key}.", answer="2")
        for key in sorted(set(PROBLEMS.values()))
    ]
    tables = make_table_set(name, judge=JudgeParams.model_construct(kind="none"), labels=None)
    write_rows(root, tables, problems=problems, samples=samples, steps=steps)
    return SampleTables(root, [tables])


def label(annotator: str, sample_id: str, step: int, said: str = "correct", **cells: Any) -> HumanLabel:
    """What `annotator` said of a step of the tables."""
    ids = {"sample_id": sample_id, "problem_id": PROBLEMS[sample_id], "round": "M1"}
    texts = STEPS.get(sample_id, [])
    if step < len(texts):
        ids["text_hash"] = hash_step_text(texts[step])
    return human_label(annotator=annotator, step=step, label=said, **ids | cells)
