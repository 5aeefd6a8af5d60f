"""The `serve` engine: a vLLM server of our own, started and stopped with the stage, used like any other server."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Generator, Iterable
from importlib.metadata import PackageNotFoundError, distribution
from itertools import chain
from pathlib import Path

from stages.common.engines.engine import EngineError, ModelId
from stages.common.engines.kinds import EngineContext
from stages.common.engines.openai_engine import OpenAIEngine
from stages.common.engines.request import Exchange, GenerationRequest
from stages.common.engines.retry_policy import RetryPolicy
from stages.common.engines.server_process import ServerProcess
from stages.common.engines.servers import Secrets, Server
from stages.common.engines.vllm_engine import VllmKind
from stages.common.engines.vllm_start import STRUCTURED_OUTPUTS
from stages.common.params.engine import EngineParams, VllmParams
from stages.common.tables import content_hash

LOGS = Path("work/servers")
"""Where servers' logs lie, below the repository's root: ignored by Git and DVC."""

START_TIMEOUT_S = 3600.0
"""Seconds that a server may take to start: large models load slowly, and one that ends is noticed at once."""


class ServeKind(VllmKind):
    """A vLLM server started for the stage."""

    @classmethod
    def make_engine(cls, params: EngineParams, model: ModelId, context: EngineContext) -> ServeEngine:
        """Replicas are the server's own."""
        policy = RetryPolicy(params.request_timeout_s, params.attempt_timeout_s)
        return ServeEngine(model, params.vllm, params.concurrency, policy)


class ServeEngine:
    """Starts ``vllm serve`` with the first request, and stops it with `close` or however this program ends."""

    def __init__(
        self,
        model: ModelId,
        vllm: VllmParams,
        concurrency: int,
        policy: RetryPolicy,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self._model = model
        self._vllm = vllm
        self._concurrency = concurrency
        self._policy = policy
        self._start_timeout_s = start_timeout_s
        self._server: ServerProcess | None = None

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        """See `Engine.complete`; also raise `EngineError` when the server cannot be started or ends by itself."""
        source = iter(requests)
        first = next(source, None)
        if first is None:
            return
        if self._server is None:
            self._server = self._start()
        server = self._server
        servers = [Server("http://localhost/v1", None, server.socket)], Secrets(None)
        engine = OpenAIEngine(self._model.source, self._concurrency, self._policy, servers, server.check)
        yield from engine.complete(chain([first], source))

    def close(self) -> None:
        """Stop the server."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _start(self) -> ServerProcess:
        log = LOGS / f"{content_hash(self._model.source, self._model.revision, digits=12)}.log"
        name = f"vLLM server of {self._model.source}"
        server = ServerProcess(name, lambda socket: make_serve_command(self._model, self._vllm, socket), log)
        self._server = server  # so that `close` stops it where it does not get ready
        server.wait_until(lambda: _is_healthy(server.socket), self._start_timeout_s)
        return server


def _is_healthy(socket: str) -> bool:
    from httpx2 import Client, HTTPTransport, TransportError

    with Client(transport=HTTPTransport(uds=socket), trust_env=False, timeout=10.0) as client:
        try:
            return client.get("http://localhost/health").status_code == 200
        except TransportError:
            return False


def make_serve_command(model: ModelId, vllm: VllmParams, socket: str) -> list[str]:
    """The command that serves `model` at the path `socket`; raise `EngineError` where vLLM is not installed.

    As in the `vllm` engine, defaults in the model's own generation_config are not used: requests hold all values.
    """
    options: dict[str, str | int | float | bool | None] = {
        "uds": socket,
        "revision": model.revision,
        "tokenizer_revision": model.revision,
        "dtype": vllm.dtype,
        "quantization": vllm.quantization,
        "tensor_parallel_size": vllm.tensor_parallel_size,
        "data_parallel_size": vllm.data_parallel_size,
        "max_model_len": vllm.max_model_len,
        "gpu_memory_utilization": vllm.gpu_memory_utilization,
        "load_format": "safetensors",  # which can hold no code
        "generation_config": "vllm",
        "structured_outputs_config": STRUCTURED_OUTPUTS,
        "enable_prompt_tokens_details": True,  # cached tokens are reported
        "disable_uvicorn_access_log": True,
        **vllm.engine_args,
        "trust_remote_code": False,
    }
    return [*_find_program(), model.source, *chain.from_iterable(map(_format_flag, options, options.values()))]


def _find_program() -> list[str]:
    """``vllm serve``, or its module in vLLM's CPU build, whose distribution has another name."""
    if importlib.util.find_spec("vllm") is None:
        raise EngineError("engine serve: vLLM is not installed; pip install vllm, or use kind openai")
    try:
        distribution("vllm")
    except PackageNotFoundError:
        return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model"]
    return [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve"]


def _format_flag(name: str, value: str | int | float | bool | None) -> list[str]:
    flag = name.replace("_", "-")
    if value is None:
        return []
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", str(value)]
