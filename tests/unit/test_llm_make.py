"""From settings to an engine, and what a model is to the journal."""

from __future__ import annotations

from typing import Any

import pytest

from stages.common.engines import (
    Completion,
    Copies,
    FakeEngine,
    Model,
    OpenAIEngine,
    RayEngine,
    Request,
    VllmEngine,
    make_engine,
    prices_of,
)
from stages.common.params.block import ParamsError, validate
from stages.common.params.llm import EngineParams

VLLM: dict[str, Any] = {
    "dtype": "auto",
    "quantization": None,
    "tensor_parallel": 1,
    "data_parallel": 1,
    "max_model_len": None,
    "gpu_memory": 0.9,
    "options": {},
}
FAKE = {"latency_s": 0.0, "failing": 0.0, "cut": 0.0}
BLOCK: dict[str, Any] = {
    "kind": "openai",
    "served_name": None,
    "concurrency": 64,
    "deadline_s": 600.0,
    "try_s": 300.0,
    "vllm": None,
    "fake": None,
    "prices": None,
}
MODEL = Model("org/model", "c0ffee")


def engine_params(**changes: Any) -> EngineParams:
    return validate(EngineParams, {**BLOCK, **changes}, "judge.engine")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "serve"}, "judge.engine: kind serve needs the block vllm, which is null"),
        ({"kind": "fake"}, "judge.engine: kind fake needs the block fake, which is null"),
        ({"kind": "vllm", "vllm": VLLM, "served_name": "x"}, "judge.engine: served_name is for kind openai"),
        ({"base_url": "http://x"}, "judge.engine.base_url: unknown key"),
        ({"vllm": {**VLLM, "tensor_parallel": 0}}, "judge.engine.vllm.tensor_parallel: "),
        ({"concurrency": 0}, "judge.engine.concurrency: "),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        engine_params(**changes)


def test_each_kind_is_made_and_nothing_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert isinstance(make_engine(engine_params(), MODEL), OpenAIEngine)
    apart = {**VLLM, "tensor_parallel": 2, "data_parallel": 4}
    assert isinstance(make_engine(engine_params(kind="vllm", vllm=VLLM), MODEL), VllmEngine)
    assert isinstance(make_engine(engine_params(kind="vllm", vllm=apart), MODEL), Copies)
    assert isinstance(make_engine(engine_params(kind="ray", vllm=apart), MODEL), RayEngine)
    engine = make_engine(engine_params(kind="fake", fake=FAKE), MODEL)
    assert isinstance(engine, FakeEngine)
    [(_, result)] = engine.complete([Request("fake m", "2 + 2", 0.0, 8, None)])
    assert isinstance(result, Completion)


def test_how_a_model_is_run_is_no_part_of_it_unless_it_changes_what_it_says() -> None:
    served = engine_params()
    same = [
        engine_params(concurrency=512, deadline_s=9.0, try_s=1.0, served_name="alias"),
        engine_params(kind="serve", vllm={**VLLM, "tensor_parallel": 8, "data_parallel": 2, "max_model_len": 4096}),
        engine_params(kind="vllm", vllm={**VLLM, "gpu_memory": 0.5, "options": {"enforce_eager": True}}),
        engine_params(
            kind="ray", vllm=VLLM, prices={"prompt": 1.0, "cached": 0.5, "completion": 2.0, "currency": "USD"}
        ),
    ]
    assert {MODEL.asked_through(params) for params in [served, *same]} == {"org/model@c0ffee"}
    others = [
        engine_params(kind="fake", fake=FAKE),
        engine_params(kind="vllm", vllm={**VLLM, "dtype": "float32"}),
        engine_params(kind="vllm", vllm={**VLLM, "quantization": "fp8"}),
        engine_params(kind="vllm", vllm={**VLLM, "dtype": "float16", "quantization": "fp8"}),
    ]
    assert len({"org/model@c0ffee", *map(MODEL.asked_through, others)}) == 5
    assert Model("models/M1", hash="abc").asked_through(served) == "abc"
    assert Model("gpt-x").asked_through(served) == "gpt-x"


def test_prices() -> None:
    assert prices_of(engine_params()) is None
    prices = prices_of(engine_params(prices={"prompt": 1.0, "cached": 0.5, "completion": 2.0, "currency": "EUR"}))
    assert prices is not None
    assert (prices.completion, prices.currency) == (2.0, "EUR")
