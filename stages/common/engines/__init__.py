"""Engines: requests to language models in, completions out; nothing is lost and nothing is paid for twice.

A stage makes requests, an engine completes them, and a `Runner` puts a journal in front of it::

    from stages.common.journal import ROOT
    from stages.common.engines import GenerationRequest, ModelId, Runner, identify_model, make_engine

    model = ModelId(policy.source, policy.revision, policy.hash)
    name = identify_model(engine_params, model)      # what the model is to the journal

    def make_requests():                             # a generator, however many; neighbours share a prompt
        for row in rows:
            yield GenerationRequest(name, chat_messages(row), temperature=1.0, max_tokens=2048, seed=row_seed)

    engine = make_engine(engine_params, model)       # EngineParams of stages.common.params.engine; starts nothing yet
    with Runner(engine, ROOT / "sample" / f"{policy.hash}.jsonl", "sample M1", engine_params.prices) as runner:
        runner.run(make_requests(), total=count, preflight=8)     # what the journal lacks
        for request in make_requests():                           # in an order of the stage's own
            response = runner.get(request)                        # Completion, or Failure with its reason
        report = runner.report_usage()                            # what all completions have cost, whichever run paid

`EngineError`, a `UserError` of one line, says that generation had to stop: the key or the model is wrong, or too many
requests fail. What differs between kinds of engines is asked of `find_engine_kind`; `ENGINES` is their registry.
"""

from stages.common.engines.engine import Engine, EngineError, ModelId
from stages.common.engines.kinds import (
    ENGINES,
    EngineContext,
    EngineKind,
    find_engine_kind,
    identify_model,
    make_engine,
)
from stages.common.engines.llm_usage import LlmUsage
from stages.common.engines.request import Completion, Exchange, Failure, GenerationRequest, Response
from stages.common.engines.runner import Runner, make_runner

__all__ = [
    "ENGINES",
    "Completion",
    "Engine",
    "EngineContext",
    "EngineError",
    "EngineKind",
    "Exchange",
    "Failure",
    "GenerationRequest",
    "LlmUsage",
    "ModelId",
    "Response",
    "Runner",
    "find_engine_kind",
    "identify_model",
    "make_engine",
    "make_runner",
]
