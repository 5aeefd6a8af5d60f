"""The page: one self-contained file, in which every text of a model is shown as text and never as markup."""

import base64
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml

from stages.common.progress import format_duration
from stages.common.runs import format_facts
from stages.common.tables import content_hash
from stages.common.text import bound_text, make_visible
from stages.report.benchmark_table import build_benchmark_table, describe_judges
from stages.report.comparisons import compare_policies
from stages.report.drops import collect_drops
from stages.report.evaluation_metrics import list_problem_sets, read_estimate, sort_metrics
from stages.report.label_quality import (
    DRIFTS,
    FRACTIONS,
    compute_steps_per_completion,
    list_drifts,
    list_warnings,
    read_counts,
    read_fraction,
)
from stages.report.labelled_completions import list_completions, split_formulas
from stages.report.llm_usage import list_usage
from stages.report.plots import Plot
from stages.report.rounds_table import list_headline_metrics
from stages.report.stage_reports import (
    PolicyReports,
    StageReports,
    get_count,
    get_dict,
    get_number,
    get_value,
    list_variants,
)

TEMPLATE = "page.html.jinja"

LABEL_SYMBOLS = (("correct", "✓"), ("incorrect", "✗"), ("unknown", "?"))

Picture = tuple[Plot, bytes, bytes]
"""A plot drawn as SVG in the light and in the dark theme."""


@cache
def _load_template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    formats = (format_percent, format_number, format_duration, format_cost, format_points, format_p_value)
    environment.filters |= {formatter.__name__.removeprefix("format_"): formatter for formatter in formats}
    environment.filters |= {"excerpt": bound_text, "facts": format_facts, "formulas": split_formulas}
    readers = (get_count, get_dict, get_number, get_value, read_counts, read_estimate, read_fraction)
    environment.globals |= {reader.__name__: reader for reader in (*readers, compute_steps_per_completion)}
    return environment.get_template(TEMPLATE)


def render_page(results: StageReports, pictures: list[Picture], records: Sequence[dict[str, Any]] = ()) -> str:
    """The page as HTML, with times and machines only where the `records` of a run are given.

    Raises `jinja2.UndefinedError` if template and context do not agree.
    """
    params = results.recipe.report
    policies = results.policies
    comparisons = compare_policies(policies)
    completions = [(policy, list_completions(policy, params.num_completions)) for policy in policies]
    html = _load_template().render(
        title=params.title,
        recipe_seed=results.recipe.seed,
        policies=policies,
        tiles=_list_tiles(policies),
        headline=sort_metrics([*list_headline_metrics(policies), "incorrect_answer_correct_steps"]),
        judge_note=describe_judges(policies),
        benchmarks=build_benchmark_table(results),
        human_labels=[it for it in policies if get_dict(it.reports, "evaluate", "judge", "human_labels")],
        comparisons=comparisons,
        compared=sort_metrics({key for comparison in comparisons for key in comparison.changes}),
        sets=list_problem_sets(policies),
        pictures=[(plot, _encode_svg(light), _encode_svg(dark)) for plot, light, dark in pictures],
        completions=[(policy, shown) for policy, shown in completions if shown],
        labels=LABEL_SYMBOLS,
        labelled=[policy for policy in policies if get_dict(policy.reports, "dataset", "labels")],
        list_weights=list_weights,
        checked=[policy for policy in policies if get_dict(policy.reports, "judge", "checks", "symptoms")],
        quality=[policy for policy in policies if get_dict(policy.reports, "dataset", "quality")],
        fractions=FRACTIONS,
        drift_names=DRIFTS,
        drifts=list_drifts(policies),
        warnings=list_warnings(policies),
        drops=collect_drops(results),
        records=records,
        usage=list_usage(policies),
        recipe=_format_recipe(results),
        environments=_list_environments(records),
    )
    return make_visible(html)


def format_percent(value: float | None) -> str:
    """A fraction in percent, a dash if it is not known."""
    return "–" if value is None else f"{100 * value:.1f}%"


def format_points(value: float | None) -> str:
    """A difference of fractions in percentage points, with its sign."""
    return "–" if value is None else f"{100 * value:+.1f}".replace("-", "−")


def format_p_value(p_value: float) -> str:
    """A p-value as papers write it."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def format_number(value: float | None, decimals: int = 0) -> str:
    """A number with a comma between thousands."""
    return "–" if value is None else f"{value:,.{decimals}f}"


def format_cost(value: float | None, currency: str) -> str:
    """An amount with its currency, a dash if prices are not known."""
    return "–" if value is None else f"{value:,.2f} {currency}".strip()


def _encode_svg(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")


def _list_tiles(policies: list[PolicyReports]) -> list[dict[str, Any]]:
    """The first three headline metrics of the first and the last evaluated policy of the recipe's first variant."""
    evaluated = [
        (policy, metrics)
        for policy in list_variants(policies)[0]
        if get_number(metrics := get_dict(policy.reports, "evaluate", "metrics"), "pass_at_1", "value") is not None
    ]
    if not evaluated:
        return []
    (first, before), (last, after) = evaluated[0], evaluated[-1]
    return [
        {"metric": metric, "first": first, "last": last, "before": read_estimate(before, metric.key)["value"],
         "after": value}
        for metric in sort_metrics(list_headline_metrics(policies)[:3])
        if (value := read_estimate(after, metric.key)["value"]) is not None
    ]  # fmt: skip


def list_weights(weights: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Weights by name; names of nested weights begin with those of the levels above."""
    if isinstance(weights, dict):
        return [pair for key, value in weights.items() for pair in list_weights(value, f"{prefix} {key}".strip())]
    value = get_number({"value": weights}, "value")
    return [] if value is None else [(bound_text(prefix, 60).shown, f"{value:.2f}")]


def _format_recipe(results: StageReports) -> str:
    """The recipe as YAML without `runtime`, which changes no result."""
    recipe = results.recipe.model_dump(mode="json", exclude={"runtime"})
    return yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, width=100)


def _list_environments(records: Sequence[dict[str, Any]]) -> list[tuple[list[str], dict[str, Any]]]:
    """Each environment in the records of a run, with the stages that ran in it."""
    environments: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for record in records:
        environment = record["environment"]
        environments.setdefault(content_hash(environment), ([], environment))[0].append(record["stage"])
    return list(environments.values())
