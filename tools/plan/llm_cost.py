"""What the stages that would run would request of language models: requests, tokens and money, from input sizes.

If a run has left reports, lengths of completions, numbers of steps, and fractions of samples that are selected or have
an unknown outcome, are its means; otherwise they are the most that the recipe allows, or assumed. Requests repeated
after an invalid reply are not counted.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.engines import LlmUsage, find_engine_kind
from stages.common.params.block import validate
from stages.common.params.engine import EngineParams, PriceParams
from stages.common.params.evaluate import EvaluateParams
from stages.common.params.judge import JudgeParams
from stages.common.params.outcome import OutcomeParams
from stages.common.params.sample import SampleParams
from stages.common.params.select import SelectParams
from stages.common.params.split import SplitParams
from stages.judge import make_judge
from stages.judge.llm import ReplyForm, read_template
from stages.outcome.model_prompts import PROMPT_SHAPES
from stages.split.boundary_prompt import PROMPT
from tools.plan.assumptions import Assumptions
from tools.plan.decide import Decision
from tools.plan.expected import Expected

MODULES = ("stages.sample", "stages.outcome", "stages.split", "stages.judge", "stages.evaluate")
"""What the stages that may request something of a language model run."""

UNKNOWN = 0.01
"""Fraction of outcomes that the rules leave unknown, before any run: a guess on the high side, since it is none of 800
recorded completions of MATH problems."""

ANSWER_CHARS = 20
"""Characters of a final answer, about."""

CHARS_PER_TOKEN = 3.0
"""Of mathematics with LaTeX; plain English has about 4, so this counts high."""


@dataclass(frozen=True)
class CostEstimate:
    """What one stage would request of one model. Tokens are sums over all requests."""

    stage: str
    model: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    uses_reports: bool
    """Whether the completions' length is that of an earlier run or assumed; otherwise it is the recipe's limit."""
    prices: PriceParams | None
    is_policy: bool = True
    """Whether the model is the policy; otherwise a judge, a second verifier or what divides into steps."""
    uses_batches: bool = False
    """Whether the recipe has the requests sent in a provider's batches."""

    @property
    def money(self) -> float:
        """Its price as the recipe has it, without any prefix cache, 0 if there are no prices."""
        return self.compute_money(self.uses_batches)

    def compute_money(self, in_batches: bool) -> float:
        """Its price in a provider's batches, or one by one."""
        usage = LlmUsage(self.requests, self.prompt_tokens, self.completion_tokens)
        if in_batches:
            usage.in_batches = replace(usage)
        return usage.compute_cost(self.prices) if self.prices else 0.0


class InputSizes:
    """Sizes of the problems below `data`, or those assumed while there are none, and means over the reports there."""

    def __init__(self, data: Path, assumed: dict[str, tuple[int, float, float]] | None = None) -> None:
        self._folder = data / "reports"
        self.splits = assumed or {}
        """By split: number of problems, mean characters of a problem and of its reference solution."""
        if any((data / "problems").glob("*.parquet")):
            sizes = pl.scan_parquet(data / "problems" / "*.parquet").group_by("split").agg(
                pl.len(), pl.col("problem", "solution").str.len_chars().mean()
            )  # fmt: skip
            self.splits = {split: (count, *chars) for split, count, *chars in sizes.collect().iter_rows()}

    def average(self, stage: str, numerator: str, *denominators: str) -> float | None:
        """Ratio of a number to others, each summed over all reports of `stage`, by dotted key; null without any."""
        total, parts = 0.0, 0.0
        for path in sorted((self._folder / stage).glob("*.json")):
            report = json.loads(path.read_text(encoding="utf-8"))
            value, *others = (_look_up(report, key) for key in (numerator, *denominators))
            if value is not None and None not in others:
                total, parts = total + value, parts + sum(other or 0 for other in others)
        return total / parts if parts else None


def _look_up(report: Any, key: str) -> float | None:
    for part in key.split("."):
        report = report.get(part) if isinstance(report, dict) else None
    return report if isinstance(report, int | float) else None


def estimate_llm_cost(
    decisions: list[Decision], expected: Expected, sizes: InputSizes, assumptions: Assumptions | None = None
) -> list[CostEstimate]:
    """One estimate per stage that would run and model that it requests; empty if no sizes of problems are known."""
    return [
        estimate
        for decision in decisions
        if decision.runs and decision.stage.module in MODULES
        for estimate in _estimate_stage(
            decision.stage.name,
            decision.stage.module,
            expected.read_params(decision.stage),
            sizes,
            assumptions or Assumptions(),
        )
    ]


def estimate_selected(params: dict[str, Any], sizes: InputSizes, assumed: float | None) -> tuple[float, str]:
    """Fraction of a round's samples that are selected, and where it is known from."""
    if assumed is not None:
        return assumed, "assumed"
    if (average := sizes.average("select", "selected", "samples")) is not None:
        return average, "as in earlier rounds"
    rule, num_samples = validate(SelectParams, params["select"], "select"), params["sample"]["num_samples"]
    limits = [num_samples if limit is None else limit for limit in (rule.max_correct, rule.max_incorrect)]
    kept = 2 * min(limits) if rule.balance else sum(limits)
    return min(kept / num_samples, 1.0), "the most that the rule can keep"


def _estimate_unknown(sizes: InputSizes, assumed: float | None) -> float:
    """Fraction of a round's samples about which the second verifier is asked."""
    counts = [f"verdicts.{name}" for name in ("correct", "incorrect", "unknown")]
    known = [
        assumed,
        sizes.average("outcome", "second_verifier.questions", *counts),
        sizes.average("outcome", "verdicts.unknown", *counts),
    ]
    return next((fraction for fraction in known if fraction is not None), UNKNOWN)


def _estimate_stage(
    stage: str, module: str, params: dict[str, Any], sizes: InputSizes, assumptions: Assumptions
) -> Iterator[CostEstimate]:
    sample = validate(SampleParams, params["sample"], "sample")
    judge = validate(JudgeParams, params["judge"], "judge")
    evaluate = validate(EvaluateParams, params["evaluate"], "evaluate")
    evaluates = module == "stages.evaluate"  # it samples and judges by itself
    judge = evaluate.judge or judge if evaluates else judge
    count, problem, reference = sizes.splits.get((evaluate.split or "") if evaluates else "train", (0, 0.0, 0.0))
    count = min((evaluate.num_problems if evaluates else sample.num_problems) or count, count)
    length = assumptions.completion_tokens or sizes.average("sample", "completion_tokens", "samples")
    tokens, uses_reports = (sample.max_tokens, False) if length is None else (length, True)

    def estimate(
        model: str,
        requests: int,
        chars: float,
        reply: float,
        uses_reports: bool,
        engine: EngineParams,
        is_policy: bool = False,
    ) -> CostEstimate:
        prompt_tokens, completion_tokens = round(requests * chars / CHARS_PER_TOKEN), round(requests * reply)
        batches = find_engine_kind(engine).uses_batches(engine)
        return CostEstimate(
            stage, model, requests, prompt_tokens, completion_tokens, uses_reports, engine.prices, is_policy, batches
        )

    second = validate(OutcomeParams, params["outcome"], "outcome").second_verifier
    if module == "stages.outcome":
        if count and second is not None:
            fraction = _estimate_unknown(sizes, assumptions.unknown)
            usage = "second_verifier.llm_usage"
            reply = sizes.average("outcome", f"{usage}.completion_tokens", f"{usage}.completions")
            chars = len(PROMPT_SHAPES[second.prompt].template) + problem + 2 * ANSWER_CHARS
            requests = 2 * round(count * sample.num_samples * fraction)  # with the two answers in both orders
            yield estimate(second.model, requests, chars, reply or second.max_tokens, reply is not None, second.engine)
        return
    if count and module in ("stages.sample", "stages.evaluate") and find_engine_kind(sample.engine).makes_requests:
        completions = count * (1 + evaluate.num_majority_samples if evaluates else sample.num_samples)
        chars = len(sample.prompt.template) + len(sample.prompt.system or "") + problem
        yield estimate("the policy", completions, chars, tokens, uses_reports, sample.engine, is_policy=True)
    completions = count * (1 if evaluates else sample.num_samples)
    if not evaluates and judge.scope == "selected":
        completions = round(completions * estimate_selected(params, sizes, assumptions.selected)[0])
    splitter = validate(SplitParams, params["split"], "split")
    if count and splitter.llm is not None and module in ("stages.split", "stages.evaluate"):
        usage = "llm_usage.split"
        reply = sizes.average("split", f"{usage}.completion_tokens", f"{usage}.completions")
        chars = len(PROMPT) + tokens * CHARS_PER_TOKEN
        reply_tokens = reply or splitter.llm.max_tokens
        yield estimate(splitter.llm.model, completions, chars, reply_tokens, reply is not None, splitter.llm.engine)
    for model in make_judge(judge, 0).llms if count and module in ("stages.judge", "stages.evaluate") else []:
        requests = completions * judge.num_votes
        shown = tokens * CHARS_PER_TOKEN
        if model.mode == "step":  # a step is shown with those before it
            steps = sizes.average("split", "steps", "samples") or splitter.max_steps
            requests, shown = round(requests * steps), shown / 2
        usage = "llm_usage.judge"
        reply = assumptions.reply_tokens or sizes.average("judge", f"{usage}.completion_tokens", f"{usage}.completions")
        chars = (
            len(read_template(model.template)) + len(ReplyForm.find(model).describe([1])) + problem + reference + shown
        )
        limit = float(model.max_vote_tokens)
        if model.has_two_turns:  # the second request holds the first one and its reasoning
            requests, limit = 2 * requests, limit / 2
            chars += (2 * reply if reply else model.reasoning_tokens) * CHARS_PER_TOKEN / 2
        yield estimate(model.model, requests, chars, reply or limit, reply is not None, model.engine)


def render_estimates(estimates: list[CostEstimate], assumptions: Assumptions | None = None) -> str:
    """A table for the console, and its sums by currency; empty if nothing is requested."""
    if not estimates:
        return ""
    assumptions = assumptions or Assumptions()
    hour_price = assumptions.price_per_hour
    sums: defaultdict[str, float] = defaultdict(float)
    rows = []
    for estimate in estimates:
        hours, money = _estimate_hours(estimate, assumptions), ""
        if estimate.prices is not None or hour_price is not None:
            currency, price = estimate.prices.currency if estimate.prices else "of machine time", estimate.money
            price = price if estimate.prices else hours * (hour_price or 0.0)
            sums[currency] += price
            money = f"{price:,.2f} {currency}"
        rows.append([
            estimate.stage,
            estimate.model,
            f"{estimate.requests:,} requests",
            f"{estimate.prompt_tokens / 1e6:,.2f}M prompt tokens",
            f"{'' if estimate.uses_reports else 'up to '}{estimate.completion_tokens / 1e6:,.2f}M completion tokens",
            f"{hours:,.1f} hours",
            money,
        ])  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["Requests to language models, without what the journal holds and what prefix caches save:"]
    lines += ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    hours = sum(_estimate_hours(estimate, assumptions) for estimate in estimates)
    total = [f"{money:,.2f} {currency}" for currency, money in sorted(sums.items())]
    lines.append(f"Total: {', '.join([*total, f'{hours:,.1f} hours'])}.")
    lines += _render_both_prices([estimate for estimate in estimates if estimate.prices])
    speeds = [
        f"{who} {prompt:,.0f} prompt and {completion:,.0f} completion tokens a second"
        for who, prompt, completion in (
            ("the policy", assumptions.prompt_tokens_per_s, assumptions.tokens_per_s),
            ("other models", assumptions.judge_prompt_tokens_per_s, assumptions.judge_tokens_per_s),
        )
    ]
    lines.append(f"Speeds assumed: {'; '.join(speeds)}.")
    return "\n".join(lines)


def _render_both_prices(priced: list[CostEstimate]) -> Iterator[str]:
    """A line each on what all that has a price costs one by one, and in a provider's batches."""
    for words, in_batches in (("sent one by one (kind openai)", False), ("sent in batches (kind batch)", True)):
        sums: defaultdict[str, float] = defaultdict(float)
        for estimate in priced:
            assert estimate.prices is not None
            sums[estimate.prices.currency] += estimate.compute_money(in_batches)
        if sums:
            yield f"  {words}: " + ", ".join(f"{money:,.2f} {currency}" for currency, money in sorted(sums.items()))


def _estimate_hours(estimate: CostEstimate, assumptions: Assumptions) -> float:
    if estimate.is_policy:
        prompt_speed, speed = assumptions.prompt_tokens_per_s, assumptions.tokens_per_s
    else:
        prompt_speed, speed = assumptions.judge_prompt_tokens_per_s, assumptions.judge_tokens_per_s
    return (estimate.prompt_tokens / prompt_speed + estimate.completion_tokens / speed) / 3600
