"""Potato (davidjurgens/potato), annotation type ``process_reward``: a reward per step.

Two files of it are read: a person's ``user_state.json``, in which a label is JSON within JSON, and
``prm_training_data.jsonl``, which its exporter ``coding_eval`` makes. What is written are rows of the second with the
texts, so that it is a data file of a Potato project, too: ``id_key: instance_id``, ``text_key: problem``,
``steps_key: step_texts``.
"""

import json
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel

from tools.human_labels.annotations import Annotation, ForeignAnnotation, Row, RowFormat, parse_row

_REWARDS = {"correct": 1, "incorrect": -1}
_STATE_KEY = "instance_id_to_label_to_value"


class _Step(BaseModel):
    index: int
    reward: Literal[-1, 0, 1] | None
    verified: bool | None = None


class _Rewards(BaseModel):
    steps: list[_Step]
    mode: Literal["first_error", "per_step"] = "first_error"

    def to_labels(self) -> dict[int, str]:
        """Labels by step. 0 is an unmarked step, unless it was verified as neutral.

        In mode `first_error` Potato marks all steps after the error; nobody looked at them, so they get no label.
        """
        labels: dict[int, str] = {}
        for step in sorted(self.steps, key=lambda step: step.index):
            if step.reward:
                labels[step.index] = "correct" if step.reward == 1 else "incorrect"
            elif step.reward == 0 and step.verified:
                labels[step.index] = "neutral"
            if self.mode == "first_error" and step.reward == -1:
                break
        return labels


class _Instance(_Rewards):
    instance_id: str
    annotator: str
    problem: str = ""
    step_texts: list[str] = []


class _State(BaseModel):
    user_id: str
    instance_id_to_label_to_value: dict[str, Any]


class Potato(RowFormat):
    """Rewards 1 (correct), -1 (incorrect), 0 (neutral if verified, else unmarked)."""

    def make_row(self, annotation: Annotation) -> Row:
        """A row of ``prm_training_data.jsonl`` with the texts."""
        it, values = annotation.completion, annotation.values
        return {
            "instance_id": it.sample_id,
            "annotator": annotation.annotator,
            "problem": it.problem,
            "step_texts": list(it.steps),
            "steps": [_make_step(step, values.get(step)) for step in range(len(it.steps))],
            "mode": annotation.labels[0].mode,
        }

    def read_keys(self, row: Row) -> ForeignAnnotation:
        """A row of ``prm_training_data.jsonl``."""
        read = parse_row(_Instance, row)
        facts = {"annotator": read.annotator, "mode": read.mode}
        return ForeignAnnotation(read.instance_id, read.to_labels(), facts, read.problem, tuple(read.step_texts))

    def read_row(self, row: Row) -> list[ForeignAnnotation]:
        """A row, or the labels of all instances in a ``user_state.json``."""
        if _STATE_KEY not in row:
            return super().read_row(row)
        state = parse_row(_State, row)
        return [
            ForeignAnnotation(instance, rewards.to_labels(), {"annotator": state.user_id, "mode": rewards.mode})
            for instance, labels in state.instance_id_to_label_to_value.items()
            for rewards in _find_rewards(labels, f"{_STATE_KEY}.{instance}")
        ]


def _make_step(index: int, label: str | None) -> dict[str, Any]:
    is_neutral = {"verified": True} if label == "neutral" else {}
    return {"index": index, "reward": _REWARDS.get(label or "", 0), **is_neutral}


def _find_rewards(labels: Any, location: str) -> Iterator[_Rewards]:
    """Those among an instance's labels, ``[[{schema, name}, value], ...]`` or ``{schema: {name: value}}``."""
    if isinstance(labels, dict):
        values = [value for of_schema in labels.values() if isinstance(of_schema, dict) for value in of_schema.values()]
    else:
        values = [pair[1] for pair in labels if isinstance(pair, list) and len(pair) == 2] if labels else []
    for value in values:
        try:
            rewards = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            continue  # a label of another kind, such as a text
        if isinstance(rewards, dict) and "steps" in rewards:
            try:
                yield parse_row(_Rewards, rewards)
            except ValueError as error:
                raise ValueError(f"{location}: {error}") from error
