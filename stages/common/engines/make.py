"""From settings to an engine."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from stages.common.engines.copies import Copies, devices
from stages.common.engines.cost import Prices
from stages.common.engines.engine import Engine
from stages.common.engines.fake import FakeEngine
from stages.common.engines.model import Model
from stages.common.engines.ray_engine import RayEngine
from stages.common.engines.retry import Patience
from stages.common.engines.serve import ServeEngine
from stages.common.engines.served import OpenAIEngine
from stages.common.engines.vllm_engine import VllmEngine
from stages.common.params.llm import EngineName, EngineParams, VllmParams


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
    return _copies(params.kind, model, params.vllm, params.concurrency)


def _copies(kind: EngineName, model: Model, vllm: VllmParams, concurrency: int) -> Engine:
    """vLLM in this process, in several of this machine, or in a cluster's."""
    if kind == "vllm" and vllm.data_parallel == 1:
        return VllmEngine(model, vllm, concurrency)
    each = -(-concurrency // vllm.data_parallel)
    if kind == "vllm":
        return Copies(partial(VllmEngine, model, vllm, each), devices(vllm.tensor_parallel, vllm.data_parallel), each)
    if Path(model.source).is_dir():  # a cluster's processes start in folders of their own
        model = replace(model, source=str(Path(model.source).resolve()))
    return RayEngine(partial(VllmEngine, model, vllm, each), vllm.data_parallel, vllm.tensor_parallel, each)


def prices_of(params: EngineParams) -> Prices | None:
    """The prices that `params` name."""
    return None if params.prices is None else Prices(**params.prices.model_dump())
