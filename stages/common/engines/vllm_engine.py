"""The `vllm` engine: a model on this machine's accelerators, in this process, many requests at once.

vLLM batches continuously: sequences join and leave at every step. So requests are added as others finish, and each
completion is yielded when it is ready: a kill loses what is in flight, not a batch. Samples of one prompt are separate
requests, each with its own seed: vLLM itself turns ``n=8`` into eight, and computes their common prompt once.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from stages.common.engines.engine import Engine, EngineError, ModelId
from stages.common.engines.kinds import EngineContext, EngineKind
from stages.common.engines.prompt_encoder import PromptEncoder, PromptError
from stages.common.engines.replica_pool import ReplicaPool, assign_gpus
from stages.common.engines.request import Completion, Exchange, Failure, GenerationRequest
from stages.common.engines.vllm_start import start_vllm
from stages.common.errors import describe_error
from stages.common.params.engine import EngineParams, VllmParams

if TYPE_CHECKING:
    from vllm import RequestOutput, SamplingParams

VLLM_NO_SEED = -1
"""The seed that means none to vLLM, though not to us."""


class VllmKind(EngineKind):
    """vLLM in this process, or with `data_parallel_size` above 1 in several of this machine."""

    @classmethod
    def make_engine(cls, params: EngineParams, model: ModelId, context: EngineContext) -> Engine:
        """With several replicas, each works on an equal part of the requests in flight."""
        vllm = params.vllm
        concurrency = -(-params.concurrency // vllm.data_parallel_size)
        make = partial(VllmEngine, model, vllm, concurrency)
        if vllm.data_parallel_size == 1:
            return make()
        return ReplicaPool(make, assign_gpus(vllm.tensor_parallel_size, vllm.data_parallel_size), concurrency)

    @classmethod
    def identify_model(cls, params: EngineParams, model: ModelId) -> str:
        """Another number type or quantization is another model."""
        names = [str(model), params.vllm.dtype, params.vllm.quantization]
        return " ".join(name for name in names if name not in ("auto", None))


class VllmEngine:
    """One replica of `model`, loaded at the first request, with at most `concurrency` requests added to vLLM.

    vLLM works on as many of them at once as memory allows. A request that it rejects (a prompt longer than the model's
    context, a schema that cannot be enforced) is a `Failure`; a completion that reaches the context's end has finish
    reason `length`.
    """

    def __init__(self, model: ModelId, vllm: VllmParams, concurrency: int) -> None:
        self._model = model
        self._vllm = vllm
        self._concurrency = concurrency
        self._loaded: _Loaded | None = None

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        """See `Engine.complete`; raise `EngineError` where the model cannot be loaded or vLLM dies."""
        source = iter(requests)
        first = list(islice(source, 1))
        if not first:
            return
        if self._loaded is None:
            self._loaded = _Loaded(self._model, self._vllm, self._concurrency)
        try:
            yield from self._loaded.complete(chain(first, source))
        finally:
            if self._loaded is not None and self._loaded.is_dead:
                self.close()

    def close(self) -> None:
        """Release the model and its memory."""
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            loaded.close()


class _Loaded:
    """vLLM with a model in it."""

    def __init__(self, model: ModelId, vllm: VllmParams, concurrency: int) -> None:
        self._encoder = PromptEncoder(model)
        self._engine, version = start_vllm(model, vllm)
        self._name = f"{Path(model.source).name if Path(model.source).is_dir() else model.source}, vLLM {version}"
        self._concurrency = concurrency
        self._numbers = count()
        self.is_dead = False

    def complete(self, source: Iterator[GenerationRequest]) -> Generator[Exchange, None, None]:
        """Complete what `source` yields; more is taken from it as sequences finish."""
        working: dict[str, GenerationRequest] = {}
        try:
            while (new := list(islice(source, self._concurrency - len(working)))) or working:
                for request in new:
                    name = str(next(self._numbers))
                    failure = self._add(name, request)
                    if failure is None:
                        working[name] = request
                    else:
                        yield request, failure
                for output in self._step() if working else ():
                    yield working.pop(output.request_id), self._make_completion(output)
        finally:
            if working and not self.is_dead:
                self._engine.abort_request(list(working))

    def _add(self, name: str, request: GenerationRequest) -> Failure | None:
        """Add `request` to vLLM's queue; return the failure if it is rejected."""
        from vllm.exceptions import VLLMClientError, VLLMError
        from vllm.inputs.engine import tokens_input

        try:
            self._engine.add_request(name, tokens_input(self._encoder.encode(request)), make_sampling_params(request))
        except PromptError as error:
            return Failure(str(error), 1, "invalid prompt")
        except (VLLMClientError, ValueError) as error:
            return Failure(f"vLLM: {describe_error(error)}", 1, "rejected by vLLM")
        except (VLLMError, RuntimeError) as error:
            raise self._make_error(error) from error
        return None

    def _step(self) -> list[RequestOutput]:
        """Generate one more token for every sequence; return those that are finished."""
        from vllm.exceptions import VLLMError

        try:
            outputs = self._engine.step()
        except (VLLMError, RuntimeError) as error:
            raise self._make_error(error) from error
        return [cast("RequestOutput", output) for output in outputs if output.finished]

    def _make_error(self, error: Exception) -> EngineError:
        self.is_dead = True
        return EngineError(f"{self._name}: died: {describe_error(error)} Run again: all completions are kept")

    def _make_completion(self, output: RequestOutput) -> Completion:
        sample = output.outputs[0]
        return Completion(
            text=sample.text,
            finish_reason=str(sample.finish_reason),
            prompt_tokens=len(output.prompt_token_ids or ()),
            completion_tokens=len(sample.token_ids),
            cached_tokens=output.num_cached_tokens,
            model=self._name,
        )

    def close(self) -> None:
        """Stop vLLM's processes and free its memory."""
        self._engine.engine_core.shutdown()


def make_sampling_params(request: GenerationRequest) -> SamplingParams:
    """vLLM's sampling params for `request`."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    return SamplingParams(
        temperature=request.temperature,
        top_p=request.top_p,
        max_tokens=request.max_tokens,
        seed=2**63 - 1 if request.seed == VLLM_NO_SEED else request.seed,
        stop=list(request.stop),
        structured_outputs=None if request.schema is None else StructuredOutputsParams(json=dict(request.schema)),
        output_kind=RequestOutputKind.FINAL_ONLY,
    )
