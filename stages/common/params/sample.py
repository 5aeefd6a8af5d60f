"""Params of sampling."""

from typing import Literal

from pydantic import Field

from stages.common.params.block import ParamsBlock
from stages.common.params.engine import EngineParams


class PromptParams(ParamsBlock):
    """How a problem becomes a prompt. The paper's prompt is not known."""

    chat: bool = True
    """Whether the policy's chat template is used; a plain prompt otherwise."""
    system: str | None = None
    """System message of a chat, null for none."""
    template: str = Field(
        default="{problem}\nPlease reason step by step, and put your final answer within \\boxed{}.",
        pattern=r"\{problem\}",
    )
    """Text of the prompt, with `{problem}` in place of the problem."""


class SampleParams(ParamsBlock):
    """`sample` block. The paper's number of samples and temperature are not known."""

    engine: EngineParams = Field(default_factory=EngineParams)
    """What generates the samples. Servers of kind openai know a policy in a folder by its hash, unless
    `served_model_name` says otherwise: ``vllm serve models/M1 --served-model-name HASH``."""
    prompt: PromptParams = PromptParams()
    num_problems: int | None = Field(default=None, ge=1)
    """Training problems per round, chosen by the hash of problem and policy; null for all."""
    num_samples: int = Field(default=8, ge=1)
    """K, samples per problem."""
    temperature: float = Field(default=1.0, ge=0)
    """0 is greedy."""
    max_tokens: int = Field(default=2048, ge=1)
    """Longest completion, in tokens; a longer one is cut and marked `length`."""
    thinking: Literal["kept", "stripped"] = "kept"
    """Of a policy that thinks: `kept` in the completion (in <think> tags if a server gives it apart), and so split,
    judged and trained on; `stripped`: the completion begins after it, and is empty if it was never closed."""
