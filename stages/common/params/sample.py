"""Settings of sampling."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.common.params.block import ParamsBlock
from stages.common.params.llm import EngineParams


class PromptParams(ParamsBlock):
    """How a problem becomes a prompt."""

    chat: bool
    """Whether the policy's chat template is used; a plain prompt otherwise."""
    system: str | None
    """System message of a chat, null for none."""
    template: str = Field(pattern=r"\{problem\}")
    """Text of the prompt with `{problem}` where the problem goes."""


class RecordedParams(ParamsBlock):
    """Solutions sampled elsewhere: JSON Lines with `problem`, `answer` and a list `solutions`."""

    path: str


class SampleParams(ParamsBlock):
    """`sample` block. The paper's own number of samples and temperature are not known."""

    engine: Literal["transformers", "recorded", "served"]
    """`transformers` draws in this process, in batches; `recorded` reads what was sampled elsewhere; `served` asks by
    request."""
    served: EngineParams | None
    """How requests are answered. To servers of kind openai the own name of a policy in a folder is its hash, as in
    ``vllm serve models/M1 --served-model-name HASH``: a name that no other weights have."""
    recorded: RecordedParams | None
    prompt: PromptParams
    problems: int | None = Field(ge=1)
    """Training problems per round, drawn by the hash of problem and policy; null for all."""
    samples: int = Field(ge=1)
    """K, samples per problem."""
    temperature: float = Field(ge=0)
    """0 is greedy."""
    max_tokens: int = Field(ge=1)
    """Longest completion, in tokens; a longer one is cut and marked `length`."""
    batch: int = Field(ge=1)
    """Sequences generated together by the transformers engine."""
