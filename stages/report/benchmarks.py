"""The table of benchmarks in the paper's shape: models by benchmark, the paper's figures beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stages.report.measures import ProblemSet, estimate, problem_sets
from stages.report.paper import NOTE, paper_figure
from stages.report.sources import Model, Sources, at, majorities
from stages.report.text import bounded


@dataclass(frozen=True)
class Column:
    """One figure of one benchmark."""

    benchmark: str
    metric: str
    title: str


@dataclass(frozen=True)
class Row:
    """A model: per column what was measured, and what the paper says."""

    model: Model
    cells: list[tuple[dict[str, Any], float | None]]


@dataclass(frozen=True)
class BenchmarkTable:
    """The table, and what must be known to read it."""

    columns: list[Column]
    rows: list[Row]
    notes: list[str]


def benchmark_table(sources: Sources) -> BenchmarkTable | None:
    """Pass@1 and Maj@k of every benchmark, and stepwise errors where steps were judged; null without a benchmark."""
    sets = {it.name: it for it in problem_sets(sources.models) if it.name}
    columns = [column for it in sets.values() for column in _columns(it, majorities(sources.models)[0])]
    if not columns:
        return None
    by_name = {model.name: model for model in sources.models}
    paper = sources.recipe.report.paper
    rows = [
        Row(
            model,
            [
                (
                    estimate(sets[column.benchmark].metrics(model.name), column.metric),
                    paper_figure(paper, column.benchmark, _paper_s(column.metric), model, _chain(model, by_name)),
                )
                for column in columns
            ],
        )
        for model in sources.models
        if any(model.name in it.reports for it in sets.values())
    ]
    said_anything = any(said is not None for row in rows for _, said in row.cells)
    notes = [judge_note(sources.models), NOTE if said_anything else ""]
    return BenchmarkTable(columns, rows, [note for note in notes if note])


def judge_note(models: list[Model]) -> str:
    """Who judged the steps in the evaluations, and whether the same judge made the training labels."""
    judges = [judge for model in models if isinstance(judge := at(model.reports, "evaluate", "judge"), dict)]
    told = {(bounded(it.get("name"), 100).shown, bounded(it.get("of_training"), 100).shown) for it in judges}
    names = [
        f"{name}, which also makes the training labels" if name == training else f"{name}, not the training judge"
        for name, training in sorted(told)
        if name
    ]
    return f"Steps are judged by {'; '.join(names)}." if names else ""


def _columns(it: ProblemSet, k: int) -> list[Column]:
    """The paper's columns of one benchmark, those that were measured."""
    wanted = {"pass_at_1": "Pass@1", f"maj_at_{k}": f"Maj@{k}", "stepwise_error": "stepwise error",
              "stepwise_error_corrected": "stepwise error, corrected"}  # fmt: skip
    told = {
        measure.key
        for measure in it.measures
        if any(estimate(it.metrics(model), measure.key)["value"] is not None for model in it.reports)
    }
    return [Column(it.name, metric, f"{it.title} {title}") for metric, title in wanted.items() if metric in told]


def _paper_s(metric: str) -> str:
    """The paper's figure that a column is held against; its stepwise errors are not corrected."""
    return metric if metric != "stepwise_error_corrected" else ""


def _chain(model: Model, by_name: dict[str, Model]) -> list[Model]:
    """`model` and all that it was trained from, M0 first."""
    chain = [model]
    while chain[0].policy:
        chain.insert(0, by_name[chain[0].policy])
    return chain
