"""What a mock engine replies as a judge: the rule of toy arithmetic, with errors at set rates, in every form."""

import json
from typing import Any

from stages.common.engines import GenerationRequest
from stages.common.engines.kinds import MockReply
from stages.common.params.judge import MockJudgeParams
from stages.common.tables import content_hash, hash_to_unit
from stages.common.thinking import join_thinking
from stages.judge.llm.reply_form import ALL_CORRECT, ReplyForm
from stages.judge.llm.votes import VoteRequest
from stages.judge.rules import judge_toy_arithmetic

INVALID_REPLIES = ("I like this solution.", '{"verdicts": []}', '{"verdicts": [{"step": 1, "verdict": "corr')
"""Replies that give no votes: prose, the wrong number, JSON cut short."""


def make_mock_reply(
    vote: VoteRequest, request: GenerationRequest, params: MockJudgeParams, form: ReplyForm
) -> MockReply:
    """The reply to the `request` of `vote`.

    Its verdicts depend on model and seed and not on the prompt, so that they are the same in every form.
    """
    draw = request.key if request.seed is None else content_hash("draw", request.model, request.seed)
    is_invalid = hash_to_unit("mock judge", "invalid", draw) < params.invalid_rate
    by_rule = judge_toy_arithmetic(vote.completion.problem, list(vote.completion.steps))
    found: dict[int, tuple[bool, str]] = {}
    for number in vote.numbers:
        is_correct, reason = by_rule[number - 1]
        is_flipped = hash_to_unit("mock judge", "error", draw, number) < params.error_rate
        found[number] = (
            (is_correct is not False) is not is_flipped,
            f"{reason} (flipped on purpose)" if is_flipped else reason,
        )
    thinking = "\n".join(
        f"Step {number} is: {vote.completion.steps[number - 1].strip()}\nI check it against the step before. {reason}."
        for number, (_, reason) in found.items()
    )
    if form.reasoning == "two_turns" and len(request.prompt) == 1:
        return thinking
    text = json.dumps(_make_critique(found, form) if form.is_critique else _make_entries(found, form))
    if is_invalid:
        text = INVALID_REPLIES[int(content_hash("which", draw, digits=8), 16) % len(INVALID_REPLIES)]
    if form.reasoning == "field":
        return thinking, text
    return join_thinking(thinking, text) if form.reasoning == "tags" else text


def _make_entries(found: dict[int, tuple[bool, str]], form: ReplyForm) -> dict[str, Any]:
    entries = []
    for number, (is_correct, reason) in found.items():
        verdict = {"verdict": "correct" if is_correct else "incorrect"}
        entries.append({"step": number, **form.order_keys(verdict, reason)})
    return {"verdicts": entries}


def _make_critique(found: dict[int, tuple[bool, str]], form: ReplyForm) -> dict[str, Any]:
    first = next((number for number, (is_correct, _) in found.items() if not is_correct), ALL_CORRECT)
    return form.order_keys({"first_error": first}, found[first][1] if first in found else "no step is incorrect")
