"""Label Studio's JSON (HumanSignal/label-studio): a task per completion, annotations by people, regions of steps.

The labelling config is `LABELLING_CONFIG`. What Label Studio has no place for stands in the ``meta`` of a region, which
it keeps. ``completed_by`` is not written: an import refuses people whom Label Studio does not know.
"""

import re
from collections import defaultdict
from typing import Any

from pydantic import BaseModel

from stages.common.human_labels import HumanLabel
from tools.human_labels.annotations import OWN_KEY, Annotation, ForeignAnnotation, Row, dump_own, parse_row, read_own

LABELLING_CONFIG = """<View>
  <Header value="$problem"/>
  <Paragraphs name="steps" value="$steps" layout="dialogue" nameKey="step" textKey="text"/>
  <ParagraphLabels name="label" toName="steps">
    <Label value="correct"/><Label value="incorrect"/><Label value="neutral"/>
    <Label value="cannot_tell"/><Label value="bad_split"/>
  </ParagraphLabels>
</View>"""


class _Text(BaseModel):
    text: str


class _Data(BaseModel):
    sample_id: str
    problem: str = ""
    steps: list[_Text]


class _Region(BaseModel):
    type: str
    value: dict[str, Any] = {}
    meta: dict[str, Any] = {}


class _Value(BaseModel):
    start: int | str
    end: int | str
    paragraphlabels: list[str]


class _Annotation(BaseModel):
    result: list[_Region]
    completed_by: Any = None
    created_at: str = ""
    ground_truth: bool = False
    was_cancelled: bool = False


class _Task(BaseModel):
    data: _Data
    annotations: list[_Annotation]


class LabelStudio:
    """Tasks with a region of type ``paragraphlabels`` per labelled step."""

    suffix = ".json"

    def write_rows(self, annotations: list[Annotation], with_own: bool) -> list[Row]:
        """A task per completion, sorted as `annotations` are."""
        by_sample: dict[str, list[Annotation]] = defaultdict(list)
        for annotation in annotations:
            by_sample[annotation.completion.sample_id].append(annotation)
        return [_make_task(of_sample, with_own) for of_sample in by_sample.values()]

    def read_row(self, row: Row) -> list[ForeignAnnotation]:
        """An annotation per person; a region whose label was changed in Label Studio is a label made there."""
        task = parse_row(_Task, row)
        texts = tuple(step.text for step in task.data.steps)
        found = []
        for annotation in task.annotations:
            if annotation.was_cancelled:
                continue
            values: dict[int, str] = {}
            own: list[HumanLabel] = []
            for region in annotation.result:
                for step, label in _read_region(region, len(texts)):
                    exported = read_own(region.meta.get(OWN_KEY))
                    if any(it.step == step and it.label == label for it in exported):
                        own += exported
                    else:
                        values[step] = label
            facts = {"annotator": _name_person(annotation.completed_by), "time": annotation.created_at}
            if annotation.ground_truth:
                facts["kind"] = "gold"
            shared = (task.data.problem, texts)
            if own:
                found.append(ForeignAnnotation(task.data.sample_id, {}, {}, *shared, own=own))
            if values:
                found.append(ForeignAnnotation(task.data.sample_id, values, facts, *shared))
        return found


def _make_task(annotations: list[Annotation], with_own: bool) -> Row:
    it = annotations[0].completion
    return {
        "data": {
            "sample_id": it.sample_id,
            "problem_id": it.problem_id,
            "problem": it.problem,
            "steps": [{"step": str(number), "text": text} for number, text in enumerate(it.steps, start=1)],
        },
        "annotations": [
            {
                "result": [_make_region(label, it.steps[label.step], with_own) for label in each.labels],
                "created_at": each.time,
                "lead_time": each.seconds,
                "ground_truth": each.is_gold,
                "was_cancelled": False,
            }
            for each in annotations
        ],
        "predictions": [],
    }


def _make_region(label: HumanLabel, text: str, with_own: bool) -> Row:
    step = str(label.step)
    return {
        "id": f"step-{step}",
        "from_name": "label",
        "to_name": "steps",
        "type": "paragraphlabels",
        "value": {
            "start": step,
            "end": step,
            "startOffset": 0,
            "endOffset": len(text),
            "text": text,
            "paragraphlabels": [label.label],
        },
        **({"meta": dump_own([label])} if with_own else {}),
    }


def _read_region(region: _Region, num_steps: int) -> list[tuple[int, str]]:
    """The steps that a region covers and the label that it gives them; none of a region of another type."""
    if region.type != "paragraphlabels":
        return []
    value = parse_row(_Value, region.value)
    if not all(re.fullmatch("[0-9]{1,6}", str(edge)) for edge in (value.start, value.end)):
        raise ValueError(f"start, end: expected indices of steps, found {str((value.start, value.end))[:80]}")
    first, last = int(value.start), int(value.end)
    if not first <= last < num_steps:
        raise ValueError(f"start, end: expected 0 to {num_steps - 1}, found {first}, {last}")
    if len(value.paragraphlabels) != 1:
        raise ValueError(f"paragraphlabels: expected one label per region, found {value.paragraphlabels}")
    return [(step, value.paragraphlabels[0]) for step in range(first, last + 1)]


def _name_person(completed_by: Any) -> str:
    """The e-mail address or number by which Label Studio knows a person."""
    if isinstance(completed_by, dict):
        completed_by = completed_by.get("email") or completed_by.get("id")
    return "label_studio" if completed_by is None else str(completed_by)
