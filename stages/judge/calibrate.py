"""``python -m stages.judge calibrate``: judges measured on solutions whose first errors people have found."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.common.console import progress
from stages.common.params.block import load, load_seed
from stages.common.params.judge import JudgeParams
from stages.common.plugins import load_plugins
from stages.judge.compare import rates_for_evaluation, side_by_side
from stages.judge.findings import Finding, Score, find, score
from stages.judge.gate import calibration
from stages.judge.people import HALVES, Solution, read_solutions
from stages.judge.rules import RULES

HEADING = f"{'':22}  rows  errors  right  late  false alarms  precision: all, labelled, at or after; recall"
LONGEST_SHOWN = 600
"""Characters of a step that ``--show`` prints."""

Named = tuple[str, Solution]
"""A solution and the file that it stands in."""


def calibrate(arguments: list[str]) -> None:
    """The command: what each rule finds, by file and half of the rows, then all judges side by side."""
    parser = argparse.ArgumentParser(prog="python -m stages.judge calibrate", description=__doc__)
    rules = sorted(set(RULES) - {"none"})
    parser.add_argument("--judge", action="append", default=[], choices=rules, help="a judge that asks nobody")
    parser.add_argument("--recipe", action="append", default=[], type=Path, help="the judge of this recipe")
    parser.add_argument("--half", choices=HALVES[1:], help="only this half of the rows, by the hash of their id")
    parser.add_argument("--show", action="append", default=[], choices=("right", "late", "false alarm"))
    parser.add_argument("files", type=Path, nargs="+", help="JSON lines in the shape of ProcessBench")
    options = parser.parse_args(arguments)
    if not options.judge and not options.recipe:
        parser.error("name a --judge or a --recipe")
    pairs = [(path.name, solution) for path in options.files for solution in read_solutions(path)]
    chosen = [(name, solution) for name, solution in pairs if options.half in (None, solution.half)]
    measured: dict[str, dict[str, Any]] = {}
    for kind in options.judge:
        _print_findings(kind, chosen, options.show)
        measured[kind] = _measured(_rule(kind), 0, chosen)
    for recipe in options.recipe:
        load_plugins(recipe)
        measured[str(recipe)] = _measured(load(JudgeParams, recipe, "judge"), load_seed(recipe), chosen)
    print(*(rates_for_evaluation(name, numbers) for name, numbers in measured.items()), "", sep="\n")
    print(*side_by_side(measured), sep="\n")


def _rule(kind: str) -> JudgeParams:
    no_models = {"served": None, "second": None, "prm": None}
    return JudgeParams.model_validate(
        {"kind": kind, **no_models, "votes": 1, "min_agreement": 1.0, "require": None, "flip": 0.0}
    )


def _measured(params: JudgeParams, seed: int, chosen: Sequence[Named]) -> dict[str, Any]:
    return calibration(params, seed, [solution for _, solution in chosen], "calibrate")


def _print_findings(kind: str, chosen: Sequence[Named], show: Sequence[str]) -> None:
    found = {}
    for name, solution in progress(chosen, f"calibrate {kind}", unit="solutions"):
        found[name, solution.key] = find(RULES[kind], solution)
    print(HEADING)
    for name in [*dict.fromkeys(name for name, _ in chosen), "all"]:
        for half in HALVES:
            part = [(n, s) for n, s in chosen if name in (n, "all") and half in (s.half, "all")]
            findings = [finding for n, s in part if (finding := found[n, s.key]) is not None]
            print(_line(f"{name} {half}", score([s for _, s in part], findings)))
    for finding in found.values():
        if finding is not None and finding.kind in show:
            print(_shown(finding))
    print()


def _line(title: str, result: Score) -> str:
    shares = (result.precision, result.precision_where_labelled, result.precision_at_or_after, result.recall)
    written = "".join(f"{'-' if share is None else f'{share:.3f}':>7}" for share in shares)
    counts = f"{result.rows:6}{result.errors:8}{result.right:7}{result.late:6}{result.false_alarms:14}"
    return f"{title:22}{counts}  {written}"


def _shown(finding: Finding) -> str:
    solution = finding.solution
    step = " ".join(solution.steps[finding.step].split())[:LONGEST_SHOWN]
    error = "none" if solution.first_error is None else solution.first_error
    return f"\n{finding.kind}: {solution.key} step {finding.step}, first error {error}: {finding.reason}\n  {step}"
