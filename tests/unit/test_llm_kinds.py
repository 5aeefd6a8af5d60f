"""From params to an engine, and what a model is to the journal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stages.common.engines import (
    Completion,
    GenerationRequest,
    ModelId,
    find_engine_kind,
    identify_model,
    make_engine,
)
from stages.common.engines.mock_engine import MockEngine
from stages.common.engines.openai_engine import OpenAIEngine
from stages.common.engines.prompt_encoder import PromptEncoder
from stages.common.engines.ray_engine import RayEngine
from stages.common.engines.vllm_engine import VllmEngine
from stages.common.params.block import ParamsError, validate
from stages.common.params.engine import EngineParams
from stages.common.params.judge import LlmJudgeParams
from stages.common.params.sample import SampleParams
from stages.common.policies import read_policy, write_manifest
from stages.judge.llm.voter import identify_llm_judge
from stages.sample.sampling import hash_sampling
from tests.support.tiny_policy import CHAT_TEMPLATE, byte_level_bpe

MODEL = ModelId("org/model", "c0ffee")


def engine_params(**changes: Any) -> EngineParams:
    return validate(EngineParams, {"kind": "openai", **changes}, "judge.engine")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "recorded"}, "judge.engine: recorded: expected {path: FILE} for kind recorded, found null"),
        ({"kind": "vlm"}, "judge.engine: kind: no engine of kind 'vlm'; did you mean vllm?"),
        ({"kind": "vllm", "served_model_name": "x"}, "judge.engine: served_model_name: only for kinds openai and b"),
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


def test_what_changes_what_the_model_says_is_part_of_requests_and_identities() -> None:
    plain, effort = engine_params(), engine_params(extra_body={"reasoning_effort": "high"})
    spelt = engine_params(openai={"max_tokens_key": "max_completion_tokens", "send_seed": False})
    hashes = [hash_sampling(SampleParams(engine=params), 1) for params in (plain, effort, spelt)]
    assert hashes[0] == hashes[2] != hashes[1]
    judges = [identify_llm_judge(LlmJudgeParams(engine=params, model="m")) for params in (plain, effort, spelt)]
    assert judges[0] == judges[2] != judges[1]


def test_engines_that_can_close_thinking_say_how() -> None:
    def limit(**changes: Any) -> dict[str, Any]:
        params = engine_params(**changes)
        return find_engine_kind(params).limit_thinking(params, 50)

    parser = {"reasoning_parser": "qwen3"}
    budget = {"thinking_token_budget": 50}
    assert (
        limit(kind="vllm", vllm=parser) == limit(kind="serve", vllm=parser) == limit(kind="ray", vllm=parser) == budget
    )
    assert limit(kind="vllm") == limit() == limit(kind="transformers") == {}
    assert limit(kind="serve", server="sglang", vllm=parser) == {}


def test_the_chat_template_gets_what_it_is_to_get(tmp_path: Path) -> None:
    tokenizer = byte_level_bpe(["2 + 2"])
    tokenizer.chat_template = CHAT_TEMPLATE + "{% if enable_thinking %}<think>{{ reasoning_effort }}{% endif %}"
    tokenizer.save_pretrained(tmp_path)
    encoder = PromptEncoder(ModelId(str(tmp_path)))
    base = GenerationRequest("m", [{"role": "user", "content": "2 + 2?"}], 0.0, 8, None)

    def render(**extra_body: Any) -> str:
        return str(tokenizer.decode(encoder.encode(replace(base, extra_body=extra_body)))).rpartition("\n")[2]

    assert render() == ""
    assert render(top_k=5) == ""
    assert render(chat_template_kwargs={"enable_thinking": True, "reasoning_effort": 3}) == "<think>3"
    assert render(reasoning_effort="high") == "<think>high", "as vLLM's chats, which switch thinking on"
    assert render(reasoning_effort="none") == ""
    assert render() == "", "the prompt before is not taken for this one"


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
