"""From settings to an engine."""

from __future__ import annotations

from functools import partial

from stages.llm.copies import Copies, devices
from stages.llm.cost import Prices
from stages.llm.engine import Engine
from stages.llm.errors import EngineError
from stages.llm.fake import FakeEngine
from stages.llm.model import Model
from stages.llm.retry import Patience
from stages.llm.serve import ServeEngine
from stages.llm.served import OpenAIEngine
from stages.llm.vllm_engine import VllmEngine
from stages.params.llm import EngineParams, VllmParams


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
        return _vllm(model, params.vllm, params.concurrency)
    raise EngineError(f"engine {params.kind}: not built yet")


def _vllm(model: Model, vllm: VllmParams, concurrency: int) -> Engine:
    if vllm.data_parallel == 1:
        return VllmEngine(model, vllm, concurrency)
    each = -(-concurrency // vllm.data_parallel)
    return Copies(partial(VllmEngine, model, vllm, each), devices(vllm.tensor_parallel, vllm.data_parallel), each)


def prices_of(params: EngineParams) -> Prices | None:
    """The prices that `params` name."""
    return None if params.prices is None else Prices(**params.prices.model_dump())
