"""Settings of the engines that answer requests to language models: how they are reached or run, and what they cost.

One block for every stage that asks: `sample` for the policy, `judge` for each of its models. Nothing in it changes
what is asked; only `dtype` and `quantization` change the model that answers, hence its identity.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.common.params.block import ParamsBlock

EngineName = Literal["openai", "serve", "vllm", "ray", "fake"]


class PriceParams(ParamsBlock):
    """Money per million tokens."""

    prompt: float = Field(ge=0)
    """Tokens in that no prefix cache served."""
    cached: float = Field(ge=0)
    """Tokens in that a prefix cache served."""
    completion: float = Field(ge=0)
    currency: str


class VllmParams(ParamsBlock):
    """How vLLM runs the model, for the kinds `serve`, `vllm` and `ray`."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"]
    """Type of the weights in memory; auto is the model's own. Another type is another model to the journal."""
    quantization: str | None
    """As vLLM names it (`fp8`, `awq`); null: none beyond the model's own. Another one is another model, too."""
    tensor_parallel: int = Field(ge=1)
    """GPUs over which one copy of the model is spread."""
    data_parallel: int = Field(ge=1)
    """Copies of the model; it takes ``tensor_parallel * data_parallel`` GPUs in all."""
    max_model_len: int | None = Field(ge=1)
    """Longest prompt and completion together, in tokens; null: the model's own."""
    gpu_memory: float = Field(gt=0, le=1)
    """Share of each GPU's memory that is used."""
    options: dict[str, str | int | float | bool]
    """Further engine arguments by vLLM's names (`enforce_eager: true`); none that changes what the model says."""


class FakeParams(ParamsBlock):
    """What the `fake` engine pretends."""

    latency_s: float = Field(ge=0)
    failing: float = Field(ge=0, le=1)
    """Share of requests that fail for good."""
    cut: float = Field(ge=0, le=1)
    """Share of completions that are cut by length."""


class EngineParams(ParamsBlock):
    """An `engine` block. Keys and addresses are never in it: OPENAI_BASE_URL and OPENAI_API_KEY in the environment."""

    kind: EngineName
    """`openai`: servers named by OPENAI_BASE_URL; `serve`: a vLLM server started for the stage; `vllm`: vLLM in the
    stage's process; `ray`: vLLM spread over a Ray cluster (RAY_ADDRESS); `fake`: made-up texts, for dry runs."""
    served_name: str | None
    """Name by which the servers of `openai` know the model; null: the model's own."""
    concurrency: int = Field(ge=1, le=10_000)
    """Requests in flight at once."""
    deadline_s: float = Field(gt=0)
    """Seconds for one request with all its tries; after them it has failed for good."""
    try_s: float = Field(gt=0)
    """Seconds for one try; a server that has not answered by then counts as hung."""
    vllm: VllmParams | None
    fake: FakeParams | None
    prices: PriceParams | None
    """null: no money is counted."""

    @model_validator(mode="after")
    def _kind_has_its_block(self) -> Self:
        block = {"serve": "vllm", "vllm": "vllm", "ray": "vllm", "fake": "fake"}.get(self.kind)
        if block is not None and getattr(self, block) is None:
            raise ValueError(f"kind {self.kind} needs the block {block}, which is null")
        if self.kind != "openai" and self.served_name is not None:
            raise ValueError(f"served_name is for kind openai; kind {self.kind} names its models itself")
        return self
