"""The `vllm` engine: a vLLM server on this machine's accelerators, started and stopped with the stage.

The server is a process of its own, so that the stage's environment needs no vLLM, and a crash of the one does not take
the other along. Prompts become tokens here, by the tokenizer that training uses.
"""

import json
import sys
from collections.abc import Generator, Iterable
from itertools import chain
from typing import Any

from stages.common.device import name_dtype
from stages.common.engines.engine import Engine, EngineError, ModelId
from stages.common.engines.kinds import EngineContext, EngineKind
from stages.common.engines.openai_dialect import Dialect, write_body
from stages.common.engines.openai_engine import OpenAIEngine
from stages.common.engines.prompt_encoder import PromptEncoder, PromptError
from stages.common.engines.request import Exchange, GenerationRequest
from stages.common.engines.retry_policy import AttemptError, Cause, RetryPolicy
from stages.common.engines.server_process import ServerProcess
from stages.common.engines.vllm_server import START_TIMEOUT_S, fetch, find_python, launch_server, wait_for_server
from stages.common.params.engine import EngineParams, VllmParams


class VllmKind(EngineKind):
    """A vLLM server started for the stage, with `data_parallel_size` replicas."""

    holds_model = True

    @classmethod
    def make_engine(cls, params: EngineParams, model: ModelId, context: EngineContext) -> Engine:
        """Its server starts with the first request."""
        policy = RetryPolicy(params.request_timeout_s, params.attempt_timeout_s)
        return VllmEngine(model, params.vllm, params.concurrency, policy, python=find_python(context.get_runtime()))

    @classmethod
    def identify_model(cls, params: EngineParams, model: ModelId) -> str:
        """Another number type or quantization is another model."""
        names = [str(model), name_dtype(params.vllm.dtype), params.vllm.quantization]
        return " ".join(name for name in names if name is not None)

    @classmethod
    def limit_thinking(cls, params: EngineParams, num_tokens: int) -> dict[str, Any]:
        """By vLLM's own name, where its reasoning parser knows what thinking is."""
        return {} if params.vllm.reasoning_parser is None else {"thinking_token_budget": num_tokens}


class VllmEngine:
    """Starts vLLM's server with the first request, and stops it with `close` or however this program ends.

    A prompt that the chat template rejects or that fills the model's context is a `Failure`; a completion that reaches
    the context's end has finish reason `length`.
    """

    _dialect = Dialect()

    def __init__(
        self,
        model: ModelId,
        vllm: VllmParams,
        concurrency: int,
        policy: RetryPolicy,
        start_timeout_s: float = START_TIMEOUT_S,
        python: str | None = None,
    ) -> None:
        self._model = model
        self._python = python or sys.executable
        self._vllm = vllm
        self._concurrency = concurrency
        self._policy = policy
        self._start_timeout_s = start_timeout_s
        self._server: ServerProcess | None = None
        self._client: OpenAIEngine | None = None

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        """See `Engine.complete`; also raise `EngineError` when the server cannot be started or ends by itself."""
        source = iter(requests)
        first = next(source, None)
        if first is None:
            return
        if error := self._find_error(first):
            raise EngineError(f"model {self._model}: thinking: {error}")
        if self._client is None:
            self._client = self._start()
        yield from self._client.complete(chain([first], source))

    def close(self) -> None:
        """Stop the server."""
        self._client = None
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _start(self) -> OpenAIEngine:
        encoder = PromptEncoder(self._model)
        self._server = server = self._launch()
        wait_for_server(server, self._start_timeout_s)
        models = json.loads(fetch(server, "/v1/models") or "")
        context_length = int(models["data"][0]["max_model_len"])

        def write(request: GenerationRequest, model_name: str) -> dict[str, Any]:
            if error := self._find_error(request):
                raise AttemptError("thinking", error, Cause.FINAL)
            try:
                ids = encoder.encode(request)
            except PromptError as refusal:
                raise AttemptError("invalid prompt", str(refusal), Cause.REFUSED) from refusal
            room = context_length - len(ids)
            if room < 1:
                limit = f"{len(ids)} tokens, and the model takes fewer than {context_length}"
                raise AttemptError("prompt too long", limit, Cause.REFUSED, "raise vllm.max_model_len if it can")
            body = write_body(request, model_name, self._dialect)
            if "messages" not in body or not self._sends_chats:
                body.pop("messages", None)
                body["prompt"] = ids
                if "logprobs" in body:
                    body["logprobs"] = 0  # of the chosen token alone, which a chat's `true` means
            return {**body, "max_tokens": min(request.max_tokens, room)}

        servers = [server.server], server.secrets
        return OpenAIEngine(str(self._model), self._concurrency, self._policy, servers, server.check, write)

    def _launch(self) -> ServerProcess:
        return launch_server(self._model, self._vllm, self._python)

    @property
    def _sends_chats(self) -> bool:
        """Whether the server gets chats as such: its reasoning parser reads replies to them alone."""
        return self._vllm.reasoning_parser is not None

    def _find_error(self, request: GenerationRequest) -> str | None:
        """Why the server would not do what is asked, without a word."""
        if request.schema_after_reasoning and self._vllm.reasoning_parser is None:
            return "the schema is to hold after it, but would from the first token; set vllm.reasoning_parser"
        return None
