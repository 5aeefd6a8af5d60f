"""Rows as users of the trainer give them: TRL's unpaired preference format, with or without ``steps``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stages.train.encode import Messages, Row

NEEDED = ("prompt", "completion", "label")


def preference_rows(items: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """`items` checked and as rows; one without ``steps`` is a single step of unknown label.

    Raises `ValueError` naming row, column, what was expected and what was found.
    """
    for at, item in enumerate(items):
        name = f"row {at}"
        missing = [column for column in NEEDED if column not in item]
        if missing:
            raise ValueError(f"{name}: expected columns {', '.join(NEEDED)}, found {', '.join(item) or 'none'}")
        completion = _completion(name, item["completion"])
        spans, labels = _steps(name, item.get("steps"), completion)
        if not isinstance(item["label"], bool):
            raise ValueError(f"{name}: label: expected True or False, found {item['label']!r}")
        yield Row(
            name=name,
            prompt=_prompt(name, item["prompt"]),
            completion=completion,
            outcome=item["label"],
            spans=spans,
            step_labels=labels,
        )


def _prompt(name: str, prompt: Any) -> str | Messages:
    if isinstance(prompt, str) or _are_messages(prompt):
        return prompt
    raise ValueError(f"{name}: prompt: expected text or chat messages, found {prompt!r}")


def _completion(name: str, completion: Any) -> str:
    if isinstance(completion, str):
        return completion
    if _are_messages(completion) and [message["role"] for message in completion] == ["assistant"]:
        return str(completion[0]["content"])
    raise ValueError(f"{name}: completion: expected text or one assistant message, found {completion!r}")


def _are_messages(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str) for m in value
        )
    )


def _steps(name: str, steps: Any, completion: str) -> tuple[list[tuple[int, int]], list[bool | None]]:
    if steps is None or steps == []:
        return [(0, len(completion))], [None]
    if not isinstance(steps, list):
        raise ValueError(f"{name}: steps: expected a list of start, end and label, found {steps!r}")
    spans, labels, expected = [], [], 0
    for number, step in enumerate(steps):
        where = f"{name}: steps[{number}]"
        try:
            start, end, label = step["start"], step["end"], step["label"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"{where}: expected start, end and label, found {step!r}") from error
        if start != expected or not isinstance(end, int) or not start < end <= len(completion):
            raise ValueError(
                f"{where}: expected start {expected} and a later end, at most {len(completion)}, found {start} to {end}"
            )
        if label is not None and not isinstance(label, bool):
            raise ValueError(f"{where}: label: expected True, False or None, found {label!r}")
        spans.append((start, end))
        labels.append(label)
        expected = end
    if expected != len(completion):
        raise ValueError(f"{name}: steps: expected the last to end at {len(completion)}, found {expected}")
    return spans, labels
