"""Human labels of steps: lines of an append-only file, of which an annotator's last one on a step counts."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stages.common.errors import UserError
from stages.common.tables import content_hash

HUMAN_LABELS = Path("work/human_labels.jsonl")
"""Where human labels go by default: ignored by Git and DVC, since no stage writes them."""

MAX_STEP = 2**31 - 1
"""Largest step that a table can hold."""

ANOTHER_TEXT = "labelled another text of this step"
"""Why a label does not apply whose step was cut or sampled anew since."""

StepLabel = Literal["correct", "incorrect", "neutral", "cannot_tell", "bad_split"]
"""What a person says of a step. `neutral` is not wrong but gets nowhere; `bad_split` is not one step."""

_IS_CORRECT = {"correct": True, "neutral": True, "incorrect": False, "cannot_tell": None, "bad_split": None}

_Text = Annotated[str, Field(min_length=1, max_length=1000)]
_Version = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]


class HumanLabel(BaseModel):
    """One line: what one person says of one step, and how it came about."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    annotator: _Text
    round: _Text
    """The round, or the evaluation, whose sample it is."""
    sample_id: _Text
    problem_id: _Text
    step: int = Field(ge=0, le=MAX_STEP)
    text_hash: _Version
    """`hash_step_text` of the step that was labelled: the same index may be of another text later."""
    label: StepLabel
    kind: Literal["own", "gold", "adjudicated", "imported"] = "own"
    """`own` is the annotator's, `gold` their answer to an item whose label is known, `adjudicated` settles what others
    disagreed on, `imported` was made elsewhere."""
    mode: Literal["first_error", "per_step"]
    """`first_error`: only the first incorrect step was looked for, and later steps have no label."""
    queue: Literal["random", "value", "browsing"]
    """Why it was asked: drawn at random; by value, where judges are in doubt; or not at all, by a person browsing."""
    is_blind: bool
    """Whether the judge's label, its reason and the outcome were not shown before."""
    seconds: float = Field(ge=0, allow_inf_nan=False)
    """Time spent on this step."""
    time: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$")
    """When it was given: UTC, ISO 8601."""
    page_version: _Version
    """First hex digits of the hash of the page that asked, or of the file imported."""
    guideline_version: _Version
    """The same of the guideline that the person had."""
    judge_label: Literal["correct", "incorrect", "unknown", "none"]
    """The judge's label at that time."""
    judge: str = Field(max_length=1000)
    """Hash of that judge, `none` where the step was not judged."""

    @property
    def is_correct(self) -> bool | None:
        """As training and scores take it: a neutral step is correct, one that cannot be told or is no step unknown."""
        return _IS_CORRECT[self.label]


def hash_step_text(text: str) -> str:
    """First 8 hex digits of the hash of a step's exact text."""
    return content_hash(text, digits=8)


def hash_steps(samples: pl.DataFrame, steps: pl.DataFrame) -> dict[str, dict[int, str]]:
    """`hash_step_text` by sample_id and step, of the STEP rows whose sample is in `samples`, SAMPLE rows."""
    texts = dict(samples.select("sample_id", "completion").iter_rows())
    hashes: dict[str, dict[int, str]] = {}
    for sample_id, step, start, end in steps.select("sample_id", "step", "start", "end").iter_rows():
        if sample_id in texts:
            hashes.setdefault(sample_id, {})[step] = hash_step_text(texts[sample_id][start:end])
    return hashes


def keep_current(
    labels: Sequence[HumanLabel], find_hashes: Callable[[HumanLabel], Mapping[int, str] | None]
) -> list[HumanLabel]:
    """Those of `labels`, oldest first, whose step still has the text that was labelled.

    `find_hashes` gives the hashes of a label's sample by step, None where the sample is not at hand: then the text of
    the last label of the step counts, so that labels of two texts are never taken for labels of one step.
    """
    last = {(label.sample_id, label.step): label.text_hash for label in labels}
    kept = []
    for label in labels:
        hashes = find_hashes(label)
        current = last[label.sample_id, label.step] if hashes is None else hashes.get(label.step)
        if label.text_hash == current:
            kept.append(label)
    return kept


def check_human_label(value: Any, location: str) -> HumanLabel:
    """The human label in `value`, JSON as parsed; else `UserError` that begins with `location`."""
    try:
        return HumanLabel.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "label"
        if first["type"] == "missing":
            raise UserError(f"{location}: {key}: missing key; correct or remove this line") from error
        if first["type"] == "extra_forbidden":
            known = ", ".join(HumanLabel.model_fields)
            raise UserError(f"{location}: {key}: unknown key; known are {known}") from error
        found = repr(first["input"])[:80]
        raise UserError(f"{location}: {key}: {first['msg']}, found {found}; correct or remove this line") from error


def read_human_labels(path: Path) -> list[HumanLabel]:
    """The last label of each annotator, by kind, on each step of a round, in the order of the file.

    A first error takes back what the annotator said before, in the same mode, of later steps. Raises `UserError` that
    names file and line.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; `audit serve` creates it with the first label")
    labels = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:  # also a line that is not UTF-8
            raise UserError(f"{path}:{number}: not JSON; correct or remove this line") from error
        labels.append(check_human_label(value, f"{path}:{number}"))
    return keep_last(labels)


def keep_last(labels: Iterable[HumanLabel]) -> list[HumanLabel]:
    """Those of `labels`, oldest first, that count: see `read_human_labels`."""
    items: dict[tuple[str, ...], dict[int, tuple[int, HumanLabel]]] = {}
    for position, label in enumerate(labels):
        steps = items.setdefault((label.annotator, label.round, label.sample_id, label.kind), {})
        if label.mode == "first_error" and label.label not in ("correct", "neutral"):
            for step in [step for step, (_, old) in steps.items() if step > label.step and old.mode == "first_error"]:
                del steps[step]
        steps[label.step] = (position, label)
    return [
        label for _, label in sorted((it for steps in items.values() for it in steps.values()), key=lambda it: it[0])
    ]


def append_human_labels(path: Path, labels: Iterable[HumanLabel]) -> None:
    """Append a line for each, durably and in one write, so that lines of two writers do not mix."""
    lines = "".join(json.dumps(label.model_dump(), ensure_ascii=True) + "\n" for label in labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        file.write(lines.encode("ascii"))
        os.fsync(file.fileno())
