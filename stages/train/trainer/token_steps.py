"""The step of each token, and what is trained on after the first incorrect step."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

AFTER_FIRST_ERROR = ("keep", "mask", "truncate")


@dataclass(frozen=True)
class TokenizedRow:
    """A row as token ids.

    `step_of_token` is parallel to `completion_ids`, never decreases, and indexes `step_labels` (None unknown), which
    ends with the last step that has a token. `outcome` is None where masked. `is_sampled` tells that the ids are the
    sampled ones, and not made from the text.
    """

    prompt_ids: list[int]
    completion_ids: list[int]
    step_of_token: list[int]
    step_labels: list[bool | None]
    outcome: bool | None
    is_sampled: bool = False


def map_tokens_to_steps(spans: Sequence[tuple[int, int]], starts: Sequence[int]) -> list[int]:
    """Step of each token by its last character: a token across a boundary belongs to the later step.

    `spans` are the tokens' (start, end) characters, `starts` the first character of each step, both in the same text.
    Characters before the first step belong to it; those after the last step (end-of-sequence token, tail of a chat
    template) to the last. Tokens without characters, (0, 0), follow the token before; a final run of them belongs to
    the last step.
    """
    last = len(starts) - 1
    steps: list[int] = []
    current = 0
    for start, end in spans:
        if (start, end) != (0, 0):
            # Several tokens of one character, and some normalizers, repeat or jump back: a step never resumes.
            current = max(current, bisect_right(starts, end - 1) - 1)
        steps.append(current)
    for at in reversed(range(len(spans))):
        if tuple(spans[at]) != (0, 0):
            break
        steps[at] = last
    return steps


def remove_labels_without_tokens(row: TokenizedRow) -> TokenizedRow:
    """`row` with None as the label of every step without tokens, and without such steps at the end."""
    present = set(row.step_of_token)
    labels = [label if step in present else None for step, label in enumerate(row.step_labels)]
    return replace(row, step_labels=labels[: max(present, default=-1) + 1])


def apply_after_first_error(row: TokenizedRow, rule: str) -> TokenizedRow:
    """Apply `rule` to what follows the first incorrect step; the paper's choice is not known.

    ``keep`` changes nothing; ``mask`` makes later labels unknown; ``truncate`` cuts the completion after that step, end
    token included. An incorrect completion stays incorrect when cut; a correct one gets no outcome, since the text that
    made it correct is gone. Raises `ValueError` for another rule.
    """
    if rule not in AFTER_FIRST_ERROR:
        raise ValueError(f"after_first_error: expected one of {AFTER_FIRST_ERROR}, found {rule!r}")
    if rule == "keep" or False not in row.step_labels:
        return row
    first = row.step_labels.index(False)
    kept = row.step_labels[: first + 1]
    if rule == "mask":
        return replace(row, step_labels=kept + [None] * (len(row.step_labels) - first - 1))
    num_tokens = bisect_right(row.step_of_token, first)
    if num_tokens == len(row.completion_ids):
        return row
    return replace(
        row,
        completion_ids=row.completion_ids[:num_tokens],
        step_of_token=row.step_of_token[:num_tokens],
        step_labels=kept,
        outcome=None if row.outcome else row.outcome,
    )
