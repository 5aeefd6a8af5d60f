"""The batch engine with the real ``vllm run-batch``: a small Llama made on the spot, on the CPU. Skips without vLLM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages.common.engines import (
    Completion,
    EngineContext,
    EngineError,
    Failure,
    GenerationRequest,
    ModelId,
    Runner,
    make_engine,
)
from stages.common.params.block import validate
from stages.common.params.engine import EngineParams
from stages.common.params.runtime import RuntimeParams
from tests.support.small_llama import CONTEXT, write_small_llama

pytest.importorskip("vllm", reason="vLLM cannot be imported here; `make test-vllm` runs this with its CPU build")

SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"enum": ["correct", "incorrect"]}, "why": {"type": "string", "maxLength": 12}},
    "required": ["verdict", "why"],
    "additionalProperties": False,
}


def run(kind: str, model: Path, journal: Path, requests: list[GenerationRequest]) -> tuple[dict[str, Any], Runner]:
    """Responses by key, with the runner, whose journal is closed."""
    params = validate(EngineParams, {"kind": kind, "batch": {"backend": "vllm", "max_requests": 50}}, "engine")
    engine = make_engine(params, ModelId(str(model)), EngineContext(RuntimeParams(), journal=journal))
    with Runner(engine, journal, kind) as runner:
        runner.run(requests)
        return {request.key: runner.get(request) for request in requests}, runner


def test_a_file_of_requests_gives_what_the_server_gives(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_small_llama(tmp_path_factory.mktemp("models") / "small")
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Add [1, 2, 3]"}]
    stranger = [{"role": "stranger", "content": "Add [4]"}]
    good = [
        *[GenerationRequest("m", chat, 1.0, 24, seed) for seed in range(24)],
        *[GenerationRequest("m", chat, 1.0, 100, seed, schema=SCHEMA) for seed in range(4)],
        GenerationRequest("m", chat, 0.0, 12, None),
    ]
    bad = [
        GenerationRequest("m", "2 + 2 =", 1.0, 8, 1),
        GenerationRequest("m", stranger, 1.0, 8, 1),
        GenerationRequest("m", chat, 1.0, CONTEXT, 5),  # kind vllm cuts at the context's end instead
    ]
    found, _ = run("batch", folder, tmp_path / "batch.jsonl", [*good, *bad])
    served, _ = run("vllm", folder, tmp_path / "vllm.jsonl", good)
    names = ("text", "finish_reason", "prompt_tokens", "completion_tokens", "is_batch")
    for request in good:
        one, other = found[request.key], served[request.key]
        assert isinstance(one, Completion), one
        assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]
    assert len({found[request.key].text for request in good[:24]}) == 24
    assert all(json.loads(found[request.key].text)["verdict"] for request in good[24:28])
    assert [found[request.key].kind for request in bad] == ["text to be completed", *["HTTP 400 Bad Request"] * 2]
    assert all(isinstance(found[request.key], Failure) for request in bad)
    assert not list((tmp_path / "batch.batches").iterdir()), "forgotten once they are in the journal"
    again, runner = run("batch", folder, tmp_path / "batch.jsonl", good)
    assert runner.from_journal == len(good)
    assert again == {request.key: found[request.key] for request in good}


def test_a_model_that_cannot_be_loaded_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    chat = [{"role": "user", "content": "Add"}]
    with pytest.raises(EngineError, match=r"vLLM's batch of 1 requests to .*: ended with code 1: "):
        run("batch", tmp_path / "empty", tmp_path / "j.jsonl", [GenerationRequest("m", chat, 1.0, 24, 1)])
