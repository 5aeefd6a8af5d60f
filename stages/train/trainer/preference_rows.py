"""Rows in TRL's unpaired preference format, with or without ``steps``, validated."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from reprlib import repr as shorten
from typing import Any

from stages.common.errors import UserError

Messages = list[dict[str, str]]

REQUIRED_COLUMNS = ("prompt", "completion", "label")


@dataclass(frozen=True)
class LabelledCompletion:
    """A labelled completion of a prompt, plain text or chat messages.

    `spans` are the steps' (start, end) in code points of `completion`, contiguous and covering it; `step_labels` is
    parallel to them, None unknown. `name` names the row in messages. `outcome` is None where unknown.
    """

    name: str
    prompt: str | Messages
    completion: str
    outcome: bool | None
    spans: list[tuple[int, int]]
    step_labels: list[bool | None]
    is_cut: bool = False
    """Whether it reached the token limit: it then has no end."""
    token_ids: list[int] | None = None
    """The tokens that were sampled, None where not known."""
    tokenizer: str | None = None
    """Hash of the tokenizer of `token_ids`."""


def read_preference_rows(items: Iterable[Mapping[str, Any]]) -> Iterator[LabelledCompletion]:
    """`items` as rows that are named by their index; raises as `read_preference_row` does."""
    for index, item in enumerate(items):
        yield read_preference_row(item, f"row {index}", f"row {index}")


def read_preference_row(item: Mapping[str, Any], where: str, name: str) -> LabelledCompletion:
    """`item`, validated, as a row called `name`; without ``steps`` it is a single step of unknown label.

    Raises `UserError` naming `where` (its file and row), the column, what was expected and what was found.
    """
    if any(column not in item for column in REQUIRED_COLUMNS):
        raise UserError(f"{where}: expected columns {', '.join(REQUIRED_COLUMNS)}, found {', '.join(item) or 'none'}")
    completion = _read_completion(where, item["completion"])
    spans, labels = _read_steps(where, item.get("steps"), completion)
    prompt, label = item["prompt"], item["label"]
    if label is not None and not isinstance(label, bool):
        raise UserError(f"{where}: label: expected True, False or None, found {shorten(label)}")
    if not isinstance(prompt, str) and not _are_messages(prompt):
        raise UserError(f"{where}: prompt: expected text or chat messages, found {shorten(prompt)}")
    is_cut, token_ids = item.get("finish_reason") == "length", item.get("completion_ids")
    if token_ids is not None and not all(isinstance(each, int) and each >= 0 for each in token_ids):
        raise UserError(f"{where}: completion_ids: expected a list of token ids, found {shorten(token_ids)}")
    return LabelledCompletion(name, prompt, completion, label, spans, labels, is_cut, token_ids, item.get("tokenizer"))


def _read_completion(where: str, completion: Any) -> str:
    if isinstance(completion, str):
        return completion
    if _are_messages(completion) and [message["role"] for message in completion] == ["assistant"]:
        return str(completion[0]["content"])
    raise UserError(f"{where}: completion: expected text or one assistant message, found {shorten(completion)}")


def _are_messages(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(m, dict) and all(isinstance(m.get(key), str) for key in ("role", "content")) for m in value)
    )


def _read_steps(where: str, steps: Any, completion: str) -> tuple[list[tuple[int, int]], list[bool | None]]:
    if steps is None:
        return [(0, len(completion))], [None]
    if not isinstance(steps, list):
        raise UserError(f"{where}: steps: expected a list of start, end and label, found {shorten(steps)}")
    spans, labels, expected = [], [], 0
    for number, step in enumerate(steps):
        at = f"{where}: steps[{number}]"
        try:
            start, end, label = step["start"], step["end"], step["label"]
        except (KeyError, TypeError) as error:
            raise UserError(f"{at}: expected start, end and label, found {shorten(step)}") from error
        if start != expected or not isinstance(end, int) or not start <= end <= len(completion):
            found = f"{shorten(start)} to {shorten(end)}"
            raise UserError(
                f"{at}: expected start {expected} and an end from there to {len(completion)}, found {found}"
            )
        if label is not None and not isinstance(label, bool):
            raise UserError(f"{at}: label: expected True, False or None, found {shorten(label)}")
        spans.append((start, end))
        labels.append(label)
        expected = end
    if expected != len(completion):
        raise UserError(f"{where}: steps: expected the last to end at {len(completion)}, found {expected}")
    return spans, labels
