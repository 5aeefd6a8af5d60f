"""Asking language models: requests in, completions out, nothing lost, nothing paid for twice.

A stage makes `Request`s, an engine answers them, and a `Runner` puts a journal in front of it::

    from stages.common.journal import ROOT
    from stages.common.engines import Completion, Model, Request, Runner, make_engine, prices_of

    model = Model(policy.source, policy.revision, policy.hash)
    name = model.asked_through(engine_params)         # what the model is to the journal

    def requests():                                   # a generator, however many; neighbours share a prompt
        for row in rows:
            yield Request(name, chat_messages(row), temperature=1.0, max_tokens=2048, seed=row_seed)

    engine = make_engine(engine_params, model)        # EngineParams of stages.common.params.llm; starts nothing yet
    with Runner(engine, ROOT / "sample" / f"{policy.hash}.jsonl", "sample M1", prices_of(engine_params)) as runner:
        runner.ask(requests(), total=count, preflight=8)            # what the journal lacks
        for request in requests():                                  # in an order of the stage's own
            answer = runner.get(request)                            # Completion, or Failure with its reason
        report = runner.costs()                                     # what this run paid for, and all runs together

`EngineError`, a `ValueError` of one line, says that asking had to stop: the key or the model is
wrong, or too many requests fail.
"""

from stages.common.engines.copies import Copies
from stages.common.engines.cost import Prices, Usage
from stages.common.engines.engine import Engine
from stages.common.engines.errors import EngineError
from stages.common.engines.fake import FakeEngine
from stages.common.engines.make import make_engine, prices_of
from stages.common.engines.model import Model
from stages.common.engines.ray_engine import RayEngine
from stages.common.engines.request import Completion, Failure, Message, Request, Result
from stages.common.engines.retry import Patience
from stages.common.engines.runner import Runner
from stages.common.engines.serve import ServeEngine
from stages.common.engines.served import OpenAIEngine
from stages.common.engines.vllm_engine import VllmEngine

__all__ = [
    "Completion",
    "Copies",
    "Engine",
    "EngineError",
    "Failure",
    "FakeEngine",
    "Message",
    "Model",
    "OpenAIEngine",
    "Patience",
    "Prices",
    "RayEngine",
    "Request",
    "Result",
    "Runner",
    "ServeEngine",
    "Usage",
    "VllmEngine",
    "make_engine",
    "prices_of",
]
