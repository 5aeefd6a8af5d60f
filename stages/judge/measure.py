"""A judge against people: ProcessBench's own numbers, and what it says of single steps."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from stages.judge.people import Solution

Labels = Sequence[bool | None]
"""A judge's labels of one solution's steps."""

LENGTHS = ((1, 4), (5, 8), (9, 12), (13, None))
"""Ranges of the number of steps by which results are told apart."""

_NAMES = {True: "right", False: "wrong", None: "unknown"}


def labels_by_sample(judged: pl.DataFrame) -> dict[str, Labels]:
    """Labels of each sample's steps, in order, from LABEL rows."""
    grouped = judged.sort("sample_id", "step").group_by("sample_id").agg("label")
    return dict(grouped.select("sample_id", "label").iter_rows())


def agrees(solution: Solution, labels: Labels) -> bool:
    """Whether the judge finds the first error that people found, or none where they found none.

    A solution in which it calls no step wrong counts as found free of errors only where every step is called right.
    """
    first_false = next((step for step, label in enumerate(labels) if label is False), None)
    if first_false is None and not all(labels):
        return False
    return first_false == solution.first_error


def measure(solutions: Sequence[Solution], judged: Mapping[str, Labels]) -> dict[str, Any]:
    """Numbers of `solutions` together, by who wrote them, and by their number of steps; shares are 0 to 1.

    Shares of nothing are null. `judged` holds labels by the solutions' sample_id.
    """
    return {
        **_numbers(solutions, judged),
        "by_generator": _parts(solutions, judged, lambda each: each.generator or "not told"),
        "by_steps": _parts(solutions, judged, _length),
    }


def _numbers(solutions: Sequence[Solution], judged: Mapping[str, Labels]) -> dict[str, Any]:
    found: dict[bool, list[bool]] = {True: [], False: []}
    quiet: dict[bool, list[bool]] = {True: [], False: []}
    counts: Counter[tuple[str, str]] = Counter()
    unknown = steps = 0
    for solution in solutions:
        labels = judged.get(solution.sample_id, ())
        erroneous = solution.first_error is not None
        found[erroneous].append(agrees(solution, labels))
        quiet[erroneous].append(False not in labels)
        steps += len(labels)
        unknown += sum(label is None for label in labels)
        for step, label in enumerate(labels[: _labelled(solution)]):
            counts[_NAMES[step != solution.first_error], _NAMES[label]] += 1
    on_erroneous, on_correct = (_share(sum(found[truth]), len(found[truth])) for truth in (True, False))
    told = {truth: {said: counts[truth, said] for said in _NAMES.values()} for truth in ("right", "wrong")}
    called_wrong = told["right"]["wrong"] + told["wrong"]["wrong"]
    return {
        "solutions": len(solutions),
        "accuracy_on_erroneous": on_erroneous,
        "accuracy_on_correct": on_correct,
        "f1": _harmonic(on_erroneous, on_correct),
        # Of whole solutions, wherever the wrong step is: what `evaluate` corrects its share of stepwise errors by.
        "sensitivity": _rate(quiet[True].count(False), len(quiet[True])),
        "specificity": _rate(quiet[False].count(True), len(quiet[False])),
        "steps": {
            "said_of": told,
            "precision_of_wrong": _share(told["wrong"]["wrong"], called_wrong),
            "recall_of_wrong": _share(told["wrong"]["wrong"], sum(told["wrong"].values())),
            "unknown": _share(unknown, steps),
        },
    }


def _labelled(solution: Solution) -> int:
    """Number of steps of which people say something: up to the first error, or all."""
    return len(solution.steps) if solution.first_error is None else solution.first_error + 1


def _parts(
    solutions: Sequence[Solution], judged: Mapping[str, Labels], name: Callable[[Solution], str]
) -> dict[str, Any]:
    parts: defaultdict[str, list[Solution]] = defaultdict(list)
    for solution in solutions:
        parts[name(solution)].append(solution)
    return {key: _numbers(parts[key], judged) for key in sorted(parts)}


def _length(solution: Solution) -> str:
    for least, most in LENGTHS:
        if most is None or len(solution.steps) <= most:
            return f"{least:02}-{most:02}" if most else f"{least} or more"
    raise AssertionError("the last range has no end")


def _rate(part: int, whole: int) -> dict[str, float | int | None]:
    return {"value": _share(part, whole), "denominator": whole}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _harmonic(first: float | None, second: float | None) -> float | None:
    """Null where one of the two is; 0 where both are 0."""
    if first is None or second is None:
        return None
    return round(2 * first * second / (first + second), 6) if first + second else 0.0
