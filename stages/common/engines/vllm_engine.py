"""The `vllm` engine: a model on this machine's accelerators, in this process, many requests at once.

vLLM batches continuously: sequences join and leave it at every step. So requests are fed to it as others finish, and
each answer is given when it is there: a kill loses what is in work, not a batch. Samples of one prompt are requests
of their own, each with its own seed: vLLM itself turns ``n=8`` into eight, and computes their common prompt once.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from stages.common.engines.errors import EngineError
from stages.common.engines.model import Model
from stages.common.engines.prompts import PromptEncoder, PromptError
from stages.common.engines.request import Answered, Completion, Failure, Request
from stages.common.engines.vllm_start import one_line, start
from stages.common.params.llm import VllmParams

if TYPE_CHECKING:
    from vllm import RequestOutput, SamplingParams

NO_SEED = -1
"""To vLLM, not to us, this seed means none."""


class VllmEngine:
    """One copy of `model`, loaded at the first request, with at most `concurrency` requests in vLLM's hands.

    Of those it works on as many at once as memory allows.

    A request that vLLM will not take (its prompt is longer than the model's context, its schema cannot be held to) is
    a `Failure`; a completion that reaches the context's end has finish reason `length`.
    """

    def __init__(self, model: Model, vllm: VllmParams, concurrency: int) -> None:
        self._model = model
        self._vllm = vllm
        self._concurrency = concurrency
        self._loaded: _Loaded | None = None

    def complete(self, requests: Iterable[Request]) -> Generator[Answered, None, None]:
        """See `Engine.complete`; raises `EngineError` where the model cannot be loaded or vLLM dies."""
        source = iter(requests)
        first = list(islice(source, 1))
        if not first:
            return
        if self._loaded is None:
            self._loaded = _Loaded(self._model, self._vllm, self._concurrency)
        try:
            yield from self._loaded.complete(chain(first, source))
        finally:
            if self._loaded is not None and self._loaded.dead:
                self.close()

    def close(self) -> None:
        """Let go of the model and its memory."""
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.close()


class _Loaded:
    """vLLM with a model in it."""

    def __init__(self, model: Model, vllm: VllmParams, room: int) -> None:
        self._encode = PromptEncoder(model)
        self._engine, version = start(model, vllm)
        self._name = f"{Path(model.source).name if Path(model.source).is_dir() else model.source}, vLLM {version}"
        self._room = room
        self._numbers = count()
        self.dead = False

    def complete(self, source: Iterator[Request]) -> Generator[Answered, None, None]:
        """Answer what comes from `source`, of which more is taken as sequences finish."""
        working: dict[str, Request] = {}
        try:
            while (new := list(islice(source, self._room - len(working)))) or working:
                for request in new:
                    name = str(next(self._numbers))
                    refused = self._add(name, request)
                    if refused is None:
                        working[name] = request
                    else:
                        yield request, refused
                for output in self._step() if working else ():
                    yield working.pop(output.request_id), self._completion(output)
        finally:
            if working and not self.dead:
                self._engine.abort_request(list(working))

    def _add(self, name: str, request: Request) -> Failure | None:
        """Put `request` into vLLM's queue; returns why not, if it is refused."""
        from vllm.exceptions import VLLMClientError, VLLMError
        from vllm.inputs.engine import tokens_input

        try:
            self._engine.add_request(name, tokens_input(self._encode(request)), sampling_params(request))
        except PromptError as fault:
            return Failure(str(fault), 1, "prompt refused")
        except (VLLMClientError, ValueError) as error:
            return Failure(f"vLLM: {one_line(error)}", 1, "refused by vLLM")
        except (VLLMError, RuntimeError) as error:
            raise self._died(error) from error
        return None

    def _step(self) -> list[RequestOutput]:
        """One more token for every sequence in work; returns those that are finished with it."""
        from vllm.exceptions import VLLMError

        try:
            outputs = self._engine.step()
        except (VLLMError, RuntimeError) as error:
            raise self._died(error) from error
        return [cast("RequestOutput", output) for output in outputs if output.finished]

    def _died(self, error: Exception) -> EngineError:
        self.dead = True
        return EngineError(f"{self._name}: died at work: {one_line(error)} Run again: what was answered is kept")

    def _completion(self, output: RequestOutput) -> Completion:
        only = output.outputs[0]
        return Completion(
            text=only.text,
            finish_reason=str(only.finish_reason),
            prompt_tokens=len(output.prompt_token_ids or ()),
            completion_tokens=len(only.token_ids),
            cached_tokens=output.num_cached_tokens,
            model=self._name,
        )

    def close(self) -> None:
        """Stop vLLM's processes and free its memory."""
        self._engine.engine_core.shutdown()


def sampling_params(request: Request) -> SamplingParams:
    """What vLLM is told about `request` besides its prompt."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    return SamplingParams(
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=request.max_tokens,
        seed=2**63 - 1 if request.seed == NO_SEED else request.seed,
        stop=list(request.stop),
        structured_outputs=None if request.schema is None else StructuredOutputsParams(json=dict(request.schema)),
        output_kind=RequestOutputKind.FINAL_ONLY,
    )
