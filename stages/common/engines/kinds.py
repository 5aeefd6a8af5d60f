"""Kinds of engines: what the rest of the code asks of a kind, the registry, and from params to an engine."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.common.engines.engine import Engine, ModelId
from stages.common.engines.request import GenerationRequest
from stages.common.journal import ROOT
from stages.common.params.engine import EngineParams
from stages.common.params.runtime import RuntimeParams, load_runtime
from stages.common.registry import Registry
from stages.common.tables import DropLog

MockReply = str | tuple[str, str]
"""What a mock engine replies: a text, or thinking that is given apart from it, and the text."""


@dataclass(frozen=True)
class EngineContext:
    """What a caller gives an engine besides its params."""

    runtime: RuntimeParams | None = None
    """The machine's params; None: those in params.yaml."""
    mock_reply: Callable[[GenerationRequest], MockReply] | None = None
    """Text of a mock engine's completion; None: the engine's own."""
    journal: Path = ROOT / "requests.jsonl"
    """The journal in front of the engine; what an engine keeps of its own for a later run lies beside it."""
    drops: DropLog = field(default_factory=DropLog)
    """Counts rows of a file that cannot be used."""

    def get_runtime(self) -> RuntimeParams:
        """The machine's params."""
        return self.runtime or load_runtime()


class EngineKind:
    """One kind of engine. A new kind is a subclass in a module of its own, and a line in `ENGINES` or in a plugin.

    The params of a kind from outside are `EngineParams.kind_params`.
    """

    generates: bool = True
    """Whether it generates with the model; false where it reads completions that were recorded elsewhere."""
    makes_requests: bool = True
    """Whether requests may fail one by one and cost money: then they are planned, priced and tested by a pre-flight."""
    holds_model: bool = False
    """Whether an engine loads the model or starts its server, so that one for several journals saves time."""
    is_mock: bool = False
    """Whether its completions are made up, so that a caller may supply them."""

    @classmethod
    def make_engine(cls, params: EngineParams, model: ModelId, context: EngineContext) -> Engine:
        """An engine that runs `model`; nothing is loaded, started or looked up yet."""
        raise NotImplementedError

    @classmethod
    def identify_model(cls, params: EngineParams, model: ModelId) -> str:
        """What a request names as its model: equal for all kinds and params under which the model says the same."""
        return str(model)

    @classmethod
    def name_sampler(cls, params: EngineParams) -> str:
        """What stands for the engine in the hash of the params that determine a sample."""
        return cls.identify_model(params, ModelId("served policy"))

    @classmethod
    def limit_thinking(cls, params: EngineParams, num_tokens: int) -> dict[str, Any]:
        """What `GenerationRequest.extra_body` has to hold for the engine to close thinking after `num_tokens`.

        Empty where it cannot: the thinking then ends with the request's `max_tokens` at the latest.
        """
        return {}

    @classmethod
    def uses_batches(cls, params: EngineParams) -> bool:
        """Whether its requests go in a provider's batches, which `prices.batch_discount` makes cheaper."""
        return False

    @classmethod
    def choose_seed(cls, seed: int) -> int | None:
        """The seed of a request, made from `seed` in [0, 2**63): 31 bits, which every server takes."""
        return seed % 2**31


ENGINES: Registry[type[EngineKind]] = Registry(
    "engine",
    {
        "batch": "stages.common.engines.batch_engine:BatchKind",
        "mock": "stages.common.engines.mock_engine:MockKind",
        "openai": "stages.common.engines.openai_engine:OpenAIKind",
        "ray": "stages.common.engines.ray_engine:RayKind",
        "recorded": "stages.common.engines.recorded_engine:RecordedKind",
        "serve": "stages.common.engines.sglang_engine:ServeKind",
        "transformers": "stages.common.engines.transformers_engine:TransformersKind",
        "vllm": "stages.common.engines.vllm_engine:VllmKind",
    },
)


def find_engine_kind(params: EngineParams) -> type[EngineKind]:
    """The kind that `params` name; raise `UserError` for an unknown one."""
    return ENGINES.get(params.kind)


def make_engine(params: EngineParams, model: ModelId, context: EngineContext | None = None) -> Engine:
    """The engine of `params`, to run `model`; nothing is loaded, started or looked up yet."""
    return find_engine_kind(params).make_engine(params, model, context or EngineContext())


def identify_model(params: EngineParams, model: ModelId) -> str:
    """What a request names as its model where the engine of `params` runs it: the key of its completions."""
    return find_engine_kind(params).identify_model(params, model)
