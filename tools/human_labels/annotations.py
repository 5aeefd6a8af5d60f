"""One person's labels of one completion: what the files of other tools are written from and read into."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from stages.common.human_labels import HumanLabel, check_human_label
from stages.judge import CompletionSteps

Row = dict[str, Any]
"""An object in a file of another tool."""

OWN_KEY = "human_labels"
"""Key of a row that holds our labels as they are: what the format has no place for is kept there."""

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Annotation:
    """A completion with the labels, at least one, that one annotator gave it in one kind, sorted by step."""

    completion: CompletionSteps
    labels: list[HumanLabel]

    @property
    def annotator(self) -> str:
        return self.labels[0].annotator

    @property
    def is_gold(self) -> bool:
        return self.labels[0].kind == "gold"

    @property
    def time(self) -> str:
        """When the last label was given."""
        return max(label.time for label in self.labels)

    @property
    def seconds(self) -> float:
        """Spent on all steps."""
        return sum(label.seconds for label in self.labels)

    @cached_property
    def values(self) -> dict[int, str]:
        """The label of each labelled step, by its index."""
        return {label.step: label.label for label in self.labels}


@dataclass(frozen=True)
class ForeignAnnotation:
    """What a row of another tool says: labels by step, and those of our own keys that it tells."""

    sample_id: str
    """The row's id, which is a sample's where it was exported from here."""
    values: dict[int, str]
    facts: dict[str, Any]
    """Keys of a human label, with their values."""
    problem: str = ""
    steps: tuple[str, ...] = ()
    """Texts, empty where the row holds none."""
    own: list[HumanLabel] = field(default_factory=list)
    """The labels that were exported with the row; none where it was made elsewhere."""
    num_left_out: int = 0
    """Labels of the row that no human label can hold."""


class LabelFormat(Protocol):
    """A format of files with human labels."""

    suffix: str
    """Of its files: ``.jsonl`` for a row per line, ``.json`` for one array."""

    def write_rows(self, annotations: list[Annotation], with_own: bool) -> list[Row]:
        """The rows of `annotations`, with all that is known of a label or with the format's own keys alone.

        A completion whose labels the format cannot say is left out.
        """

    def read_row(self, row: Row) -> list[ForeignAnnotation]:
        """What a row says; raises `ValueError` that names the key, what was expected and what was found."""


def parse_row(model: type[M], row: Row) -> M:
    """`row` as `model`; raises `ValueError` naming the first key that is missing or of another type."""
    try:
        return model.model_validate(row, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        keys = ".".join(map(str, first["loc"]))
        found = "" if first["type"] == "missing" else f", found {str(first['input'])[:80]!r}"
        raise ValueError(f"{keys}: {first['msg']}{found}") from error


class RowFormat(ABC):
    """A format with a row per annotation, in JSON Lines; our own labels stand under `OWN_KEY`, which readers ignore."""

    suffix = ".jsonl"

    @abstractmethod
    def make_row(self, annotation: Annotation) -> Row | None:
        """The row with the format's own keys; None where it cannot say these labels."""

    @abstractmethod
    def read_keys(self, row: Row) -> ForeignAnnotation:
        """What the format's own keys say; raises `ValueError`."""

    def write_rows(self, annotations: list[Annotation], with_own: bool) -> list[Row]:
        """See `LabelFormat`."""
        rows = [(self.make_row(annotation), annotation) for annotation in annotations]
        return [row | (dump_own(it.labels) if with_own else {}) for row, it in rows if row is not None]

    def read_row(self, row: Row) -> list[ForeignAnnotation]:
        """See `LabelFormat`; raises `ValueError` where a label was changed after the export."""
        read = self.read_keys(row)
        own = read_own(row.get(OWN_KEY))
        if not own:
            return [read]
        first = own[0]
        completion = CompletionSteps(first.sample_id, first.problem_id, read.problem, "", read.steps)
        again = self.make_row(Annotation(completion, own))
        if again is None or self.read_keys(again).values != read.values:
            what = f"{OWN_KEY}: not the labels in the row, which were changed after the export"
            raise ValueError(f"{what}; remove this key to import them as labels of another tool")
        return [replace(read, own=own)]


def dump_own(labels: list[HumanLabel]) -> Row:
    """`labels` as JSON under `OWN_KEY`."""
    return {OWN_KEY: [label.model_dump() for label in labels]}


def read_own(value: Any) -> list[HumanLabel]:
    """Human labels that were exported with a row, none where there is no such key; raises `ValueError`."""
    if value is None:
        return []
    if not isinstance(value, list) or not value:
        raise ValueError(f"{OWN_KEY}: expected a list of human labels, found {str(value)[:80]!r}")
    return [check_human_label(label, f"{OWN_KEY}[{index}]") for index, label in enumerate(value)]
