"""Language models as judges."""

from stages.judge.llm.judge_prompts import hash_prompt, read_template
from stages.judge.llm.llm_judge import LlmJudge
from stages.judge.llm.recount import VOTE_COUNTS, count_kept_votes, read_kept_reply
from stages.judge.llm.replies import InvalidReply, StepVote
from stages.judge.llm.reply_form import ReplyForm
from stages.judge.llm.votes import DISAGREEMENT_PATTERN

__all__ = [
    "DISAGREEMENT_PATTERN",
    "VOTE_COUNTS",
    "InvalidReply",
    "LlmJudge",
    "ReplyForm",
    "StepVote",
    "count_kept_votes",
    "hash_prompt",
    "read_kept_reply",
    "read_template",
]
