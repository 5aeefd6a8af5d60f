"""The page: one file that needs nothing else, in which every text of a model is text and never markup."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jinja2
import yaml

from stages.common.tables import content_hash
from stages.report.asked import asked_rows
from stages.report.benchmarks import benchmark_table, judge_note
from stages.report.comparisons import contests, measures_compared
from stages.report.drops import collect_drops
from stages.report.measures import estimate, problem_sets
from stages.report.people import agreements
from stages.report.plots import Plot
from stages.report.quality import DRIFTS, SHARES, label_quality, warnings
from stages.report.solutions import shown_solutions
from stages.report.sources import ROUND_STAGES, Model, Sources, arms, at, count, majorities, number
from stages.report.text import bounded, visible

TEMPLATE = "page.html.jinja"

LABELS = (("correct", "✓"), ("incorrect", "✗"), ("unknown", "?"))

Picture = tuple[Plot, bytes, bytes]
"""A plot drawn as SVG in the light and in the dark theme."""


def render_page(sources: Sources, pictures: list[Picture]) -> str:
    """The page as HTML. Raises `jinja2.UndefinedError` where template and context do not agree."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "whole": whole,
        "duration": duration,
        "excerpt": bounded,
        "money": money,
        "points": points,
        "chance": chance,
    }
    report = sources.recipe.report
    compared = contests(sources.models)
    html = environment.get_template(TEMPLATE).render(
        title=report.title,
        recipe_seed=sources.recipe.seed,
        models=sources.models,
        headline=_headline(sources),
        columns=_columns(sources),
        rounds=[_round(sources, model) for model in sources.models],
        judge_note=judge_note(sources.models),
        benchmarks=benchmark_table(sources),
        people=agreements(sources.models),
        contests=compared,
        compared=measures_compared(compared),
        sets=problem_sets(sources.models),
        estimate_of=estimate,
        pictures=[(plot, _data_uri(light), _data_uri(dark)) for plot, light, dark in pictures],
        solutions=[(model, shown) for model in sources.models if (shown := shown_solutions(model, report.solutions))],
        labels=LABELS,
        balance=[row for model in sources.models if (row := _balance(model))],
        quality=label_quality(sources.models),
        quality_shares=SHARES,
        drifts=DRIFTS,
        quality_warnings=warnings(sources.models),
        drops=collect_drops(sources),
        costs=_costs(sources),
        tokens=_tokens(sources),
        asked=asked_rows(sources.models),
        hashes=_hashes(sources),
        recipe=_recipe(sources),
        environments=_environments(sources),
    )
    return visible(html)


def percent(value: float | None) -> str:
    """A share in percent, a dash where it is not known."""
    return "–" if value is None else f"{100 * value:.1f}%"


def points(value: float | None) -> str:
    """A difference of shares in percentage points, with its sign."""
    return "–" if value is None else f"{100 * value:+.1f}".replace("-", "−")


def chance(p_value: float) -> str:
    """A p-value as it is reported."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def whole(value: float | None) -> str:
    """A number without decimals, thousands apart."""
    return "–" if value is None else f"{value:,.0f}"


def money(value: float | None, currency: str) -> str:
    """An amount with its currency, a dash where no prices are known."""
    return "–" if value is None else f"{value:,.2f} {currency}".strip()


def duration(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _data_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")


def _estimate(model: Model, metric: str) -> dict[str, Any]:
    """What the template shows of one metric on the recipe's problems."""
    return estimate(at(model.reports, "evaluate", "metrics"), metric)


def _columns(sources: Sources) -> list[tuple[str, str, str]]:
    """Metric, heading, and what the heading stands for."""
    votes = [(f"maj_at_{k}", f"Maj@{k}", f"right majority answer of {k} samples") for k in majorities(sources.models)]
    return [
        ("pass_at_1", "Pass@1", "right greedy answers"),
        *votes,
        ("stepwise_error", "Stepwise error", "right answers with a wrong step"),
        ("wrong_all_steps_right", "Wrong, steps right", "wrong answers whose steps are all right"),
    ]


def _round(sources: Sources, model: Model) -> dict[str, Any]:
    """A row of the headline table."""
    sides = {"no answer": "no_answer", "cut by length": "length_cut", "unknown steps": "unknown_steps",
             "answer not decidable": "unknown_outcome"}  # fmt: skip
    return {
        "model": model,
        "metrics": [_estimate(model, metric) for metric, _, _ in _columns(sources)],
        "sides": [(name, share) for name, key in sides.items() if (share := _estimate(model, key)["value"])],
        "tokens": _estimate(model, "tokens_per_solution")["value"],
    }


def _headline(sources: Sources) -> list[dict[str, Any]]:
    """First and last model of the recipe's first chain of rounds, by metric, where both were evaluated."""
    told = [model for model in arms(sources.models)[0] if _estimate(model, "pass_at_1")["value"] is not None]
    if not told:
        return []
    return [
        {"name": name, "meaning": meaning, "first": first, "last": last, "from": told[0].name, "to": told[-1].name}
        for metric, name, meaning in _columns(sources)[:3]
        if (first := _estimate(told[0], metric)) and (last := _estimate(told[-1], metric))["value"] is not None
    ]


def _balance(model: Model) -> dict[str, Any] | None:
    """Label counts of one round at both levels, before and after selection."""
    labels = at(model.reports, "dataset", "labels")
    if not isinstance(labels, dict):
        return None
    weights = at(model.reports, "dataset", "weights")
    return {
        "name": model.name,
        "rows": count(model.reports, "dataset", "rows"),
        "cells": [
            {label: count(labels, when, level, label) for label, _ in LABELS}
            for level in ("outcome", "step")
            for when in ("before", "after")
        ],
        "weights": _weights(weights),
    }


def _weights(weights: Any, name: str = "") -> list[tuple[str, str]]:
    """Weights by name, those of a level under the level's name."""
    if isinstance(weights, dict):
        return [pair for key, value in weights.items() for pair in _weights(value, f"{name} {key}".strip())]
    value = number({"value": weights}, "value")
    return [] if value is None else [(bounded(name, 60).shown, f"{value:.2f}")]


def _costs(sources: Sources) -> dict[str, Any]:
    """Seconds by stage and model."""
    stages = ("seed_model", *ROUND_STAGES)
    cells = {stage: [number(model.reports, stage, "seconds") for model in sources.models] for stage in stages}
    shown = {stage: seconds for stage, seconds in cells.items() if any(value is not None for value in seconds)}
    columns = zip(*shown.values(), strict=True)
    sums = [sum(value or 0 for value in column) if any(v is not None for v in column) else None for column in columns]
    problems = number(sources.problems, "seconds")
    total = sum(value for value in [problems, *sums] if value is not None)
    return {"stages": shown, "sums": sums, "problems": problems, "total": total}


def _tokens(sources: Sources) -> list[dict[str, Any]]:
    """What each round drew, and how much of it a journal already held."""
    rows = []
    for model in sources.models:
        sample = model.reports.get("sample", {})
        evaluation = count(model.reports, "evaluate", "completion_tokens")
        if sample or evaluation is not None:
            row = {key: count(sample, key) for key in ("samples", "from_journal", "prompt_tokens", "completion_tokens")}
            # A finish reason that never occurred is not in the report.
            cut = count(sample, "finish", "length") or (0 if at(sample, "finish") else None)
            rows.append({"name": model.name, "evaluation": evaluation, "cut": cut, **row})
    return rows


def _hashes(sources: Sources) -> list[dict[str, Any]]:
    """What each model and its data are, by hash."""
    return [
        {
            "model": model,
            "policy": bounded(at(model.reports, "evaluate", "policy"), 64).shown,
            "manifest": bounded(at(model.reports, "dataset", "manifest"), 64).shown,
            "rows": count(model.reports, "dataset", "rows"),
            "problems": count(model.reports, "evaluate", "counts", "problems"),
        }
        for model in sources.models
    ]


def _recipe(sources: Sources) -> str:
    """The recipe as YAML without the machine's settings, which change no result."""
    settings = sources.recipe.model_dump(mode="json", exclude={"runtime"})
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=100)


def _environments(sources: Sources) -> list[tuple[list[str], dict[str, Any]]]:
    """Each environment found in the reports, with the stages that ran in it."""
    found: dict[str, tuple[list[str], dict[str, Any]]] = {}
    reports = [("problems", sources.problems)]
    reports += [
        (f"{stage} {model.name}", report) for model in sources.models for stage, report in model.reports.items()
    ]
    for name, report in reports:
        environment = report.get("environment")
        if isinstance(environment, dict):
            found.setdefault(content_hash(environment), ([], environment))[0].append(name)
    return list(found.values())
