"""A judge's reply: the schema it is held to, and its verdicts, or why it cannot be used. It is never repaired."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LONGEST_RATIONALE = 400
"""Characters of a rationale that the schema allows; longer ones are cut where a server does not hold to it."""

LONGEST_REPLY = 1_000_000
"""Characters of a reply that are looked at."""

_VERDICTS = {"correct": True, "incorrect": False}
_REFUSALS = ("refusal", "content_filter")
_MISFIT = "not as the schema says"


@dataclass(frozen=True)
class StepVerdict:
    """One vote on one step: right or not, and why."""

    right: bool
    rationale: str


@dataclass(frozen=True)
class Unusable:
    """Why a reply gives no verdicts: `fault` in words that the judge is told at the next try, `kind` to count by."""

    fault: str
    kind: str = "of no use"


def reply_schema(steps: Sequence[int]) -> dict[str, Any]:
    """JSON schema of a reply on the steps numbered `steps`, from 1; the verdict comes before the rationale.

    A model that has to decide first cannot talk itself into a verdict, and a reply cut by length has lost words rather
    than decisions.
    """
    entry = {
        "type": "object",
        "properties": {
            "step": {"type": "integer", "minimum": min(steps), "maximum": max(steps)},
            "verdict": {"type": "string", "enum": list(_VERDICTS)},
            "rationale": {"type": "string", "maxLength": LONGEST_RATIONALE},
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


def read_reply(text: str, finish_reason: str, steps: Sequence[int]) -> list[StepVerdict] | Unusable:
    """The verdicts on the steps numbered `steps`, in their order, or why there are none."""
    if finish_reason == "length":
        return Unusable("it was cut by its length; keep each rationale short", "cut by length")
    if finish_reason in _REFUSALS:
        return Unusable("it was refused", "refused")
    if finish_reason != "stop":
        return Unusable("it was broken off", "broken off")
    if len(text) > LONGEST_REPLY:
        return Unusable("it was far too long", "far too long")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return Unusable("it was not JSON", "not JSON")
    entries = value.get("verdicts") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        return Unusable('it was not an object with a list "verdicts"', _MISFIT)
    if len(entries) != len(steps):
        return Unusable(f"it had {len(entries)} verdicts for {len(steps)} steps", "wrong number of verdicts")
    verdicts = []
    for entry, number in zip(entries, steps, strict=True):
        verdict = _read_entry(entry, number)
        if isinstance(verdict, Unusable):
            return verdict
        verdicts.append(verdict)
    return verdicts


def _read_entry(entry: Any, number: int) -> StepVerdict | Unusable:
    if not isinstance(entry, dict) or isinstance(entry.get("step"), bool) or entry.get("step") != number:
        return Unusable(f"the verdict on step {number} was not in its place", "wrong steps")
    verdict, rationale = entry.get("verdict"), entry.get("rationale")
    if not isinstance(verdict, str) or verdict not in _VERDICTS:
        return Unusable(f'the verdict on step {number} was neither "correct" nor "incorrect"', _MISFIT)
    if not isinstance(rationale, str):
        return Unusable(f"the rationale of step {number} was no text", _MISFIT)
    # JSON may escape half a character, which no table can hold.
    text = rationale[:LONGEST_RATIONALE].encode("utf-8", "replace").decode("utf-8")
    return StepVerdict(_VERDICTS[verdict], text)
