"""PRM800K (openai/prm800k, 2305.20050): a row per solution with a rating per step, up to the first error or the end."""

from typing import Literal

from pydantic import BaseModel

from stages.common.tables import content_hash
from stages.judge.calibration import LabelledSolution
from tools.human_labels.annotations import Annotation, ForeignAnnotation, Row, RowFormat, parse_row

_RATINGS = {"correct": 1, "neutral": 0, "incorrect": -1}
_LABELS = {rating: label for label, rating in _RATINGS.items()}


class _Completion(BaseModel):
    text: str
    rating: Literal[-1, 0, 1] | None
    flagged: bool | None = None

    @property
    def label(self) -> str | None:
        """The human label of this text, None where it has none; people flag what they cannot tell."""
        return "cannot_tell" if self.flagged else None if self.rating is None else _LABELS[self.rating]


class _ByPerson(BaseModel):
    text: str


class _Step(BaseModel):
    completions: list[_Completion]
    human_completion: _ByPerson | str | None = None
    chosen_completion: int | None


class _Question(BaseModel):
    problem: str
    ground_truth_solution: str | None = None
    ground_truth_answer: str | None = None
    pre_generated_steps: list[str] | None = None


class _Label(BaseModel):
    steps: list[_Step]
    finish_reason: str | None = None


class _Solution(BaseModel):
    labeler: str
    timestamp: str
    is_quality_control_question: bool = False
    question: _Question
    label: _Label


class Prm800k(RowFormat):
    """Ratings 1 (correct), 0 (neutral), -1 (incorrect); a flagged step is one that people cannot tell."""

    def make_row(self, annotation: Annotation) -> Row:
        """Steps end with the last labelled one; those without a label before it have neither rating nor flag."""
        it, values = annotation.completion, annotation.values
        finish = "found_error" if "incorrect" in values.values() else "give_up"
        if all(values.get(step) in ("correct", "neutral") for step in range(len(it.steps))):
            finish = "solution"
        return {
            "labeler": annotation.annotator,
            "timestamp": annotation.time,
            "generation": None,
            "is_quality_control_question": annotation.is_gold,
            "is_initial_screening_question": False,
            "question": {
                "problem": it.problem,
                "ground_truth_solution": it.reference,
                "ground_truth_answer": it.answer,
                "pre_generated_steps": list(it.steps),
                "pre_generated_answer": None,
                "pre_generated_verifier_score": None,
            },
            "label": {
                "steps": [
                    {
                        "completions": [{"text": text, **_rate(values.get(step))}],
                        "human_completion": None,
                        "chosen_completion": 0,
                    }
                    for step, text in enumerate(it.steps[: max(values) + 1])
                ],
                "total_time": round(annotation.seconds * 1000),
                "finish_reason": finish,
            },
        }

    def read_keys(self, row: Row) -> ForeignAnnotation:
        """Ratings of the trajectory that was chosen; those of alternative steps are of no completion, and left out."""
        read = parse_row(_Solution, row)
        steps, values, num_left_out = [], {}, 0
        for index, step in enumerate(read.label.steps):
            if step.chosen_completion is None and step.human_completion is not None:
                by_person, chosen = step.human_completion, None
                steps.append(by_person if isinstance(by_person, str) else by_person.text)
            else:
                position = step.chosen_completion or 0
                if not 0 <= position < len(step.completions):
                    expected = f"expected null or less than {len(step.completions)}, found {position}"
                    raise ValueError(f"label.steps.{index}.chosen_completion: {expected}")
                chosen = step.completions[position]
                steps.append(chosen.text)
            for completion in step.completions:
                if completion is chosen and completion.label is not None:
                    values[index] = completion.label
                elif completion is not chosen and completion.label is not None:
                    num_left_out += 1
        problem = read.question.problem
        key = content_hash("prm800k", problem, steps)
        reference, answer = read.question.ground_truth_solution or "", read.question.ground_truth_answer or ""
        solution = LabelledSolution(key, problem, steps, [], reference=reference, answer=answer)
        facts = {
            "annotator": read.labeler,
            "time": read.timestamp,
            "kind": "gold" if read.is_quality_control_question else "imported",
            "problem_id": solution.problem_id,
        }
        texts = (*steps, *(read.question.pre_generated_steps or [])[len(steps) :])
        return ForeignAnnotation(solution.sample_id, values, facts, problem, texts, num_left_out=num_left_out)


def _rate(label: str | None) -> dict[str, int | bool | None]:
    if label is None or label in _RATINGS:
        return {"rating": _RATINGS.get(label or ""), "flagged": None}
    return {"rating": None, "flagged": True}
