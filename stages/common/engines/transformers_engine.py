"""The `transformers` engine: batches of prompts through one model, each sample with random draws of its own."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.common.device import choose_dtype, name_dtype, prepare_torch
from stages.common.engines.engine import EngineError, ModelId
from stages.common.engines.kinds import EngineContext, EngineKind
from stages.common.engines.prompt_encoder import PromptEncoder, PromptError
from stages.common.engines.request import Completion, Exchange, Failure, GenerationRequest
from stages.common.errors import describe_error
from stages.common.params.engine import EngineParams, TransformersParams
from stages.common.policies import Policy
from stages.common.tables import seed_from
from stages.common.token_ids import decode_ids

if TYPE_CHECKING:
    import torch


class TransformersKind(EngineKind):
    """The model in this process, by transformers."""

    makes_requests = False
    holds_model = True

    @classmethod
    def make_engine(cls, params: EngineParams, model: ModelId, context: EngineContext) -> TransformersEngine:
        """Needs the machine's number of threads and device."""
        return TransformersEngine(model, params.transformers, context)

    @classmethod
    def identify_model(cls, params: EngineParams, model: ModelId) -> str:
        """A name of its own: from equal seeds other engines draw other samples, and so do other number types."""
        return f"{model} {cls.name_sampler(params)}"

    @classmethod
    def name_sampler(cls, params: EngineParams) -> str:
        """Independent of the batch size."""
        dtype = name_dtype(params.transformers.dtype)
        return f"transformers {dtype}" if dtype else "transformers"

    @classmethod
    def choose_seed(cls, seed: int) -> int | None:
        """All 63 bits."""
        return seed


class TransformersEngine:
    """Loads `model` at the first request, so that a run served from the journal needs none.

    Neighbours are generated `params.batch_size` at a time, in `params.dtype`. A JSON schema is not
    enforced: the caller checks what it gets. Of the model's generation_config the end tokens alone count: requests
    hold all else. Raises `EngineError` for a model without weights.
    """

    def __init__(self, model: ModelId, params: TransformersParams, context: EngineContext) -> None:
        self._model_id = model
        self._params = params
        self._context = context
        self._loaded: tuple[Any, PromptEncoder] | None = None

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        """See `Engine.complete`; deterministic in the requests on one kind of hardware."""
        source = iter(requests)
        while batch := list(islice(source, self._params.batch_size)):
            for group in _split_by_params(batch):
                yield from self._generate(group)

    def close(self) -> None:
        """Release the model."""
        self._loaded = None

    def _load(self) -> tuple[Any, PromptEncoder]:
        if self._loaded is None:
            device, model = prepare_torch(self._context.get_runtime()), self._model_id
            encoder = PromptEncoder(model)
            encoder.tokenizer.padding_side = "left"
            if encoder.tokenizer.pad_token_id is None:
                encoder.tokenizer.pad_token = encoder.tokenizer.eos_token
            dtype = self._params.dtype or ("bfloat16" if device == "cuda" else "float32")
            if dtype == "auto":
                dtype = choose_dtype(device)
            try:
                weights = Policy(Path(model.source), str(model), model.source, model.revision)
                self._loaded = _keep_token_ids_alone(weights.load_model(device, dtype)), encoder
            except (OSError, ValueError) as error:
                raise EngineError(f"{model.source}: expected a model, found none: {describe_error(error)}") from error
        return self._loaded

    def _generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Exchange]:
        """Exchanges of one batch, whose requests differ in prompt and seed only."""
        import torch
        from transformers import LogitsProcessorList

        model, encoder = self._load()
        prompts: list[tuple[GenerationRequest, list[int]]] = []
        for request in requests:
            try:
                prompts.append((request, encoder.encode(request)))
            except PromptError as error:
                yield request, Failure(str(error), 1, "invalid prompt")
        if not prompts:
            return
        batch = encoder.tokenizer.pad({"input_ids": [ids for _, ids in prompts]}, return_tensors="pt").to(model.device)
        stop = list(requests[0].stop)
        stopping = {"stop_strings": stop, "tokenizer": encoder.tokenizer} if stop else {}
        width = batch["input_ids"].shape[1]
        processors = _make_processors([request for request, _ in prompts])
        recorder = LogprobRecorder(processors) if requests[0].wants_token_ids else None
        with torch.inference_mode():
            output = model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                do_sample=False,
                logits_processor=LogitsProcessorList([recorder]) if recorder else processors,
                max_new_tokens=requests[0].max_tokens,
                pad_token_id=encoder.tokenizer.pad_token_id,
                temperature=None,
                top_p=None,
                top_k=None,
                **stopping,
            )
        ends = model.generation_config.eos_token_id
        end_ids = set(ends if isinstance(ends, list) else [ends])
        logprobs = recorder.list_rows() if recorder else [None] * len(prompts)
        for (request, ids), row, of_row in zip(prompts, output[:, width:].tolist(), logprobs, strict=True):
            yield request, self._read_completion(request, len(ids), row, of_row, end_ids)

    def _read_completion(
        self,
        request: GenerationRequest,
        num_prompt_tokens: int,
        row: list[int],
        logprobs: list[float] | None,
        end_ids: set[int],
    ) -> Completion:
        _, encoder = self._load()
        length = next((at for at, token in enumerate(row) if token in end_ids), None)
        tokens = row if length is None else row[:length]
        text = decode_ids(encoder.tokenizer, tokens)
        stops = [at for stop in request.stop if (at := text.find(stop)) >= 0]
        num_tokens = len(tokens) + (length is not None)
        return Completion(
            text=text[: min(stops)] if stops else text,
            finish_reason="length" if length is None and not stops else "stop",
            prompt_tokens=num_prompt_tokens,
            completion_tokens=num_tokens,
            cached_tokens=None,
            model=self._model_id.source,
            token_ids=tuple(row[:num_tokens]) if request.wants_token_ids else None,
            logprobs=tuple(logprobs[:num_tokens]) if logprobs and np.isfinite(logprobs[:num_tokens]).all() else None,
        )


def _keep_token_ids_alone(model: Any) -> Any:
    """`model` with nothing of its generation_config but special tokens, as vLLM's ``--generation-config vllm`` has it.

    A repetition penalty in it would change what is sampled, and training knows of none.
    """
    from transformers import GenerationConfig

    own = model.generation_config
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    model.generation_config = GenerationConfig(**{name: getattr(own, name) for name in names})
    return model


class LogprobRecorder:
    """Runs the logits `processors` and keeps the log-prob at temperature 1 of the token that they choose."""

    def __init__(self, processors: Any) -> None:
        self._processors = processors
        self._chosen: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """What `processors` make of `scores`, of shape [rows, vocabulary]."""
        logprobs = scores.float().log_softmax(-1)
        processed: torch.Tensor = self._processors(input_ids, scores)
        self._chosen.append(logprobs.gather(1, processed.argmax(-1, keepdim=True)))
        return processed

    def list_rows(self) -> list[list[float]]:
        """The log-probs of each row's tokens, in nats; those after its end token mean nothing."""
        import torch

        rows: list[list[float]] = torch.cat(self._chosen, 1).tolist()
        return rows


class SeededGumbel:
    """Turns greedy decoding into sampling: adds Gumbel noise to log-probabilities at the given temperature.

    The largest of logits / temperature + Gumbel noise is an exact draw from the softmax, and each row's noise comes
    from its own seed, so that a sample does not depend on which others are drawn beside it.
    """

    def __init__(self, seeds: Sequence[int], temperature: float) -> None:
        self._generators = [np.random.Generator(np.random.Philox(seed)) for seed in seeds]
        self._temperature = temperature

    def __call__(self, _input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores` of shape [rows, vocabulary]; returns the same shape."""
        import torch

        noise = np.stack([generator.gumbel(size=scores.shape[1]) for generator in self._generators])
        return scores / self._temperature + torch.from_numpy(noise).to(scores)


def _make_processors(requests: Sequence[GenerationRequest]) -> Any:
    from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

    unset = (1.0 if value is None else value for value in (requests[0].temperature, requests[0].top_p))
    temperature, top_p = unset  # the API's defaults
    processors = LogitsProcessorList()
    if temperature > 0:
        if top_p < 1:
            processors += [TemperatureLogitsWarper(temperature), TopPLogitsWarper(top_p)]
        seeds = [seed_from(r.key) if r.seed is None else r.seed % 2**64 for r in requests]
        processors.append(SeededGumbel(seeds, 1.0 if top_p < 1 else temperature))
    return processors


def _split_by_params(batch: Sequence[GenerationRequest]) -> list[list[GenerationRequest]]:
    """`batch` in parts that one call of `generate` can sample together."""
    groups: dict[tuple[Any, ...], list[GenerationRequest]] = {}
    for request in batch:
        params = (request.temperature, request.top_p, request.max_tokens, request.stop, request.wants_token_ids)
        groups.setdefault(params, []).append(request)
    return list(groups.values())
