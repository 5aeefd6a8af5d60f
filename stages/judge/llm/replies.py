"""A judge's reply: its JSON schema, and reading it into votes. An invalid reply is never repaired."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_RATIONALE_CHARS = 400
"""Longest rationale by the schema; a longer one, from a server that ignores the schema, is shortened."""

MAX_REPLY_CHARS = 1_000_000
"""A longer reply is not parsed."""

_VERDICTS = {"correct": True, "incorrect": False}
_REFUSALS = ("refusal", "content_filter")
_MISMATCH = "does not match the schema"


@dataclass(frozen=True)
class StepVote:
    """One reply's opinion of one step."""

    is_correct: bool
    rationale: str


@dataclass(frozen=True)
class InvalidReply:
    """Why a reply gives no votes."""

    error: str
    """What was wrong with it, as the next prompt tells the model: "it was not JSON"."""
    kind: str = "invalid"
    """A few words without detail, for counting."""


Vote = StepVote | InvalidReply
"""A vote, or why it is missing."""

NO_REPLY = InvalidReply("no reply is kept")
"""A vote that was not requested, or whose reply is not there."""


def make_reply_schema(steps: Sequence[int]) -> dict[str, Any]:
    """JSON schema of a reply on the steps numbered `steps`, from 1.

    The verdict precedes the rationale, so that the rationale cannot steer it and a reply cut by length loses words
    rather than verdicts.
    """
    entry = {
        "type": "object",
        "properties": {
            "step": {"type": "integer", "minimum": min(steps), "maximum": max(steps)},
            "verdict": {"type": "string", "enum": list(_VERDICTS)},
            "rationale": {"type": "string", "maxLength": MAX_RATIONALE_CHARS},
        },
        "required": ["step", "verdict", "rationale"],
        "additionalProperties": False,
    }
    verdicts = {"type": "array", "items": entry, "minItems": len(steps), "maxItems": len(steps)}
    return {
        "type": "object",
        "properties": {"verdicts": verdicts},
        "required": ["verdicts"],
        "additionalProperties": False,
    }


def read_reply(text: str, finish_reason: str, steps: Sequence[int]) -> list[StepVote] | InvalidReply:
    """The votes on the steps numbered `steps`, in this order, or why there are none."""
    if finish_reason == "length":
        return InvalidReply("it was cut off at the length limit; keep each rationale short", "cut by length")
    if finish_reason in _REFUSALS:
        return InvalidReply("it was refused", "refused")
    if finish_reason != "stop":
        return InvalidReply("it was interrupted", "interrupted")
    if len(text) > MAX_REPLY_CHARS:
        return InvalidReply("it was far too long", "far too long")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return InvalidReply("it was not JSON", "not JSON")
    entries = value.get("verdicts") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        return InvalidReply('it was not an object with a list "verdicts"', _MISMATCH)
    if len(entries) != len(steps):
        return InvalidReply(f"it had {len(entries)} verdicts for {len(steps)} steps", "wrong number of verdicts")
    votes = []
    for entry, number in zip(entries, steps, strict=True):
        vote = _read_entry(entry, number)
        if isinstance(vote, InvalidReply):
            return vote
        votes.append(vote)
    return votes


def _read_entry(entry: Any, number: int) -> Vote:
    if not isinstance(entry, dict) or isinstance(entry.get("step"), bool) or entry.get("step") != number:
        return InvalidReply(f"the verdict on step {number} was missing or out of order", "wrong steps")
    verdict, rationale = entry.get("verdict"), entry.get("rationale")
    if not isinstance(verdict, str) or verdict not in _VERDICTS:
        return InvalidReply(f'the verdict on step {number} was neither "correct" nor "incorrect"', _MISMATCH)
    if not isinstance(rationale, str):
        return InvalidReply(f"the rationale of step {number} was not a string", _MISMATCH)
    # JSON may escape half a character, which no table can hold.
    text = rationale[:MAX_RATIONALE_CHARS].encode("utf-8", "replace").decode("utf-8")
    return StepVote(_VERDICTS[verdict], text)
