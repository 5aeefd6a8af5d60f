"""Batches by ``vllm run-batch``: a process of this machine that reads a file of requests and writes one of replies."""

from __future__ import annotations

import logging
import sys
from typing import Any

from stages.common.engines.batch_backend import BatchStatus
from stages.common.engines.batch_files import StoredBatch
from stages.common.engines.engine import ModelId
from stages.common.engines.openai_dialect import write_body
from stages.common.engines.request import GenerationRequest
from stages.common.engines.retry_policy import AttemptError, Cause
from stages.common.engines.server_process import ServerProcess
from stages.common.engines.servers import Secrets
from stages.common.engines.vllm_server import find_vllm, format_flags, make_environment, make_log_path, make_options
from stages.common.params.engine import VllmParams

logger = logging.getLogger(__name__)

_SERVER_OPTIONS = ("uds", "disable_uvicorn_access_log")
"""Options of a server alone."""


class VllmBackend:
    """Runs one batch after the other; vLLM loads the model for each. A kill loses the batch that runs.

    vLLM reads chats alone, by the model's own chat template, and refuses a request whose prompt and `max_tokens`
    together are longer than its context.
    """

    charges_less = False

    def __init__(self, model: ModelId, params: VllmParams, python: str | None) -> None:
        self._model = model
        self._params = params
        self._python = python or sys.executable
        self.secrets = Secrets(None)

    def write(self, request: GenerationRequest) -> dict[str, Any]:
        """The body of a request; raise `AttemptError` for what vLLM would not run, or only without a word."""
        if isinstance(request.prompt, str):
            raise AttemptError("text to be completed", "vllm run-batch takes chats alone", Cause.REFUSED)
        if request.schema_after_reasoning and self._params.reasoning_parser is None:
            raise AttemptError("thinking", "the schema is to hold after it; set vllm.reasoning_parser", Cause.FINAL)
        return write_body(request, str(self._model))

    def find(self, batch: StoredBatch) -> bool:  # noqa: ARG002
        """No process outlives its stage."""
        return False

    def submit(self, batch: StoredBatch) -> None:
        """It runs when it is polled."""

    def poll(self, batch: StoredBatch) -> BatchStatus:
        """Run it to its end; raise `EngineError` where vLLM ends without results."""
        vllm = find_vllm(self._python)
        options = make_options(self._model, self._params, vllm.is_cpu, "")
        partial = batch.output.with_suffix(".part")
        flags = format_flags({name: value for name, value in options.items() if name not in _SERVER_OPTIONS})
        process = ServerProcess(
            f"vLLM's batch of {len(batch.state.keys):,} requests to {self._model.source}",
            lambda _: [*vllm.batch_command, "-i", str(batch.input), "-o", str(partial),
                       "--model", self._model.source, *flags],
            make_log_path(self._model),
            make_environment(vllm),
        )  # fmt: skip
        try:
            process.wait_for_end()
        finally:
            process.stop()
        partial.replace(batch.output)
        return BatchStatus("completed", True)

    def fetch(self, batch: StoredBatch, status: BatchStatus) -> None:
        """The results are there already."""

    def close(self) -> None:
        """Nothing is open."""
