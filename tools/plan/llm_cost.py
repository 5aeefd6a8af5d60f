"""What the stages that would run would ask of language models: requests, tokens and money, from the sizes of inputs.

Where a run has left reports, lengths of completions and numbers of steps are those measured; elsewhere they are the
limits that the recipe sets. Requests repeated for a reply that was of no use are not counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.engines import Prices, Usage, prices_of
from stages.common.params.block import validate
from stages.common.params.evaluate import EvaluateParams
from stages.common.params.judge import JudgeParams, LlmJudgeParams
from stages.common.params.llm import EngineParams
from stages.common.params.sample import SampleParams
from stages.common.params.split import SplitParams
from stages.judge import make_judge
from stages.judge.llm import read_template
from tools.plan.decide import Decision
from tools.plan.settings import WouldBe

CHARACTERS_PER_TOKEN = 3.0
"""Of mathematics with LaTeX; plain English has about 4, so this counts high."""


@dataclass(frozen=True)
class Asking:
    """What one stage would ask of one model. Tokens are sums over all requests."""

    stage: str
    model: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    measured: bool
    """Whether the completions' length is that of an earlier run; else it is the recipe's limit."""
    prices: Prices | None

    @property
    def money(self) -> float | None:
        """What it costs where no prefix cache serves anything; null without prices."""
        usage = Usage(self.requests, self.prompt_tokens, self.completion_tokens)
        return None if self.prices is None else usage.money(self.prices)


@dataclass(frozen=True)
class Texts:
    """Problems of a split: how many, and mean characters of problem and reference solution."""

    count: int
    problem: float
    solution: float


class Sizes:
    """What is known of the sizes of inputs: of the problems, and from the reports below `data`."""

    def __init__(self, data: Path) -> None:
        self._reports = data / "reports"
        self.texts: dict[str, Texts] = {}
        if any((data / "problems").glob("*.parquet")):
            lengths = pl.scan_parquet(data / "problems" / "*.parquet").group_by("split").agg(
                pl.len(), pl.col("problem", "solution").str.len_chars().mean()
            )  # fmt: skip
            self.texts = {split: Texts(*row) for split, *row in lengths.collect().iter_rows()}

    def mean(self, stage: str, of: tuple[str, ...], over: tuple[str, ...]) -> float | None:
        """Sum of the figure `of` by the sum of `over` in all reports of `stage`; null where there are none."""
        tops, bottoms = 0.0, 0.0
        for path in sorted((self._reports / stage).glob("*.json")):
            report = json.loads(path.read_text(encoding="utf-8"))
            top, bottom = _at(report, of), _at(report, over)
            if top is not None and bottom is not None:
                tops, bottoms = tops + top, bottoms + bottom
        return tops / bottoms if bottoms else None


def _at(report: Any, keys: tuple[str, ...]) -> float | None:
    for key in keys:
        report = report.get(key) if isinstance(report, dict) else None
    return report if isinstance(report, int | float) else None


def askings(decisions: list[Decision], settings: WouldBe, sizes: Sizes) -> list[Asking]:
    """All that the stages that would run ask by request; empty where the problems are not there yet to be measured."""
    found: list[Asking] = []
    for decision in decisions:
        stage = decision.stage
        if decision.runs and stage.module in ("stages.sample", "stages.judge", "stages.evaluate"):
            found.extend(_Stage(stage.name, stage.module, settings.read(next(iter(stage.params))), sizes).askings())
    return found


class _Stage:
    """One stage with its settings; `evaluate` samples and judges by itself."""

    def __init__(self, name: str, module: str, settings: dict[str, Any], sizes: Sizes) -> None:
        self._name = name
        self._module = module
        self._sizes = sizes
        self._sample = validate(SampleParams, settings["sample"], "sample")
        self._judge = validate(JudgeParams, settings["judge"], "judge")
        self._split = validate(SplitParams, settings["split"], "split")
        self._evaluate = validate(EvaluateParams, settings["evaluate"], "evaluate")

    def askings(self) -> Iterator[Asking]:
        """What it would ask."""
        evaluating = self._module == "stages.evaluate"
        texts = self._sizes.texts.get((self._evaluate.split or "") if evaluating else "train")
        if texts is None:
            return
        wanted = self._evaluate.problems if evaluating else self._sample.problems
        problems = min(wanted or texts.count, texts.count)
        if self._module != "stages.judge" and self._sample.engine == "served":
            assert self._sample.served is not None
            samples = problems * (1 + self._evaluate.majority if evaluating else self._sample.samples)
            yield self._sampling(self._sample.served, samples, texts)
        if self._module != "stages.sample":
            solutions = problems * (1 if evaluating else self._sample.samples)
            for model in make_judge(self._judge, 0).llms:
                yield self._judging(model, solutions, texts)

    def _sampling(self, engine: EngineParams, samples: int, texts: Texts) -> Asking:
        prompt = self._sample.prompt
        characters = len(prompt.template) + len(prompt.system or "") + texts.problem
        length, measured = self._solution_tokens()
        return self._asking("the policy", samples, characters, length, measured, engine)

    def _judging(self, model: LlmJudgeParams, solutions: int, texts: Texts) -> Asking:
        length, _ = self._solution_tokens()
        solution = length * CHARACTERS_PER_TOKEN
        calls = solutions * self._judge.num_votes
        if model.mode == "step":
            steps = self._sizes.mean("split", ("steps",), ("samples",)) or self._split.max_steps
            calls, solution = round(calls * steps), solution / 2  # a step is shown with those before it
        characters = len(read_template(model.template)) + texts.problem + texts.solution + solution
        every = ("llm_usage", "judge", "in_all")
        reply = self._sizes.mean("judge", (*every, "completion_tokens"), (*every, "answers"))
        return self._asking(model.model, calls, characters, reply or model.max_tokens, reply is not None, model.engine)

    def _solution_tokens(self) -> tuple[float, bool]:
        """Length of a sampled solution, and whether it was measured."""
        measured = self._sizes.mean("sample", ("completion_tokens",), ("samples",))
        return (self._sample.max_tokens, False) if measured is None else (measured, True)

    def _asking(
        self, model: str, requests: int, characters: float, reply: float, measured: bool, engine: EngineParams
    ) -> Asking:
        prompts = round(requests * characters / CHARACTERS_PER_TOKEN)
        return Asking(self._name, model, requests, prompts, round(requests * reply), measured, prices_of(engine))


def render_askings(found: list[Asking], remade: bool) -> str:
    """A table for the console, and what it costs in all by currency; empty where nothing is asked.

    `remade` says that the problems measured are not those that the run would have.
    """
    if not found:
        return ""
    rows = [
        [
            asking.stage,
            asking.model,
            f"{asking.requests:,} requests",
            f"{asking.prompt_tokens / 1e6:,.2f}M tokens in",
            f"{'' if asking.measured else 'up to '}{asking.completion_tokens / 1e6:,.2f}M out",
            _money(asking.money, asking.prices.currency) if asking.prices else "",
        ]
        for asking in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    sums: dict[str, float] = {}
    for asking in found:
        if asking.prices is not None:
            sums[asking.prices.currency] = sums.get(asking.prices.currency, 0.0) + (asking.money or 0.0)
    total = (
        [f"In all: {', '.join(_money(money, currency) for currency, money in sorted(sums.items()))}."] if sums else []
    )
    head = "Asked of language models, less what the journal holds and what prefix caches save:"
    note = ["Measured on the problems of the last run, which would be made anew."] if remade else []
    return "\n".join([head, *lines, *total, *note])


def _money(amount: float | None, currency: str) -> str:
    return f"{amount:,.2f} {currency}"
