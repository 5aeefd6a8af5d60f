"""Sampling by request: from a served policy, or from vLLM in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from stages.common.engines import Completion, Model, Request, Runner, make_engine, prices_of
from stages.common.journal import ROOT
from stages.common.params.llm import EngineParams
from stages.common.params.sample import SampleParams
from stages.common.policies import Policy
from stages.common.prompt import chat_messages, plain_prompt
from stages.common.tables import SAMPLE, DropLog, sample_id, seed_from

PREFLIGHT = 8
"""Requests that must be answered before all others are sent."""

Asked = tuple[str, int, Request]
"""Problem id, 0-based index among the problem's samples, and what is asked."""


def asked_samples(
    problems: pl.DataFrame,
    policy: Policy,
    params: SampleParams,
    engine: EngineParams,
    settings: str,
    label: str,
    drops: DropLog,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """SAMPLE rows of `problems` (PROBLEM columns), unsorted, and what they cost: ``params.samples`` requests each.

    A sample for which no answer came is counted in `drops`. Raises `EngineError` where asking must stop; what was
    answered is kept.
    """
    model = _model(policy, engine)
    name = model.asked_through(engine)
    journal = ROOT / "sample" / f"{policy.hash}-{settings}.jsonl"
    rows: list[dict[str, Any]] = []
    with Runner(make_engine(engine, model), journal, label, prices_of(engine)) as runner:
        requests = (request for _, _, request in _requests(problems, policy.hash, name, params, settings))
        runner.ask(requests, problems.height * params.samples, PREFLIGHT)
        for identity, index, request in _requests(problems, policy.hash, name, params, settings):
            answer = runner.get(request)
            if isinstance(answer, Completion):
                rows.append(_row(identity, policy.hash, settings, index, request.seed, answer))
            else:
                drops.drop("no answer came", f"problem {identity}, sample {index}", answer.reason)
    return pl.DataFrame(rows, schema=SAMPLE.schema), runner.costs()


def _model(policy: Policy, engine: EngineParams) -> Model:
    """The policy; a server elsewhere knows a folder's weights by their hash, which no other weights have."""
    source = policy.hash if engine.kind == "openai" and policy.repo is None else policy.source
    return Model(source, policy.revision, policy.hash)


def _requests(problems: pl.DataFrame, policy: str, model: str, params: SampleParams, settings: str) -> Iterator[Asked]:
    """Samples of one problem are neighbours: they share their prompt."""
    for identity, problem in problems.sort("problem_id").select("problem_id", "problem").iter_rows():
        prompt = chat_messages(problem, params.prompt) if params.prompt.chat else plain_prompt(problem, params.prompt)
        for index in range(params.samples):
            # Seeds go to 32 bits, which every server takes.
            draws = seed_from("sample", identity, policy, settings, index) % 2**31
            yield identity, index, Request(model, prompt, params.temperature, params.max_tokens, draws)


def _row(identity: str, policy: str, settings: str, index: int, seed: int | None, answer: Completion) -> dict[str, Any]:
    return {
        "sample_id": sample_id(identity, policy, settings, index, answer.text),
        "problem_id": identity,
        "policy": policy,
        "sampling_hash": settings,
        "sample_index": index,
        "seed": seed,
        "completion": answer.text,
        "finish_reason": answer.finish_reason,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
    }
