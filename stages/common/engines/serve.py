"""The `serve` engine: a vLLM server of our own, started for the stage, asked as any other, and stopped with it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Generator, Iterable
from importlib.metadata import PackageNotFoundError, distribution
from itertools import chain
from pathlib import Path

from stages.common.engines.child import Child
from stages.common.engines.endpoints import Endpoint, Secrets
from stages.common.engines.errors import EngineError
from stages.common.engines.model import Model
from stages.common.engines.request import Answered, Request
from stages.common.engines.retry import Patience
from stages.common.engines.served import OpenAIEngine
from stages.common.params.llm import VllmParams
from stages.common.tables import content_hash

LOGS = Path("work/servers")
"""Where servers' logs lie, below the repository's root: ignored by Git and DVC."""

START_S = 3600.0
"""Seconds that a server may take until it answers: large models load for long, and one that ends is noticed at once."""


class ServeEngine:
    """Starts ``vllm serve`` with the first request, and stops it with `close` or however this program ends."""

    def __init__(
        self, model: Model, vllm: VllmParams, concurrency: int, patience: Patience, start_s: float = START_S
    ) -> None:
        self._model = model
        self._vllm = vllm
        self._concurrency = concurrency
        self._patience = patience
        self._start_s = start_s
        self._server: Child | None = None

    def complete(self, requests: Iterable[Request]) -> Generator[Answered, None, None]:
        """See `Engine.complete`; raises `EngineError`, too, when the server cannot be started or ends by itself."""
        source = iter(requests)
        first = next(source, None)
        if first is None:
            return
        server = self._started()
        own = [Endpoint("http://localhost/v1", None, server.socket)], Secrets(None)
        engine = OpenAIEngine(self._model.source, self._concurrency, self._patience, own, server.check)
        yield from engine.complete(chain([first], source))

    def close(self) -> None:
        """Stop the server."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _started(self) -> Child:
        if self._server is None:
            name = f"vLLM server of {self._model.source}"
            log = LOGS / f"{content_hash(self._model.source, self._model.revision, digits=12)}.log"
            self._server = Child(name, lambda socket: serve_command(self._model, self._vllm, socket), log)
            self._server.wait_until(lambda: _is_healthy(self._server), self._start_s)
        return self._server


def _is_healthy(server: Child | None) -> bool:
    from httpx2 import Client, HTTPTransport, TransportError

    assert server is not None
    with Client(transport=HTTPTransport(uds=server.socket), trust_env=False, timeout=10.0) as client:
        try:
            return client.get("http://localhost/health").status_code == 200
        except TransportError:
            return False


def serve_command(model: Model, vllm: VllmParams, socket: str) -> list[str]:
    """The command that serves `model` at the path `socket`; raises `EngineError` where vLLM is not installed.

    Defaults of the model's own generation_config are left out, as they are by the `vllm` engine: a request says all.
    """
    options: dict[str, str | int | float | bool | None] = {
        "uds": socket,
        "revision": model.revision,
        "tokenizer_revision": model.revision,
        "dtype": vllm.dtype,
        "quantization": vllm.quantization,
        "tensor_parallel_size": vllm.tensor_parallel,
        "data_parallel_size": vllm.data_parallel,
        "max_model_len": vllm.max_model_len,
        "gpu_memory_utilization": vllm.gpu_memory,
        "load_format": "safetensors",  # which can hold no code
        "generation_config": "vllm",
        # In free whitespace a model that has lost its way goes on until it is cut.
        "structured_outputs_config": '{"backend": "guidance", "disable_any_whitespace": true}',
        "enable_prompt_tokens_details": True,  # cached tokens are reported
        "disable_uvicorn_access_log": True,
        **vllm.options,
        "trust_remote_code": False,
    }
    return [*_program(), model.source, *chain.from_iterable(map(_flag, options, options.values()))]


def _program() -> list[str]:
    """What the model's name follows: ``vllm serve``, or its module where vLLM's CPU build, of another name, is."""
    if importlib.util.find_spec("vllm") is None:
        raise EngineError("engine serve: vLLM is not installed here: pip install vllm, or use kind openai")
    try:
        distribution("vllm")
    except PackageNotFoundError:
        return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model"]
    return [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve"]


def _flag(name: str, value: str | int | float | bool | None) -> list[str]:
    spelled = name.replace("_", "-")
    if value is None:
        return []
    if isinstance(value, bool):
        return [f"--{spelled}" if value else f"--no-{spelled}"]
    return [f"--{spelled}", str(value)]
