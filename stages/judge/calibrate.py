"""How far a judge that needs no model can be believed: its first False against the first error that people found."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.console import progress
from stages.judge.rules import RULES, Rule

HALVES = ("all", "first", "second")
HEADING = f"{'':22}  rows  errors  right  late  false alarms  precision: all, labelled, at or after; recall"
LONGEST_SHOWN = 600
"""Characters of a step that ``--show`` prints."""


@dataclass(frozen=True)
class Solution:
    """A row of ProcessBench: `first_error` is the 0-based first wrong step, None where all are right."""

    key: str
    problem: str
    steps: list[str]
    first_error: int | None

    @property
    def half(self) -> str:
        """Half of the rows by the hash of their id: one to set rules by, one to test them on."""
        return HALVES[1 + int(hashlib.sha256(self.key.encode()).hexdigest()[:8], 16) % 2]


@dataclass(frozen=True)
class Finding:
    """Where a judge first said False, and why."""

    solution: Solution
    step: int
    reason: str

    @property
    def kind(self) -> str:
        """right, late (after the first error, where the data says nothing), or false alarm (on a right step)."""
        error = self.solution.first_error
        if error is None or self.step < error:
            return "false alarm"
        return "right" if self.step == error else "late"


@dataclass(frozen=True)
class Score:
    """Counts over solutions; shares are None where nothing was found."""

    rows: int
    errors: int
    right: int
    late: int
    false_alarms: int

    @property
    def said(self) -> int:
        return self.right + self.late + self.false_alarms

    @property
    def precision(self) -> float | None:
        """Share of all findings that are exactly the first error; late ones count against it."""
        return _share(self.right, self.said)

    @property
    def precision_where_labelled(self) -> float | None:
        """The same over the steps that people labelled: those up to the first error."""
        return _share(self.right, self.right + self.false_alarms)

    @property
    def precision_at_or_after(self) -> float | None:
        """Share of findings at the first error or after it."""
        return _share(self.right + self.late, self.said)

    @property
    def recall(self) -> float | None:
        """Share of solutions with an error whose first error is found."""
        return _share(self.right, self.errors)


def read_solutions(path: Path) -> Iterator[Solution]:
    """Rows of a ProcessBench file: id, problem, steps, label (-1 for none); `ValueError` names the first bad row."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
                label, steps = row["label"], row["steps"]
                whole = isinstance(label, int) and isinstance(row["problem"], str) and isinstance(row["id"], str)
                if not whole or not isinstance(steps, list) or not all(isinstance(step, str) for step in steps):
                    raise TypeError("a value of another type")
                if not -1 <= label < len(steps):
                    raise ValueError(f"label {label} of {len(steps)} steps")
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise ValueError(f"{path}: row {number}: expected id, problem, steps and label: {error!r}") from error
            yield Solution(row["id"], row["problem"], steps, None if label == -1 else label)


def find(rule: Rule, solution: Solution) -> Finding | None:
    """The first False of `rule` on `solution`."""
    verdicts = rule(solution.problem, solution.steps)
    return next(
        (Finding(solution, step, reason) for step, (label, reason) in enumerate(verdicts) if label is False), None
    )


def score(solutions: Iterable[Solution], findings: Iterable[Finding]) -> Score:
    """Counts of `findings` over the `solutions` that they were looked for in."""
    first_errors = [solution.first_error for solution in solutions]
    kinds = [finding.kind for finding in findings]
    errors = sum(error is not None for error in first_errors)
    return Score(len(first_errors), errors, *(kinds.count(kind) for kind in ("right", "late", "false alarm")))


def calibrate(arguments: list[str]) -> None:
    """The command: one line per file and half, and the false alarms where they are asked for."""
    parser = argparse.ArgumentParser(prog="python -m stages.judge calibrate", description=__doc__)
    parser.add_argument("--judge", choices=sorted(set(RULES) - {"none"}), required=True)
    parser.add_argument("--half", choices=HALVES[1:], help="only this half of the rows, by the hash of their id")
    parser.add_argument("--show", action="append", default=[], choices=("right", "late", "false alarm"))
    parser.add_argument("files", type=Path, nargs="+", help="JSON lines in the shape of ProcessBench")
    options = parser.parse_args(arguments)
    pairs: list[tuple[str, Solution]] = []
    for path in options.files:
        pairs += [(path.name, solution) for solution in read_solutions(path)]
    chosen = [(name, solution) for name, solution in pairs if options.half in (None, solution.half)]
    found = {}
    for name, solution in progress(chosen, "calibrate", unit="solutions"):
        found[name, solution.key] = find(RULES[options.judge], solution)
    print(HEADING)
    for name in [*dict.fromkeys(name for name, _ in chosen), "all"]:
        for half in HALVES:
            part = [(n, s) for n, s in chosen if name in (n, "all") and half in (s.half, "all")]
            findings = [finding for n, s in part if (finding := found[n, s.key]) is not None]
            print(_line(f"{name} {half}", score([s for _, s in part], findings)))
    for finding in found.values():
        if finding is not None and finding.kind in options.show:
            print(_shown(finding))


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


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
