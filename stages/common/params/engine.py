"""Params of the engines that generate completions: how a model is reached or run, and what it costs.

One block for every stage that generates: `sample` for the policy, `judge` for each of its models. Nothing in it changes
what is requested; only `dtype` and `quantization` change the model that responds, hence its identity.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from stages.common.params.block import KindParams, ParamsBlock


class PriceParams(ParamsBlock):
    """Money per million tokens."""

    prompt: float = Field(ge=0)
    """Prompt tokens that are not in a prefix cache."""
    cached: float = Field(ge=0)
    """Prompt tokens from a prefix cache."""
    completion: float = Field(ge=0)
    """Generated tokens."""
    currency: str = "USD"


class TransformersParams(ParamsBlock):
    """How transformers runs the model in the stage's process."""

    batch_size: int = Field(default=64, ge=1)
    """Sequences generated together."""


class RecordedParams(ParamsBlock):
    """Completions sampled elsewhere."""

    path: str
    """JSON Lines with `problem`, `answer` and a list `solutions`."""


class VllmParams(ParamsBlock):
    """How vLLM runs the model, for the kinds `vllm` and `ray`."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Type of the weights in memory; auto is the model's own. Another type is another model to the journal."""
    quantization: str | None = None
    """As vLLM names it (`fp8`, `awq`); null: none beyond the model's own. Another one is another model, too."""
    tensor_parallel_size: int = Field(default=1, ge=1)
    """GPUs that share one replica of the model."""
    data_parallel_size: int = Field(default=1, ge=1)
    """Replicas of the model, on ``tensor_parallel_size * data_parallel_size`` GPUs in all."""
    max_model_len: int | None = Field(default=None, ge=1)
    """Longest prompt and completion together, in tokens; null: the model's own."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    """Fraction of each GPU's memory that is used."""
    engine_args: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Further engine arguments by vLLM's names (`enforce_eager: true`); none that changes what the model says."""


class MockParams(ParamsBlock):
    """What the `mock` engine imitates."""

    latency_s: float = Field(default=0.0, ge=0)
    """Seconds until each response."""
    failure_rate: float = Field(default=0.0, ge=0, le=1)
    """Fraction of requests that fail finally."""
    truncation_rate: float = Field(default=0.0, ge=0, le=1)
    """Fraction of completions that are cut by length."""


class EngineParams(KindParams):
    """An `engine` block. Keys and addresses are never in it: OPENAI_BASE_URL and OPENAI_API_KEY in the environment."""

    seam: ClassVar[str] = "engine"
    built_in: ClassVar[tuple[str, ...]] = ("mock", "openai", "ray", "recorded", "serve", "transformers", "vllm")

    kind: str = "vllm"
    """`vllm`, or `serve`, its other name: a vLLM server started for the stage; `openai`: servers named by
    OPENAI_BASE_URL; `ray`: vLLM over a Ray cluster (RAY_ADDRESS); `transformers`: transformers in the stage's process;
    `recorded`: completions from a file; `mock`: made-up texts, for dry runs."""
    served_model_name: str | None = None
    """Name by which the servers of `openai` know the model; null: the model's own."""
    concurrency: int = Field(default=512, ge=1, le=10_000)
    """Requests in flight at once."""
    request_timeout_s: float = Field(default=3600.0, gt=0)
    """Seconds for one request with all its attempts; after them it has failed finally."""
    attempt_timeout_s: float = Field(default=900.0, gt=0)
    """Seconds for one attempt; a server that has not replied by then counts as hung."""
    transformers: TransformersParams = TransformersParams()
    recorded: RecordedParams | None = None
    vllm: VllmParams = VllmParams()
    mock: MockParams = MockParams()
    prices: PriceParams | None = None
    """null: no costs are reported."""

    @model_validator(mode="after")
    def _check_fit(self) -> Self:
        if self.served_model_name is not None and self.kind != "openai":
            raise ValueError(f"served_model_name: only for kind openai, found kind {self.kind}; set it to null")
        if self.recorded is None and self.kind == "recorded":
            raise ValueError("recorded: expected {path: FILE} for kind recorded, found null")
        return self
