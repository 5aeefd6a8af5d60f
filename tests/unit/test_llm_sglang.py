"""Kind `serve` with SGLang: the command line that it starts, against a stand-in that is a real HTTP server."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stages.common.engines import (
    Completion,
    Engine,
    EngineContext,
    EngineError,
    Failure,
    GenerationRequest,
    ModelId,
    make_engine,
    vllm_engine,
)
from stages.common.engines.vllm_engine import VllmEngine
from stages.common.engines.vllm_server import find_installation
from stages.common.params.block import validate
from stages.common.params.engine import EngineParams
from stages.common.params.runtime import RuntimeParams
from tests.unit.test_llm_serve import Bytes, is_alive, log_text, process_ids, requests, stand_in, wait_until_gone

__all__ = ["stand_in"]  # a fixture


@pytest.fixture
def python(tmp_path: Path) -> str:
    """An interpreter whose environment has SGLang, as far as packages go."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exec echo sglang 0.5.6\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    return str(script)


def serve(python: str, **changes: Any) -> Engine:
    vllm_engine.PromptEncoder = Bytes  # type: ignore[assignment, misc]  # set back by `stand_in`
    params = {"kind": "serve", "server": "sglang", "request_timeout_s": 30.0, **changes}
    runtime = RuntimeParams(sglang_python=python)
    return make_engine(validate(EngineParams, params, "engine"), ModelId("org/tiny", "c0ffee"), EngineContext(runtime))


@pytest.mark.usefixtures("stand_in")
def test_it_is_started_with_its_own_flags_and_a_key_of_its_own(python: str) -> None:
    vllm = {
        "tensor_parallel_size": 2,
        "max_model_len": 4096,
        "reasoning_parser": "deepseek-r1",
        "engine_args": {"trust_remote_code": True, "dtype": "bfloat16"},
    }
    with closing(serve(python, vllm=vllm)) as engine:
        responses = [response for _, response in engine.complete(requests(20))]
        [server] = process_ids()
        assert is_alive(server)
    wait_until_gone(server)
    assert all(isinstance(response, Completion) for response in responses), "chats were sent with the key"
    arguments = log_text()
    for flag in (
        "--model-path=org/tiny",
        "--served-model-name=org/tiny@c0ffee",
        "--revision=c0ffee",
        "--host=127.0.0.1",
        "--tensor-parallel-size=2",
        "--context-length=4096",
        "--reasoning-parser=deepseek-r1",
        "--load-format=safetensors",
        "--sampling-defaults=openai",
        "--enable-deterministic-inference",
        "--constrained-json-disable-any-whitespace",
        "--enable-cache-report",
        "--dtype=bfloat16",
    ):
        assert f" {flag}" in arguments
    assert "trust" not in arguments
    assert "mem-fraction" not in arguments, "SGLang's own unless it is set"
    assert "secrets None False" in arguments, "the key is in no command line, and ours is kept from it"


@pytest.mark.usefixtures("stand_in")
def test_its_exception_is_shown_when_it_dies(python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", "die")
    with (
        closing(serve(python, concurrency=4)) as engine,
        pytest.raises(EngineError, match=r"SGLang server of org/tiny: ended with code 9: ValueError: Available memory"),
    ):
        list(engine.complete(requests(1000)))


@pytest.mark.usefixtures("stand_in")
def test_a_schema_after_thinking_needs_its_parser(python: str) -> None:
    request = GenerationRequest("m", "2 + 2 =", 1.0, 9, 0, schema={"type": "object"}, schema_after_reasoning=True)
    with (
        closing(serve(python)) as engine,
        pytest.raises(EngineError, match=r"org/tiny@c0ffee: thinking: .*; set vllm\.reasoning_parser"),
    ):
        list(engine.complete([request]))
    assert not Path("work").exists(), "nothing was started"


@pytest.mark.usefixtures("stand_in")
def test_one_request_that_does_not_fit_costs_no_other(python: str) -> None:
    long = GenerationRequest("m", [{"role": "user", "content": "7" * 600}], 1.0, 9, 0)
    with closing(serve(python)) as engine:
        responses = [response for _, response in engine.complete([*requests(2), long])]
    assert [type(response) for response in responses].count(Failure) == 1


@pytest.mark.usefixtures("stand_in")
def test_an_environment_without_it_is_named(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    with pytest.raises(EngineError, match=r"engine sglang: SGLang is not installed for .*python; install sglang"):
        list(serve(str(python)).complete(requests(1)))


def test_packages_are_found_by_their_names() -> None:
    """In this test's own environment, whatever the packages are."""
    found = find_installation(sys.executable, ("pytest", "no-such-package"), "runtime.sglang_python", "")
    assert found == ["pytest", pytest.__version__]


def test_kind_serve_starts_vllm_unless_told_otherwise() -> None:
    params = validate(EngineParams, {"kind": "serve"}, "engine")
    assert type(make_engine(params, ModelId("org/tiny"), EngineContext(RuntimeParams()))) is VllmEngine
