"""What a mock engine replies as a judge: the rule of toy arithmetic, with errors at set rates."""

import json

from stages.common.params.judge import MockJudgeParams
from stages.common.tables import content_hash, hash_to_unit
from stages.judge.llm.votes import VoteRequest
from stages.judge.rules import judge_toy_arithmetic

INVALID_REPLIES = ("I like this solution.", '{"verdicts": []}', '{"verdicts": [{"step": 1, "verdict": "corr')
"""Replies that give no votes: prose, the wrong number, JSON cut short."""


def make_mock_reply(request: VoteRequest, key: str, params: MockJudgeParams) -> str:
    """The reply to `request`, whose key in the journal is `key`; it depends on these alone."""
    if hash_to_unit("mock judge", "invalid", key) < params.invalid_rate:
        return INVALID_REPLIES[int(content_hash("which", key, digits=8), 16) % len(INVALID_REPLIES)]
    verdicts = judge_toy_arithmetic(request.completion.problem, list(request.completion.steps))
    entries = []
    for number in request.numbers:
        is_correct, reason = verdicts[number - 1]
        is_flipped = hash_to_unit("mock judge", "error", key, number) < params.error_rate
        verdict = "correct" if (is_correct is not False) is not is_flipped else "incorrect"
        rationale = f"{reason} (flipped on purpose)" if is_flipped else reason
        entries.append({"step": number, "verdict": verdict, "rationale": rationale})
    return json.dumps({"verdicts": entries})
