"""One person's labelling: what is asked, what is taken down, and what is shown afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from threading import RLock
from typing import Any, Literal

import polars as pl

from stages.common.errors import UserError
from stages.common.human_labels import HumanLabel, keep_last, read_human_labels
from stages.common.tables import OUTCOME, PROBLEM, SAMPLE, STEP
from tools.audit.key_ranges import read_where
from tools.audit.label_page.gold_items import score_gold
from tools.audit.label_page.label_queue import ItemKey, LabelItem, LabelQueue
from tools.audit.label_page.label_writer import LabelWriter, SampleMarks, read_judge_labels
from tools.audit.lineage.sample_lineage import read_first
from tools.audit.page.problem_card import describe_problem, describe_step_label, describe_verdict, get_step_text
from tools.audit.step_hashes import keep_current_labels

Mode = Literal["first_error", "per_step"]


@dataclass(frozen=True)
class Examination:
    """The known first errors of gold items, and the share of those of the examination that has to be found."""

    gold: Mapping[ItemKey, int | None]
    min_score: float = 0.8


class LabelSession:
    """What one person labelled and may see; everything is kept in the file of labels but what was shown."""

    def __init__(self, writer: LabelWriter, queue: LabelQueue, mode: Mode, examination: Examination) -> None:
        """Raises `UserError` for a bad line in the file of labels."""
        self._writer = writer
        self._queue = queue
        self.mode = mode
        self.annotator = writer.annotator
        self._examination = examination
        self._lock = RLock()
        self._labels: dict[ItemKey, list[HumanLabel]] = {}
        labels = read_human_labels(writer.path) if writer.path.is_file() else []
        own = [it for it in labels if it.annotator == writer.annotator and it.kind in ("own", "gold")]
        for label in keep_current_labels(writer.root, writer.table_sets.values(), own):
            self._labels.setdefault((label.round, label.sample_id), []).append(label)
        self._finished = {key for key in self._labels if self._is_finished(key)}
        self._seen = set(self._finished)
        """Items whose judge's labels were shown; those of earlier sessions may have been."""
        self._closed: set[ItemKey] = set()
        """Items that are not asked: skipped in this session, or labelled while looking around."""
        for key, labels in self._labels.items():
            if not all(label.is_blind for label in labels):
                self._seen.add(key)
                self._closed.add(key)

    def describe_next(self, skip: ItemKey | None = None) -> dict[str, Any]:
        """The next item without anything that a judge or verifier said of it, and how far this person is.

        `skip` is left out until the next session.
        """
        with self._lock:
            if skip and any(skip == item.key for item in self._queue.list_exam()):
                raise UserError("no item of the examination can be skipped; say that you cannot tell")
            if skip:
                self._closed.add(skip)
            stop = self._explain_stop()
            item = None if stop else self._choose()
            if item is None and not stop:
                stop = "Everything here is labelled. " + self.describe_score()
            return {"item": item and self._describe(item), "num_finished": len(self._finished), "message": stop or ""}

    def describe_item(self, key: ItemKey) -> dict[str, Any]:
        """An item that was asked before, as in `describe_next`."""
        with self._lock:
            return {"item": self._describe(self._find(key)), "num_finished": len(self._finished), "message": ""}

    def add(self, given: SampleMarks) -> dict[str, Any]:
        """Take down labels of an item; raises `UserError` where they are none in this mode."""
        key = (given.round, given.sample_id)
        with self._lock:
            item = self._find(key)
            if any(item.key == other.key for other in self._queue.list_exam()) and self._explain_stop():
                raise UserError("the examination is over; its labels stay as they are")
            if self.mode == "first_error":
                _check_first_error(given, item.num_steps)
            kind: Literal["own", "gold"] = "gold" if self._queue.has_gold(key) else "own"
            queue = self._queue.find_queue(key)
            new = self._writer.append(given, self.mode, queue, is_blind=key not in self._seen, kind=kind)
            self._labels[key] = keep_last([*self._labels.get(key, []), *new])
            (self._finished.add if self._is_finished(key) else self._finished.discard)(key)
            return {"is_finished": key in self._finished, "num_finished": len(self._finished)}

    def reveal(self, key: ItemKey) -> dict[str, Any]:
        """What the judge and the verifier said of an item; raises `UserError` before it is labelled."""
        with self._lock:
            item = self._find(key)
            if key not in self._finished:
                raise UserError("label this solution first")
            self._seen.add(key)
        root, tables = self._writer.root, self._writer.table_sets[item.round]
        of_sample = (pl.col("problem_id") == item.problem_id) & (pl.col("sample_id") == item.sample_id)
        rows = read_judge_labels(root, self._writer.table_sets, *key)
        return {
            "steps": [describe_step_label(rows[step]) for step in sorted(rows)],
            **describe_verdict(read_first(root / tables.outcomes, OUTCOME, of_sample)),
        }

    def describe_score(self) -> str:
        """How this person labelled gold items, in a sentence; nothing where there are none."""
        labels = [label for labels in self._labels.values() for label in labels]
        score = score_gold(labels, self._examination.gold).get(self.annotator)
        return f"First errors found: {score}." if score else ""

    def _explain_stop(self) -> str | None:
        """Why nothing more is asked after the examination; None where it goes on, is passed, or there is none."""
        exam = self._queue.list_exam()
        if not exam or not all(item.key in self._finished for item in exam):
            return None
        gold = {item.key: self._examination.gold[item.key] for item in exam}
        score = score_gold([it for item in exam for it in self._labels[item.key]], gold)[self.annotator]
        if score.fraction >= self._examination.min_score:
            return None
        return (
            f"The examination is over: first errors found in {score}, {self._examination.min_score:.0%} are needed. "
            "Read the guideline again and speak with whoever runs the labelling."
        )

    def _choose(self) -> LabelItem | None:
        """One that was begun, or the queue's next."""
        begun = (self._queue.find(key) for key in self._labels if self._is_open(key))
        started = next(filter(None, begun), None)
        return started or self._queue.choose_next(len(self._finished), lambda item: self._is_open(item.key))

    def _find(self, key: ItemKey) -> LabelItem:
        item = self._queue.find(key)
        if item is None:
            raise UserError(f"sample_id: no labelled sample {key[1][:80]} in {key[0][:80]}")
        return item

    def _is_open(self, key: ItemKey) -> bool:
        return key not in self._finished and key not in self._closed

    def _is_finished(self, key: ItemKey) -> bool:
        """Whether all steps are labelled, or the one that ends the labelling and all before it."""
        item = self._queue.find(key)
        labels = {label.step: label for label in self._labels.get(key, [])}
        for step in range(item.num_steps if item else 0):
            if step not in labels:
                return False
            label = labels[step]
            if label.is_correct is False or (label.mode == "first_error" and label.is_correct is None):
                return True
        return True

    def _describe(self, item: LabelItem) -> dict[str, Any]:
        root, tables = self._writer.root, self._writer.table_sets[item.round]
        assert tables.steps is not None
        of_sample = (pl.col("problem_id") == item.problem_id) & (pl.col("sample_id") == item.sample_id)
        sample = read_first(root / tables.samples, SAMPLE, of_sample)
        steps = read_where(root / tables.steps, STEP, of_sample).sort("step")
        completion = sample["completion"] if sample else ""
        return {
            "round": item.round,
            "sample_id": item.sample_id,
            **describe_problem(read_first(root / tables.problems, PROBLEM, pl.col("problem_id") == item.problem_id)),
            "steps": [get_step_text(completion, row) for row in steps.iter_rows(named=True)],
            "labels": {label.step: label.label for label in self._labels.get(item.key, [])},
            "is_finished": item.key in self._finished,
        }


def _check_first_error(given: SampleMarks, num_steps: int) -> None:
    """Raise `UserError` unless all marked steps but the last are correct, and also that one only if it is the last."""
    steps = [mark.step for mark in given.marks]
    *before, last = [mark.label for mark in given.marks]
    is_whole = len(steps) == num_steps
    if (
        steps != list(range(len(steps)))
        or set(before) - {"correct"}
        or last == "neutral"
        or (last == "correct") > is_whole
    ):
        raise UserError("marks: expected correct steps from the first on, then one that is not, or all steps correct")
