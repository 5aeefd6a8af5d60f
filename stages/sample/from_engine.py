"""SAMPLE rows from an engine: one request per sample, and what is kept of each completion."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import polars as pl

from stages.common.engines import (
    Completion,
    Engine,
    EngineContext,
    Exchange,
    GenerationRequest,
    ModelId,
    Runner,
    find_engine_kind,
    identify_model,
    make_engine,
)
from stages.common.engines.recorded_engine import NOT_RECORDED, make_custom_id
from stages.common.journal import ROOT
from stages.common.params.runtime import RuntimeParams
from stages.common.params.sample import SampleParams
from stages.common.policies import Policy
from stages.common.prompt import make_prompt
from stages.common.tables import SAMPLE, DropLog, make_sample_id, seed_from
from stages.common.thinking import join_thinking, split_thinking
from stages.sample.sampled_tokens import SampledTokens

PREFLIGHT = 8
"""Requests that must succeed before all others are sent."""


class _OpenEngine:
    """An engine that stays open for the next of its users."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        """See `Engine.complete`."""
        return self._engine.complete(requests)

    def close(self) -> None:
        """Left to `open_engine`."""


@contextmanager
def open_engine(policy: Policy, params: SampleParams, runtime: RuntimeParams) -> Iterator[Engine | None]:
    """The engine that samples `policy` for all `sample_problems` inside: a model is loaded and a server started once.

    None for kinds that hold no model: each journal has an engine of its own.
    """
    if not find_engine_kind(params.engine).holds_model:
        yield None
        return
    with closing(make_engine(params.engine, _identify(policy), EngineContext(runtime))) as engine:
        yield _OpenEngine(engine)


def _identify(policy: Policy) -> ModelId:
    return ModelId(policy.source, policy.revision, policy.hash)


class SampleSource:
    """The requests and rows of one policy and sampling hash.

    Samples for which no completion came are counted in `drops`.
    """

    def __init__(
        self, problems: pl.DataFrame, policy: Policy, params: SampleParams, sampling_hash: str, drops: DropLog
    ) -> None:
        self._problems = problems.sort("problem_id").select("problem_id", "problem")
        self._policy = policy
        self._params = params
        self._hash = sampling_hash
        self._drops = drops
        self._kind = find_engine_kind(params.engine)
        self._model = _identify(policy)
        self.tokens = SampledTokens(policy)

    def read(
        self, runtime: RuntimeParams, desc: str, engine: Engine | None = None
    ) -> tuple[pl.DataFrame, int, dict[str, Any] | None]:
        """All rows, unsorted, how many the journal had, and the usage of requests, None for engines without a journal.

        `engine` is one of `open_engine`, None for one of its own. Raises `EngineError` where generation must stop; all
        completions are kept in the journal.
        """
        journal = ROOT / "sample" / f"{self._policy.hash}-{self._hash}.jsonl"
        context = EngineContext(runtime, journal=journal, drops=self._drops)
        engine = engine or make_engine(self._params.engine, self._model, context)
        if not self._kind.generates:
            return self._make_table(engine.complete(self._make_requests())), 0, None
        with Runner(engine, journal, desc, self._params.engine.prices) as runner:
            total = self._problems.height * self._params.num_samples
            runner.run(self._make_requests(), total, PREFLIGHT if self._kind.makes_requests else 0)
            exchanges = ((request, runner.get(request)) for request in self._make_requests())
            return self._make_table(exchanges), runner.from_journal, runner.report_usage()

    def _make_requests(self) -> Iterator[GenerationRequest]:
        """Samples of one problem are neighbours: they share their prompt."""
        params, model = self._params, identify_model(self._params.engine, self._model)
        for identity, problem in self._problems.iter_rows():
            prompt = make_prompt(problem, params.prompt)
            for index in range(params.num_samples):
                seed = self._kind.choose_seed(seed_from("sample", identity, self._policy.hash, self._hash, index))
                custom_id = make_custom_id(identity, index)
                yield GenerationRequest(
                    model,
                    prompt,
                    params.temperature,
                    params.max_tokens,
                    seed,
                    extra_body=params.engine.extra_body,
                    custom_id=custom_id,
                    wants_token_ids=True,
                )

    def _make_table(self, exchanges: Iterator[Exchange]) -> pl.DataFrame:
        rows = []
        for request, response in exchanges:
            identity, _, index = request.custom_id.rpartition("-")
            if isinstance(response, Completion):
                rows.append(self._make_row(identity, int(index), request.seed, response))
            elif response.kind != NOT_RECORDED:
                self._drops.drop("no completion", f"problem {identity}, sample {index}", response.reason)
        self.tokens.keep_logps()
        return pl.DataFrame(rows, schema=SAMPLE.schema)

    def _make_row(self, problem: str, index: int, seed: int | None, completion: Completion) -> dict[str, Any]:
        text = join_thinking(completion.reasoning, completion.text, is_cut=completion.finish_reason == "length")
        if self._params.thinking == "stripped":
            text = split_thinking(text).rest.lstrip()
        sample_id = make_sample_id(problem, self._policy.hash, self._hash, index, text)
        return {
            "sample_id": sample_id,
            "problem_id": problem,
            "policy": self._policy.hash,
            "sampling_hash": self._hash,
            "sample_index": index,
            "seed": seed,
            "completion": text,
            "finish_reason": completion.finish_reason,
            "prompt_tokens": completion.prompt_tokens,
            "completion_tokens": completion.completion_tokens,
            **self.tokens.read(sample_id, completion, text),
        }
