"""Items whose labels are known, and how well a person labels them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stages.common.errors import UserError
from stages.common.human_labels import HumanLabel, read_human_labels
from tools.audit.label_page.label_queue import ItemKey


@dataclass(frozen=True)
class GoldScore:
    """How many gold items a person labelled as they are known."""

    num_items: int
    num_passed: int
    """Items of which the first incorrect step, or that there is none, was found."""

    @property
    def fraction(self) -> float:
        return self.num_passed / self.num_items if self.num_items else 0.0

    def __str__(self) -> str:
        return f"{self.num_passed} of {self.num_items} gold items"


def find_first_error(labels: Mapping[int, HumanLabel]) -> tuple[bool, int | None]:
    """Whether the labels of a completion's first steps tell where the first error is, and that step; None for no error.

    They do not where a step before it is not labelled or cannot be told.
    """
    for step in range(max(labels, default=-1) + 1):
        is_correct = labels[step].is_correct if step in labels else None
        if not is_correct:
            return is_correct is False, step
    return bool(labels), None


def find_first_errors(labels: Iterable[HumanLabel]) -> dict[ItemKey, tuple[bool, int | None]]:
    """`find_first_error` of each completion; of several labels of a step the last counts."""
    items: defaultdict[ItemKey, dict[int, HumanLabel]] = defaultdict(dict)
    for label in labels:
        items[label.round, label.sample_id][label.step] = label
    return {key: find_first_error(of_item) for key, of_item in items.items()}


def read_gold(path: Path) -> dict[ItemKey, int | None]:
    """The first incorrect step of each sample in a file of human labels, None where no step is incorrect.

    Raises `UserError` for a bad line, for two labels of a step that differ, and where the first error cannot be told.
    """
    labels = read_human_labels(path)
    seen: dict[tuple[str, str, int], HumanLabel] = {}
    for label in labels:
        other = seen.setdefault((label.round, label.sample_id, label.step), label)
        if other.is_correct != label.is_correct:
            raise UserError(
                f"{path}: {label.round}, sample {label.sample_id} step {label.step}: expected one label, found "
                f"{other.label} and {label.label}; keep one"
            )
    found = find_first_errors(labels)
    for (name, sample_id), (is_known, _) in found.items():
        if not is_known:
            raise UserError(
                f"{path}: {name}, sample {sample_id}: the first error cannot be told; label all steps up to it"
            )
    return {key: first_error for key, (_, first_error) in found.items()}


def score_gold(labels: Iterable[HumanLabel], gold: Mapping[ItemKey, int | None]) -> dict[str, GoldScore]:
    """By annotator, over the items of `gold` that they labelled. A label given with the judge's in view is a miss."""
    answers: defaultdict[str, defaultdict[ItemKey, dict[int, HumanLabel]]] = defaultdict(lambda: defaultdict(dict))
    for label in labels:
        if label.kind == "gold" and (label.round, label.sample_id) in gold:
            answers[label.annotator][label.round, label.sample_id][label.step] = label
    return {
        annotator: GoldScore(len(items), sum(_is_passed(steps, gold[key]) for key, steps in items.items()))
        for annotator, items in sorted(answers.items())
    }


def _is_passed(labels: Mapping[int, HumanLabel], first_error: int | None) -> bool:
    return find_first_error(labels) == (True, first_error) and all(label.is_blind for label in labels.values())
