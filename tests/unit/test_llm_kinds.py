"""From params to an engine, and what a model is to the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stages.common.engines import Completion, GenerationRequest, ModelId, identify_model, make_engine
from stages.common.engines.mock_engine import MockEngine
from stages.common.engines.openai_engine import OpenAIEngine
from stages.common.engines.ray_engine import RayEngine
from stages.common.engines.vllm_engine import VllmEngine
from stages.common.params.block import ParamsError, validate
from stages.common.params.engine import EngineParams
from stages.common.policies import read_policy, write_manifest

MODEL = ModelId("org/model", "c0ffee")


def engine_params(**changes: Any) -> EngineParams:
    return validate(EngineParams, {"kind": "openai", **changes}, "judge.engine")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "recorded"}, "judge.engine: recorded: expected {path: FILE} for kind recorded, found null"),
        ({"kind": "vlm"}, "judge.engine: kind: no engine of kind 'vlm'; did you mean vllm?"),
        ({"kind": "vllm", "served_model_name": "x"}, "judge.engine: served_model_name: only for kind openai"),
        ({"base_url": "http://x"}, "judge.engine.base_url: unknown key"),
        ({"vllm": {"tensor_parallel_size": 0}}, "judge.engine.vllm.tensor_parallel_size: "),
        ({"concurrency": 0}, "judge.engine.concurrency: "),
    ],
)
def test_params_that_do_not_fit_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        engine_params(**changes)


def test_each_kind_is_made_and_nothing_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert isinstance(make_engine(engine_params(), MODEL), OpenAIEngine)
    apart = {"tensor_parallel_size": 2, "data_parallel_size": 4}
    assert isinstance(make_engine(engine_params(kind="vllm"), MODEL), VllmEngine)
    assert isinstance(make_engine(engine_params(kind="serve", vllm=apart), MODEL), VllmEngine)
    assert isinstance(make_engine(engine_params(kind="ray", vllm=apart), MODEL), RayEngine)
    engine = make_engine(engine_params(kind="mock"), MODEL)
    assert isinstance(engine, MockEngine)
    [(_, result)] = engine.complete([GenerationRequest("mock m", "2 + 2", 0.0, 8, None)])
    assert isinstance(result, Completion)


def test_how_a_model_is_run_is_no_part_of_it_unless_it_changes_what_it_says() -> None:
    served = engine_params()
    same = [
        engine_params(concurrency=512, request_timeout_s=9.0, attempt_timeout_s=1.0, served_model_name="alias"),
        engine_params(kind="serve", vllm={"tensor_parallel_size": 8, "data_parallel_size": 2, "max_model_len": 4096}),
        engine_params(kind="vllm", vllm={"gpu_memory_utilization": 0.5, "engine_args": {"enforce_eager": True}}),
        engine_params(kind="ray", prices={"prompt": 1.0, "cached": 0.5, "completion": 2.0, "currency": "USD"}),
    ]
    assert {identify_model(params, MODEL) for params in [served, *same]} == {"org/model@c0ffee"}
    others = [
        engine_params(kind="mock"),
        engine_params(kind="vllm", vllm={"dtype": "float32"}),
        engine_params(kind="vllm", vllm={"quantization": "fp8"}),
        engine_params(kind="vllm", vllm={"dtype": "float16", "quantization": "fp8"}),
    ]
    assert len({"org/model@c0ffee", *(identify_model(params, MODEL) for params in others)}) == 5
    assert identify_model(served, ModelId("models/M1", hash="abc")) == "abc"
    assert identify_model(served, ModelId("gpt-x")) == "gpt-x"


def test_prices() -> None:
    assert engine_params().prices is None
    prices = engine_params(prices={"prompt": 1.0, "cached": 0.5, "completion": 2.0, "currency": "EUR"}).prices
    assert prices is not None
    assert (prices.completion, prices.currency) == (2.0, "EUR")


def test_a_model_in_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"weights")
    write_manifest(two, {"kind": "train"})
    first, second = (ModelId.find(str(folder)) for folder in (one, two))
    assert str(first) == str(second) == read_policy(two).hash
    assert first.source == str(one)
    (one / "model.safetensors").write_bytes(b"other weights")
    assert str(ModelId.find(str(one))) != str(first)
    assert str(ModelId.find("org/model", "c0ffee")) == "org/model@c0ffee"
    assert str(ModelId.find("gpt-x")) == "gpt-x"
