"""ProcessBench (Qwen/ProcessBench, 2412.06559): a row per solution with the index of its first error, -1 for none."""

from pydantic import BaseModel

from stages.judge.calibration import LabelledSolution
from tools.human_labels.annotations import Annotation, ForeignAnnotation, Row, RowFormat, parse_row

ANNOTATOR = "processbench"
"""Whose labels they are: the rows do not say."""


class _Solution(BaseModel):
    id: str | int
    problem: str
    steps: list[str]
    label: int


class ProcessBench(RowFormat):
    """The first error; everything before it is correct, and what follows has no label."""

    def make_row(self, annotation: Annotation) -> Row | None:
        """None where a step before the first error is neither correct nor incorrect: then it is not known."""
        it, values = annotation.completion, annotation.values
        label = -1
        for step in range(len(it.steps)):
            if values.get(step) == "incorrect":
                label = step
                break
            if values.get(step) not in ("correct", "neutral"):
                return None
        return {
            "id": it.sample_id,
            "generator": "",
            "problem": it.problem,
            "steps": list(it.steps),
            "final_answer_correct": None,
            "label": label,
        }

    def read_keys(self, row: Row) -> ForeignAnnotation:
        """The steps up to the first error, as those of `ANNOTATOR`."""
        read = parse_row(_Solution, row)
        if not -1 <= read.label < len(read.steps):
            raise ValueError(f"label: expected -1 to {len(read.steps) - 1}, found {read.label}")
        num_correct = len(read.steps) if read.label == -1 else read.label
        values = dict.fromkeys(range(num_correct), "correct")
        if read.label != -1:
            values[read.label] = "incorrect"
        solution = LabelledSolution(str(read.id), read.problem, read.steps, [])
        facts = {"annotator": ANNOTATOR, "mode": "first_error", "problem_id": solution.problem_id}
        return ForeignAnnotation(str(read.id), values, facts, read.problem, tuple(read.steps))
