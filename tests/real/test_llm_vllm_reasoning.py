"""Thinking with the real vLLM: kept apart, and a schema that holds after it, for a small Llama made on the spot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stages.common.engines import (
    Completion,
    EngineContext,
    EngineError,
    GenerationRequest,
    ModelId,
    find_engine_kind,
    make_engine,
)
from stages.common.engines.openai_engine import OpenAIEngine
from stages.common.engines.retry_policy import RetryPolicy
from stages.common.engines.servers import Secrets
from stages.common.engines.vllm_engine import VllmEngine
from stages.common.params.engine import EngineParams, OpenAIParams
from stages.common.params.runtime import RuntimeParams
from tests.real.test_llm_vllm import SCHEMA
from tests.support.small_llama import PLAIN_VLLM, write_reasoning_llama

pytest.importorskip("vllm", reason="vLLM cannot be imported here; `make test-vllm` runs this with its CPU build")

POLICY = RetryPolicy(600, 600)
CHAT = [{"role": "user", "content": "Solve the problem . Find 7 step ."}]
PARSER = "qwen3"
"""It knows that a template may close the thinking in the prompt; `deepseek_r1` takes the verdict for thinking then."""

NO_THINKING = {"chat_template_kwargs": {"enable_thinking": False}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reasoning_llama(tmp_path_factory.mktemp("models") / "reasoning")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[VllmEngine]:
    params = PLAIN_VLLM.model_copy(update={"reasoning_parser": PARSER})
    with closing(VllmEngine(ModelId(str(folder)), params, 64, POLICY)) as made:
        yield made


def ask(engine: Any, *requests: GenerationRequest) -> list[Completion]:
    """Completions in the order of `requests`."""
    found = {request.key: response for request, response in engine.complete(requests)}
    completions = [found[request.key] for request in requests]
    assert all(isinstance(each, Completion) for each in completions), completions
    return completions


def verdicts(number: int, **changes: Any) -> list[GenerationRequest]:
    base = GenerationRequest("m", CHAT, 0.5, 200, 0, schema=SCHEMA, schema_after_reasoning=True)
    return [replace(base, seed=seed, **changes) for seed in range(number)]


def as_openai_server(engine: VllmEngine) -> OpenAIEngine:
    """The openai engine, as its params make it, against the server of `engine`."""
    assert engine._server is not None
    servers = [engine._server.server], Secrets(None)
    made = OpenAIEngine(str(engine._model), 64, POLICY, servers, params=OpenAIParams())
    made.dialect.is_known = False
    return made


def test_thinking_is_free_and_the_verdict_after_it_keeps_to_the_schema(engine: VllmEngine) -> None:
    completions = ask(engine, *verdicts(16))
    for completion in completions:
        assert completion.finish_reason == "stop"
        value = json.loads(completion.text)
        assert list(value) == ["verdicts", "why"]
        assert set(value["verdicts"]) <= {"right", "wrong"}
        assert completion.reasoning is not None
        assert " = " in completion.reasoning, "what it has learned to think"
        assert "{" not in completion.reasoning
    assert len({completion.reasoning for completion in completions}) > 1


def test_the_openai_engine_gets_the_same_from_the_same_server(engine: VllmEngine) -> None:
    free = [replace(request, schema=None, schema_after_reasoning=False) for request in verdicts(8)]
    silent = verdicts(4, extra_body=NO_THINKING, schema_after_reasoning=False)
    requests = [*verdicts(8), *free, *silent]
    ours = ask(engine, *requests)
    theirs = ask(as_openai_server(engine), *requests)
    # The caches of the server are warm the second time.
    assert [replace(each, cached_tokens=0) for each in theirs] == [replace(each, cached_tokens=0) for each in ours]
    assert all(each.reasoning for each in ours[:16])
    assert [each.reasoning for each in ours[16:]] == [None] * 4, "the template has closed the thinking"
    assert all(json.loads(each.text) for each in ours[16:])


def test_thinking_ends_at_its_budget(engine: VllmEngine) -> None:
    params = EngineParams(kind="vllm", vllm=PLAIN_VLLM.model_copy(update={"reasoning_parser": PARSER}))
    budget = find_engine_kind(params).limit_thinking(params, 5)
    for short, long in zip(ask(engine, *verdicts(8, extra_body=budget)), ask(engine, *verdicts(8)), strict=True):
        assert len(short.reasoning or "") < len(long.reasoning or "")
        assert json.loads(short.text), "and the verdict follows all the same"


def test_transformers_leaves_the_thinking_in_the_text(engine: VllmEngine, folder: Path) -> None:
    greedy = [
        GenerationRequest("m", CHAT, 0.0, 200, None),
        GenerationRequest("m", CHAT, 0.0, 200, 1, extra_body=NO_THINKING),
    ]
    plain = make_engine(EngineParams(kind="transformers"), ModelId(str(folder)), EngineContext(RuntimeParams()))
    with closing(plain):
        for apart, whole in zip(ask(engine, *greedy), ask(plain, *greedy), strict=True):
            tagged = "" if apart.reasoning is None else f"{apart.reasoning}</think>"
            assert whole.text.removeprefix("<think>") == tagged + apart.text
            assert whole.reasoning is None
            assert whole.prompt_tokens == apart.prompt_tokens, "the template knows of the switch in both"


def test_without_a_parser_a_schema_after_thinking_is_refused_before_anything_starts(folder: Path) -> None:
    with (
        closing(VllmEngine(ModelId(str(folder)), PLAIN_VLLM, 64, POLICY)) as plain,
        pytest.raises(EngineError, match=r"schema is to hold after it, but .*; set vllm\.reasoning_parser"),
    ):
        ask(plain, *verdicts(1))
    assert plain._server is None
