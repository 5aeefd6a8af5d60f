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
    """One figure of one benchmark; `title` is the benchmark's as it is written, `figure` the metric's."""

    benchmark: str
    metric: str
    title: str
    figure: str


@dataclass(frozen=True)
class Cell:
    """What was measured, the same corrected for the judge's errors (nulls where it was not), and the paper's figure."""

    measured: dict[str, Any]
    corrected: dict[str, Any]
    paper: float | None


@dataclass(frozen=True)
class Row:
    """A model's cells, one per column."""

    model: Model
    cells: list[Cell]


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

    def cell(model: Model, column: Column) -> Cell:
        metrics = sets[column.benchmark].metrics(model.name)
        said = paper_figure(paper, column.benchmark, column.metric, model, _chain(model, by_name))
        return Cell(estimate(metrics, column.metric), estimate(metrics, f"{column.metric}_corrected"), said)

    evaluated = [model for model in sources.models if any(model.name in it.reports for it in sets.values())]
    rows = [Row(model, [cell(model, column) for column in columns]) for model in evaluated]
    said_anything = any(it.paper is not None for row in rows for it in row.cells)
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
    wanted = {"pass_at_1": "Pass@1", f"maj_at_{k}": f"Maj@{k}", "stepwise_error": "stepwise error"}
    told = {
        measure.key
        for measure in it.measures
        if any(estimate(it.metrics(model), measure.key)["value"] is not None for model in it.reports)
    }
    return [Column(it.name, metric, it.title, figure) for metric, figure in wanted.items() if metric in told]


def _chain(model: Model, by_name: dict[str, Model]) -> list[Model]:
    """`model` and all that it was trained from, M0 first."""
    chain = [model]
    while chain[0].policy:
        chain.insert(0, by_name[chain[0].policy])
    return chain
