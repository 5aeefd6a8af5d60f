"""From settings to an engine."""

from __future__ import annotations

from stages.llm.cost import Prices
from stages.llm.engine import Engine
from stages.llm.errors import EngineError
from stages.llm.fake import FakeEngine
from stages.llm.model import Model
from stages.llm.retry import Patience
from stages.llm.serve import ServeEngine
from stages.llm.served import OpenAIEngine
from stages.llm.vllm_engine import VllmEngine
from stages.params.llm import EngineParams


def make_engine(params: EngineParams, model: Model) -> Engine:
    """The engine that `params` describe, to ask `model`; nothing is loaded, started or looked up yet."""
    patience = Patience(params.deadline_s, params.try_s)
    if params.kind == "openai":
        return OpenAIEngine(params.served_name or model.source, params.concurrency, patience)
    if params.kind == "fake":
        assert params.fake is not None
        return FakeEngine(params.concurrency, params.fake.latency_s, params.fake.failing, params.fake.cut)
    assert params.vllm is not None
    if params.kind == "serve":
        return ServeEngine(model, params.vllm, params.concurrency, patience)
    if params.kind == "vllm":
        return VllmEngine(model, params.vllm, params.concurrency)
    raise EngineError(f"engine {params.kind}: not built yet")


def prices_of(params: EngineParams) -> Prices | None:
    """The prices that `params` name."""
    return None if params.prices is None else Prices(**params.prices.model_dump())
