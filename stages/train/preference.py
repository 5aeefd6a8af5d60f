"""Rows in TRL's unpaired preference format, with or without ``steps``, checked; a data set's and those of a user."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from reprlib import repr as brief
from typing import Any

from stages.train.encode import Messages, Row

NEEDED = ("prompt", "completion", "label")


def preference_rows(items: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """`items` as rows that are named by their place."""
    for at, item in enumerate(items):
        yield preference_row(item, f"row {at}", f"row {at}")


def preference_row(item: Mapping[str, Any], where: str, name: str) -> Row:
    """`item`, checked, as a row called `name`; without ``steps`` it is a single step of unknown label.

    Raises `ValueError` naming `where` it stands, the column, what was expected and what was found.
    """
    missing = [column for column in NEEDED if column not in item]
    if missing:
        raise ValueError(f"{where}: expected columns {', '.join(NEEDED)}, found {', '.join(item) or 'none'}")
    completion = _completion(where, item["completion"])
    spans, labels = _steps(where, item.get("steps"), completion)
    if not isinstance(item["label"], bool):
        raise ValueError(f"{where}: label: expected True or False, found {brief(item['label'])}")
    return Row(
        name=name,
        prompt=_prompt(where, item["prompt"]),
        completion=completion,
        outcome=item["label"],
        spans=spans,
        step_labels=labels,
    )


def _prompt(where: str, prompt: Any) -> str | Messages:
    if isinstance(prompt, str) or _are_messages(prompt):
        return prompt
    raise ValueError(f"{where}: prompt: expected text or chat messages, found {brief(prompt)}")


def _completion(where: str, completion: Any) -> str:
    if isinstance(completion, str):
        return completion
    if _are_messages(completion) and [message["role"] for message in completion] == ["assistant"]:
        return str(completion[0]["content"])
    raise ValueError(f"{where}: completion: expected text or one assistant message, found {brief(completion)}")


def _are_messages(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str) for m in value
        )
    )


def _steps(where: str, steps: Any, completion: str) -> tuple[list[tuple[int, int]], list[bool | None]]:
    if steps is None:
        return [(0, len(completion))], [None]
    if not isinstance(steps, list):
        raise ValueError(f"{where}: steps: expected a list of start, end and label, found {brief(steps)}")
    spans, labels, expected = [], [], 0
    for number, step in enumerate(steps):
        at = f"{where}: steps[{number}]"
        try:
            start, end, label = step["start"], step["end"], step["label"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"{at}: expected start, end and label, found {brief(step)}") from error
        if start != expected or not isinstance(end, int) or not start <= end <= len(completion):
            found = f"{brief(start)} to {brief(end)}"
            raise ValueError(
                f"{at}: expected start {expected} and an end from there to {len(completion)}, found {found}"
            )
        if label is not None and not isinstance(label, bool):
            raise ValueError(f"{at}: label: expected True, False or None, found {brief(label)}")
        spans.append((start, end))
        labels.append(label)
        expected = end
    if expected != len(completion):
        raise ValueError(f"{where}: steps: expected the last to end at {len(completion)}, found {expected}")
    return spans, labels
