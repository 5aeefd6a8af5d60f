"""A judge's reply, read into votes.

It is accepted in three forms and never repaired: JSON alone, JSON in one code fence, either after the closed thinking.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from stages.common.text import replace_lone_surrogates, shorten_for_terminal
from stages.common.thinking import split_thinking
from stages.judge.llm.contradictions import contradicts_first_error, contradicts_verdict
from stages.judge.llm.reply_form import ALL_CORRECT, VERDICTS, ReplyForm

MAX_REASON_CHARS = 400
"""Characters kept of a vote's analysis, its last ones, which conclude."""

MAX_REPLY_CHARS = 1_000_000
"""A longer reply, thinking included, is not read."""

SHOWN_CHARS = 60
"""Characters of a reply shown in what was wrong with it."""

THINKING_CUT = "thinking cut"
"""Kind of a reply whose thinking reached the limit of tokens before it closed."""

NO_THINKING = "no thinking"
"""Kind of a reply that was to begin with thinking, and does not."""

_REFUSALS = ("refusal", "content_filter")
_MISMATCH = "does not match the schema"
_STEPS_DIFFER = "wrong steps"
_CONTRADICTION = "contradicts its analysis"


@dataclass(frozen=True)
class StepVote:
    """One reply's opinion of one step; None where it has none, as of steps after the first error."""

    is_correct: bool | None
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


class _DuplicateKeyError(ValueError):
    pass


def separate_thinking(text: str, finish_reason: str, form: ReplyForm, reasoning: str | None) -> tuple[str | None, str]:
    """The thinking of a reply, None if there is none, and its text without it.

    `reasoning` is what the server gave apart, empty where it keeps the thinking to itself. All of a text is thinking if
    that is not closed, or if the reply had to think and was cut without any mark: the prompt may have opened the
    thinking. Separating again changes nothing.
    """
    if isinstance(_parse(text), dict):  # a mark in a string of JSON ends nothing
        return reasoning, text
    split = split_thinking(text)
    is_open = form.has_thinking and finish_reason == "length" and not reasoning and split.start == 0
    thinking, rest = (text, "") if is_open else (split.thinking, split.rest) if split.is_closed else (text, "")
    return "\n\n".join(part for part in (reasoning, thinking) if part) or reasoning, rest


def read_reply(
    text: str,
    finish_reason: str,
    steps: Sequence[int],
    form: ReplyForm = ReplyForm(),  # noqa: B008  # immutable
    reasoning: str | None = None,
) -> list[StepVote] | InvalidReply:
    """The votes on the steps numbered `steps`, in this order, or why there are none.

    `reasoning` is thinking that came apart from `text`. No text makes it raise.
    """
    if len(text) + len(reasoning or "") > MAX_REPLY_CHARS:
        return InvalidReply("it was far too long", "far too long")
    thinking, text = separate_thinking(text, finish_reason, form, reasoning)
    if finish_reason == "length":
        if thinking is not None and not text.strip():
            return InvalidReply("its thinking was cut off at the length limit; think more briefly", THINKING_CUT)
        return InvalidReply("it was cut off at the length limit; write more briefly", "cut by length")
    if finish_reason in _REFUSALS:
        return InvalidReply("it was refused", "refused")
    if finish_reason != "stop":
        return InvalidReply("it was interrupted", "interrupted")
    if form.has_thinking and thinking is None:
        return InvalidReply("no thinking came before the verdicts", NO_THINKING)
    if thinking and not text.strip():
        return InvalidReply("nothing came after the thinking, or the thinking was never closed", "only thinking")
    value = _parse(text)
    if isinstance(value, InvalidReply):
        return value
    return _read_critique(value, steps, form) if form.is_critique else _read_entries(value, steps, form)


def _parse(text: str) -> Any:
    """The JSON value that `text` holds, alone or in one code fence; `InvalidReply` for any other text."""
    if len(text) > MAX_REPLY_CHARS:
        return InvalidReply("it was far too long", "far too long")
    body = _remove_fence(text.strip())
    try:
        return json.loads(body, object_pairs_hook=_make_dict, parse_constant=_reject_constant)
    except _DuplicateKeyError as error:
        return InvalidReply(f"one object had the key {error} twice", "duplicate keys")
    except (ValueError, RecursionError):
        return _explain(body)


def _remove_fence(body: str) -> str:
    """What stands between a first line that opens a code fence and a last one that closes it; else `body`."""
    first, _, rest = body.partition("\n")
    if first.rstrip().lower() in ("```", "```json") and rest.endswith("\n```"):
        return rest.removesuffix("```").strip()
    return body


def _explain(body: str) -> InvalidReply:
    """What is wrong with a text that is not JSON alone."""
    start = body.find("{")
    try:
        end = json.JSONDecoder().raw_decode(body, start)[1] if start >= 0 else start
    except (ValueError, RecursionError):
        end = -1
    before, after = body[:start].strip(), body[end:].strip()
    if end < 0 or not (before or after):
        return InvalidReply("it was not JSON", "not JSON")
    where, shown = ("before", before) if before else ("after", after)
    return InvalidReply(f"text came {where} the JSON: {shorten_for_terminal(shown, SHOWN_CHARS)}", "text around JSON")


def _make_dict(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise _DuplicateKeyError(shorten_for_terminal(json.dumps(key), SHOWN_CHARS))
        made[key] = value
    return made


def _reject_constant(name: str) -> None:
    raise ValueError(name)


def _read_entries(value: Any, steps: Sequence[int], form: ReplyForm) -> list[StepVote] | InvalidReply:
    entries = value.get("verdicts") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        return InvalidReply('it was not an object with a list "verdicts"', _MISMATCH)
    if len(entries) != len(steps):
        return InvalidReply(f"it had {len(entries)} verdicts for {len(steps)} steps", "wrong number of verdicts")
    votes: list[StepVote] = []
    for entry, number in zip(entries, steps, strict=True):
        vote = _read_entry(entry, number, form)
        if isinstance(vote, InvalidReply):
            return vote
        votes.append(vote)
    return votes


def _read_entry(entry: Any, number: int, form: ReplyForm) -> Vote:
    if not isinstance(entry, dict) or type(entry.get("step")) is not int or entry["step"] != number:
        return InvalidReply(f"the verdict on step {number} was missing or out of order", _STEPS_DIFFER)
    verdict = entry.get("verdict")
    is_correct = VERDICTS.get(verdict.lower()) if isinstance(verdict, str) else None
    if is_correct is None:
        return InvalidReply(f'the verdict on step {number} was neither "correct" nor "incorrect"', _MISMATCH)
    text = _read_text(entry, form)
    if text is None:
        return InvalidReply(f"the {form.text_key} of step {number} was not a string", _MISMATCH)
    if contradicts_verdict(text, number, is_correct):
        return InvalidReply(f"the verdict on step {number} contradicted its own {form.text_key}", _CONTRADICTION)
    return StepVote(is_correct, _bound_reason(text))


def _read_critique(value: Any, steps: Sequence[int], form: ReplyForm) -> list[StepVote] | InvalidReply:
    """Correct before the first error, incorrect there, no opinion after it."""
    if not isinstance(value, dict) or "first_error" not in value:
        return InvalidReply('it was not an object with "first_error"', _MISMATCH)
    given = value["first_error"]
    is_number = type(given) is int
    is_none = (
        given is None or (is_number and given == ALL_CORRECT) or (isinstance(given, str) and given.lower() == "none")
    )
    if not is_none and not (is_number and given in steps):
        return InvalidReply(f"first_error was neither a step's number nor {ALL_CORRECT}", _STEPS_DIFFER)
    first_error = None if is_none else given
    text = _read_text(value, form)
    if text is None:
        return InvalidReply(f"the {form.text_key} was not a string", _MISMATCH)
    if contradicts_first_error(text, first_error):
        return InvalidReply(f"first_error contradicted its own {form.text_key}", _CONTRADICTION)
    if first_error is None:
        return [StepVote(is_correct=True, rationale=_bound_reason(text)) for _ in steps]
    before, after = f"before the first error, step {first_error}", f"after the first error, step {first_error}"
    return [
        StepVote(is_correct=True, rationale=before)
        if number < first_error
        else StepVote(is_correct=False, rationale=_bound_reason(text))
        if number == first_error
        else StepVote(is_correct=None, rationale=after)
        for number in steps
    ]


def _read_text(entry: dict[str, Any], form: ReplyForm) -> str | None:
    """The text beside a verdict, under either of its keys; None where one is wanted and none is there."""
    text = entry.get("analysis", entry.get("rationale", "" if form.text_key is None else None))
    return text if isinstance(text, str) else None


def _bound_reason(text: str) -> str:
    # JSON may escape half a character, which no table can hold.
    text = replace_lone_surrogates(text)
    return text if len(text) <= MAX_REASON_CHARS else f"…{text[1 - MAX_REASON_CHARS :]}"
