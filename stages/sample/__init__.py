"""Samples: K solutions per problem from a policy, by one of several engines."""

from stages.common.prompt import chat_messages, plain_prompt
from stages.sample.draw import Drawn, choose_problems, draw_samples, sample_problems, sampling_settings

__all__ = [
    "Drawn",
    "chat_messages",
    "choose_problems",
    "draw_samples",
    "plain_prompt",
    "sample_problems",
    "sampling_settings",
]
