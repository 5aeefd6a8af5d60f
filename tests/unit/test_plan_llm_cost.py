"""The plan's estimate of requests to language models, by hand on small sizes."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest
import yaml

from stages.common.params.recipe import resolve
from tools.plan import Decision, Expected, StageState
from tools.plan.assumptions import read_assumptions
from tools.plan.llm_cost import (
    CHARS_PER_TOKEN,
    CostEstimate,
    InputSizes,
    estimate_llm_cost,
    estimate_selected,
    render_estimates,
)

RECIPE: dict[str, Any] = yaml.safe_load(Path("recipes/dry-run.yaml").read_text(encoding="utf-8"))
MODULES = {name: f"stages.{name}" for name in ("sample", "outcome", "split", "judge", "evaluate", "train")}
TEMPLATE = len(RECIPE["sample"]["prompt"]["template"])


class RoundParams:
    """One round's params, whichever stage asks."""

    def __init__(self, **changes: dict[str, Any]) -> None:
        self.resolved = copy.deepcopy(resolve(RECIPE, "M1"))
        for block, values in changes.items():
            self.resolved[block] |= values

    def read_params(self, _stage: StageState) -> dict[str, Any]:
        return self.resolved


def decision(stage: str, runs: bool = True) -> Decision:
    state = StageState(f"{stage}@M1", "", MODULES[stage], {}, {}, (), {})
    return Decision(state, (("new", "has never run"),) if runs else ())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ten training problems of 30 characters with solutions of 60, four test problems of 90."""
    rows = [{"split": "train", "problem": "p" * 30, "solution": "s" * 60}] * 10
    rows += [{"split": "test", "problem": "p" * 90, "solution": "s" * 60}] * 4
    (tmp_path / "problems").mkdir()
    pl.DataFrame(rows[:7]).write_parquet(tmp_path / "problems" / "0.parquet")
    pl.DataFrame(rows[7:]).write_parquet(tmp_path / "problems" / "1.parquet")
    return tmp_path


def estimate(data: Path, params: RoundParams, *decisions: Decision, assume: Sequence[str] = ()) -> list[CostEstimate]:
    return estimate_llm_cost(list(decisions), cast(Expected, params), InputSizes(data), read_assumptions(assume))


def write_report(data: Path, stage: str, name: str, report: dict[str, Any]) -> None:
    path = data / "reports" / stage / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report), encoding="utf-8")


def test_before_any_run_completions_are_at_their_limit(data: Path) -> None:
    params = RoundParams(sample={"num_problems": 6, "num_samples": 4, "max_tokens": 50}, judge={"num_votes": 3})
    sampling, judging = estimate(data, params, decision("sample"), decision("judge"), decision("train"))
    assert (sampling.requests, sampling.completion_tokens, sampling.uses_reports) == (24, 24 * 50, False)
    assert sampling.prompt_tokens == round(24 * (TEMPLATE + 30) / CHARS_PER_TOKEN)
    assert sampling.money == pytest.approx((0.5 * sampling.prompt_tokens + 1.5 * 1200) / 1e6)
    assert (judging.requests, judging.completion_tokens) == (
        72,
        72 * params.resolved["judge"]["llm"]["max_tokens"],
    )
    least = 72 * (30 + 60) / CHARS_PER_TOKEN + 72 * 50  # problem, reference and solution; the template on top
    assert least < judging.prompt_tokens < least + 72 * 2000
    more = RoundParams(sample={"num_problems": None, "num_samples": 4, "max_tokens": 50})
    assert estimate(data, more, decision("sample"))[0].requests == 40


def test_after_a_run_lengths_are_those_measured(data: Path) -> None:
    for name, tokens in (("M1", 1000), ("M2", 3000)):
        write_report(data, "sample", name, {"samples": 100, "completion_tokens": tokens})
        every = {"completions": 50, "completion_tokens": 5 * tokens}
        write_report(data, "judge", name, {"llm_usage": {"judge": every}})
        write_report(data, "split", name, {"samples": 100, "steps": 250})
    sampling, judging = estimate(data, RoundParams(), decision("sample"), decision("judge"))
    assert sampling.completion_tokens == sampling.requests * 20
    assert judging.completion_tokens == judging.requests * 200
    assert sampling.uses_reports
    assert judging.uses_reports
    by_step = RoundParams()
    by_step.resolved["judge"]["llm"] |= {"mode": "step"}
    [stepwise] = estimate(data, by_step, decision("judge"))
    assert stepwise.requests == 2.5 * judging.requests


PAPER = {"max_correct": 2, "max_incorrect": 2, "require_both": True, "balance": True, "deduplicate": True}


def test_free_thinking_is_counted_and_two_turns_are_two_requests(data: Path) -> None:
    found = {}
    for reasoning in ("before_verdict", "tags", "two_turns"):
        params = RoundParams()
        params.resolved["judge"]["llm"] |= {"reasoning": reasoning, "reasoning_tokens": 3000}
        (found[reasoning],) = estimate(data, params, decision("judge"))
    one, tags, turns = found.values()
    assert (tags.requests, turns.requests) == (one.requests, 2 * one.requests)
    assert one.completion_tokens == 2000 * one.requests
    assert tags.completion_tokens == turns.completion_tokens == 5000 * one.requests
    assert turns.prompt_tokens == pytest.approx(2 * one.prompt_tokens + 3000 * one.requests, rel=0.02)


def test_only_selected_samples_are_judged(data: Path) -> None:
    params = RoundParams(sample={"num_problems": 10, "num_samples": 8}, judge={"num_votes": 1}, select=PAPER)
    everything = RoundParams(sample={"num_problems": 10, "num_samples": 8}, judge={"num_votes": 1, "scope": "all"})
    assert estimate(data, everything, decision("judge"))[0].requests == 80
    assert estimate(data, params, decision("judge"))[0].requests == 40, "the most that the rule can keep"
    assert estimate(data, params, decision("judge"), assume=["selected=0.1"])[0].requests == 8
    assert estimate(data, params, decision("judge"), assume=["selected=0"])[0].requests == 0
    for name, selected in (("M1", 38), ("M2", 42)):
        write_report(data, "select", name, {"samples": 800, "selected": selected})
    assert estimate(data, params, decision("judge"))[0].requests == 4, "as in earlier rounds"
    assert estimate_selected(params.resolved, InputSizes(data), None) == (0.05, "as in earlier rounds")


@pytest.mark.parametrize(
    ("rule", "num_samples", "most"),
    [
        ({}, 8, 0.5),
        ({"max_correct": 1}, 8, 0.25),
        ({"max_correct": 1, "balance": False}, 8, 0.375),
        ({"max_correct": None, "max_incorrect": None}, 8, 1.0),
        ({"max_correct": None}, 8, 0.5),
        ({}, 2, 1.0),
    ],
)
def test_the_most_that_a_rule_keeps(data: Path, rule: dict[str, Any], num_samples: int, most: float) -> None:
    params = RoundParams(sample={"num_samples": num_samples}, select=PAPER | rule)
    assert estimate_selected(params.resolved, InputSizes(data), None) == (most, "the most that the rule can keep")


def test_a_second_verifier_is_asked_twice_about_unknown_outcomes(data: Path) -> None:
    second = {
        "model": "some/verifier",
        "engine": {"kind": "openai", "prices": {"prompt": 1.0, "cached": 0.1, "completion": 2.0, "currency": "USD"}},
    }
    params = RoundParams(sample={"num_problems": 10, "num_samples": 100}, outcome={"second_verifier": second})
    assert estimate(data, RoundParams(), decision("outcome")) == []
    [verifying] = estimate(data, params, decision("outcome"))
    assert (verifying.model, verifying.requests, verifying.uses_reports) == ("some/verifier", 20, False)
    assert verifying.completion_tokens == 20 * 64
    assert verifying.money > 0
    assert estimate(data, params, decision("outcome"), assume=["unknown=0.2"])[0].requests == 400
    verdicts = {"correct": 60, "incorrect": 35, "unknown": 5}
    write_report(data, "outcome", "M1", {"verdicts": verdicts})
    assert estimate(data, params, decision("outcome"))[0].requests == 100
    usage = {"completions": 60, "completion_tokens": 600}
    report = {"verdicts": verdicts, "second_verifier": {"questions": 30, "llm_usage": usage}}
    write_report(data, "outcome", "M1", report)
    [verifying] = estimate(data, params, decision("outcome"))
    assert (verifying.requests, verifying.completion_tokens) == (600, 6000)


def test_a_model_that_divides_is_asked_once_per_selected_sample(data: Path) -> None:
    llm = {"model": "some/model", "engine": {"kind": "openai"}, "max_tokens": 50}
    params = RoundParams(sample={"num_problems": 10, "num_samples": 8}, split={"shape": "model", "llm": llm})
    [dividing] = estimate(data, params, decision("split"), assume=["selected=0.5"])
    assert (dividing.model, dividing.requests, dividing.completion_tokens) == ("some/model", 40, 2000)
    assert estimate(data, RoundParams(), decision("split")) == []


def test_hours_are_those_of_prompts_and_completions_by_model() -> None:
    estimates = [
        CostEstimate("sample@M1", "the policy", 1, 3_600_000, 7_200_000, True, None),
        CostEstimate("judge@M1", "a judge", 1, 3_600_000, 7_200_000, True, None, is_policy=False),
    ]
    speeds = ["prompt_tokens_per_s=1000", "tokens_per_s=500", "judge_prompt_tokens_per_s=100", "judge_tokens_per_s=50"]
    shown = render_estimates(estimates, read_assumptions(speeds))
    assert [line.split("  ")[-1] for line in shown.splitlines()[1:3]] == ["5.0 hours", "50.0 hours"]
    assert "Total: 55.0 hours." in shown
    assert "other models 100 prompt and 50 completion tokens a second" in shown


def test_an_evaluation_samples_and_judges(data: Path) -> None:
    params = RoundParams(
        evaluate={"num_problems": None, "num_majority_samples": 8, "split": "test"}, judge={"num_votes": 1}
    )
    sampling, judging = estimate(data, params, decision("evaluate"))
    assert (sampling.requests, judging.requests) == (4 * 9, 4)
    assert estimate(data, RoundParams(evaluate={"split": None}), decision("evaluate")) == []


def test_what_does_not_run_or_does_not_ask_is_left_out(data: Path, tmp_path: Path) -> None:
    assert estimate(data, RoundParams(), decision("sample", runs=False)) == []
    quiet = RoundParams(sample={"engine": {"kind": "transformers"}}, judge={"kind": "toy_arithmetic"})
    assert estimate(data, quiet, decision("sample"), decision("judge"), decision("evaluate")) == []
    assert estimate(tmp_path / "nothing here", RoundParams(), decision("sample")) == []
    assert render_estimates([]) == ""


def test_a_recipe_with_batches_has_their_price(data: Path) -> None:
    engine = {"kind": "batch", "prices": {"prompt": 0.5, "cached": 0.1, "completion": 1.5, "batch_discount": 0.25}}
    (sampling,) = estimate(data, RoundParams(sample={"engine": engine}), decision("sample"))
    assert sampling.money == pytest.approx(0.75 * sampling.compute_money(in_batches=False))
    engine["batch"] = {"backend": "vllm"}
    (offline,) = estimate(data, RoundParams(sample={"engine": engine}), decision("sample"))
    assert offline.money == pytest.approx(sampling.compute_money(in_batches=False))


def test_the_table_sums_by_currency(data: Path) -> None:
    found = estimate(data, RoundParams(), decision("sample"), decision("judge"))
    shown = render_estimates(found)
    money = sum(estimate.money for estimate in found)
    assert f"Total: {money:,.2f} USD, 0.1 hours.\n" in shown
    assert "\nSpeeds assumed: the policy 24,750" in shown
    assert f"  sent one by one (kind openai): {money:,.2f} USD\n" in shown
    assert f"  sent in batches (kind batch): {money / 2:,.2f} USD\n" in shown
    assert "sample@M1  the policy  40 requests" in shown
    assert "up to" in shown
