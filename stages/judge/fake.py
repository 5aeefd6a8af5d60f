"""What the fake engine says as a judge: the day world's rule, spoken by somebody who errs as often as is asked for."""

from __future__ import annotations

import json

from stages.common.params.judge import WeakJudgeParams
from stages.common.tables import content_hash
from stages.judge.cases import Case
from stages.judge.exact import judge_exactly

USELESS = ("I like this solution.", '{"verdicts": []}', '{"verdicts": [{"step": 1, "verdict": "corr')
"""Replies that give no verdict: prose, the wrong number, JSON cut short."""


def fake_reply(case: Case, numbers: list[int], key: str, params: WeakJudgeParams) -> str:
    """The reply to request `key` on the steps numbered `numbers`, from 1, of `case`: it follows from these alone."""
    if _share("useless", key) < params.useless:
        return USELESS[int(content_hash("which", key, digits=8), 16) % len(USELESS)]
    truth = judge_exactly(case.problem, list(case.steps))
    entries = []
    for number in numbers:
        right, reason = truth[number - 1]
        errs = _share("wrong", key, number) < params.wrong
        correct = (right is not False) is not errs
        said = f"{reason} (said the other way round on purpose)" if errs else reason
        entries.append({"step": number, "verdict": "correct" if correct else "incorrect", "rationale": said})
    return json.dumps({"verdicts": entries})


def _share(*parts: str | int) -> float:
    """A number in [0, 1) that belongs to `parts`."""
    return int(content_hash("fake judge", *parts, digits=12), 16) / 16**12
