"""Params of the engines that generate completions: how a model is reached or run, and what it costs.

One block for every stage that generates: `sample` for the policy, `judge` for each of its models. Of all that is in it,
`extra_body` alone changes what is requested, and `dtype` and `quantization` the model that responds.
"""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from stages.common.params.block import KindParams, LocalFile, ParamsBlock

_FIELDS = ("max_tokens", "messages", "model", "prompt", "response_format", "seed", "stop", "temperature", "top_p")

OWN_KEYS = frozenset({*_FIELDS, "max_completion_tokens", "n", "stream"})
"""Keys of a request's body that `extra_body` cannot hold: other params say them, or one whole reply is read."""

TEMPLATE_KEYS = frozenset({"chat_template_kwargs", "reasoning_effort"})
"""Keys of `extra_body` that the chat template gets."""


class PriceParams(ParamsBlock):
    """Money per million tokens."""

    prompt: float = Field(ge=0)
    """Prompt tokens that are not in a prefix cache."""
    cached: float = Field(ge=0)
    """Prompt tokens from a prefix cache."""
    completion: float = Field(ge=0)
    """Generated tokens."""
    currency: str = "USD"
    batch_discount: float = Field(default=0.5, ge=0, le=1)
    """Fraction by which the same is cheaper in a provider's batch; half at OpenAI and most others."""


class TransformersParams(ParamsBlock):
    """How transformers runs the model in the stage's process."""

    batch_size: int = Field(default=64, ge=1)
    """Sequences generated together."""
    dtype: Literal["auto", "float32", "bfloat16"] | None = None
    """Type of the weights in memory; null: float32 on a CPU, bfloat16 on a GPU. auto: on a CPU too, bfloat16 where a
    probe finds it faster, so that samples depend on the machine. Another type is another model to the journal."""


class RecordedParams(ParamsBlock):
    """Completions sampled elsewhere."""

    path: LocalFile
    """JSON Lines with `problem`, `answer` and a list `solutions`."""


class OpenAIParams(ParamsBlock):
    """What the servers of kind `openai` take; none of it changes a request's identity.

    null: found from what the server refuses of the first request, beginning with the first choice named here.
    """

    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] | None = None
    """The name of the longest completion."""
    send_seed: bool | None = None
    """false: draws cannot be repeated by this server; samples and votes are drawn once each all the same."""
    send_top_p: bool | None = None
    """false: a top_p of 1, which cuts nothing, is not sent."""
    schema_bounds: bool | None = None
    """Whether a JSON schema holds bounds such as maxLength and minItems. Replies are checked in any case."""
    response_format: Literal["json_schema", "json_object", "none"] | None = None
    """How a schema is asked for: enforced, as JSON of any shape, or by the prompt alone."""
    return_token_ids: bool | None = None
    """Whether samples are asked for with their token ids and log-probs, which vLLM's server gives."""


class VllmParams(ParamsBlock):
    """How vLLM or SGLang runs the model, for the kinds `vllm`, `serve` and `ray`."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] | None = None
    """Type of the weights in memory; null: float32 on a CPU, the model's own on a GPU. auto: on a CPU bfloat16 where a
    probe finds it faster, so that replies depend on the machine. Another type is another model to the journal."""
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
    reasoning_parser: str | None = None
    """The server's name for how the model marks its thinking (vLLM: `deepseek_r1`, `qwen3`; SGLang: `deepseek-r1`).

    It gives the thinking apart from the text, and a JSON schema holds only after it. null: thinking stays in the text.
    """
    engine_args: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Further arguments by the server's names (`enforce_eager: true`); none that changes what the model says."""


class BatchParams(ParamsBlock):
    """How requests are put into files and run, for kind `batch`. Defaults are OpenAI's limits."""

    backend: Literal["provider", "vllm"] = "provider"
    """`provider`: the batch endpoint of the server named by OPENAI_BASE_URL; `vllm`: vLLM's run-batch, by the params
    of `vllm`."""
    max_requests: int = Field(default=50_000, ge=1)
    """Requests per batch; more are split into several."""
    max_bytes: int = Field(default=200_000_000, ge=1)
    """Bytes per batch's file."""
    max_attempts: int = Field(default=3, ge=1)
    """Batches that one request may be in, where it expires, is not run or the server fails."""
    max_online_requests: int = Field(default=64, ge=0)
    """So few requests go to a provider one by one, at the full price, since a batch may take a day: pre-flights, and
    what is left of a batch. 0: none, so that pre-flights are batches of their own."""
    poll_s: float = Field(default=30.0, gt=0)
    """Seconds between two looks at a batch."""


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
    built_in: ClassVar[tuple[str, ...]] = (
        "batch",
        "mock",
        "openai",
        "ray",
        "recorded",
        "serve",
        "transformers",
        "vllm",
    )

    kind: str = "vllm"
    """`batch`: files of requests, run by a provider within a day or by vLLM offline;
    `vllm`: a vLLM server started for the stage; `serve`: that of `server`; `openai`: servers named by
    OPENAI_BASE_URL; `ray`: vLLM over a Ray cluster (RAY_ADDRESS); `transformers`: transformers in the stage's process;
    `recorded`: completions from a file; `mock`: made-up texts, for dry runs."""
    server: Literal["vllm", "sglang"] = "vllm"
    """The server that kind `serve` starts."""
    served_model_name: str | None = None
    """Name by which the servers of `openai` and `batch` know the model; null: the model's own."""
    concurrency: int = Field(default=512, ge=1, le=10_000)
    """Requests in flight at once."""
    request_timeout_s: float = Field(default=3600.0, gt=0)
    """Seconds for one request with all its attempts; after them it has failed finally."""
    attempt_timeout_s: float = Field(default=900.0, gt=0)
    """Seconds for one attempt; a server that has not replied by then counts as hung."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """What else is sent with each request and changes what the model says: `{reasoning_effort: high}`,
    `{chat_template_kwargs: {enable_thinking: true}}`. Part of each request's identity."""
    openai: OpenAIParams = OpenAIParams()
    transformers: TransformersParams = TransformersParams()
    recorded: RecordedParams | None = None
    vllm: VllmParams = VllmParams()
    batch: BatchParams = BatchParams()
    mock: MockParams = MockParams()
    prices: PriceParams | None = None
    """null: no costs are reported."""

    @model_validator(mode="after")
    def _check_fit(self) -> Self:
        if self.served_model_name is not None and self.kind not in ("openai", "batch"):
            raise ValueError(
                f"served_model_name: only for kinds openai and batch, found kind {self.kind}; set it to null"
            )
        if self.server != "vllm" and self.kind != "serve":
            raise ValueError(f"server: only for kind serve, found kind {self.kind}; set kind: serve")
        if refused := sorted(OWN_KEYS & self.extra_body.keys()):
            raise ValueError(
                f"extra_body: {refused[0]}: the recipe says it elsewhere, or it is not supported; leave it out"
            )
        if self.kind == "transformers" and (refused := sorted(self.extra_body.keys() - TEMPLATE_KEYS)):
            raise ValueError(
                f"extra_body: {refused[0]}: kind transformers takes {' and '.join(sorted(TEMPLATE_KEYS))} alone"
            )
        if self.recorded is None and self.kind == "recorded":
            raise ValueError("recorded: expected {path: FILE} for kind recorded, found null")
        return self
