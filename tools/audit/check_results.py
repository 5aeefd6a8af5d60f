"""What an audit found: per check how many rows were looked at, how many are broken, and the first of those by name."""

from __future__ import annotations

from dataclasses import dataclass, field

from stages.common.text import shorten_for_terminal

SHOWN = 10
"""Broken rows named per check; the rest is counted."""

CHECKS = {
    "lock": "dvc.lock holds every stage, and what a stage read is what another wrote",
    "code": "code and given files are those that dvc.lock names",
    "files": "every output has the hash that dvc.lock names",
    "manifests": "policies and data sets hold the files that their manifests name, and come from each other",
    "tables": "every shard is there, in its schema, sorted, each key once and in its own shard",
    "problems": "ids follow from text and answer",
    "samples": "ids follow from problem, policy, settings, index and text; every sample has its problem",
    "steps": "spans lead from 0 to the end without gap, where the splitter divides; every step has its sample",
    "labels": "labels are the judge's; every label has its step and every step its label",
    "verdicts": "answers and verdicts are the grader's; every sample has one",
    "selection": "the data set holds the samples that the rule keeps, in the order of the seed, with its weights",
    "kto": "every training row is what problem, sample, spans, labels and verdict give",
}
"""All checks, in the order of the flow."""


@dataclass
class CheckResult:
    """One check's result; `what` is what was counted."""

    seen: int = 0
    broken: int = 0
    first: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    """What could not be recomputed, with counts."""


class CheckResults:
    """Results by check, of those in `checks`; what other checks find is passed over."""

    def __init__(self, checks: frozenset[str] = frozenset(CHECKS)) -> None:
        self.by_check = {check: CheckResult() for check in CHECKS if check in checks}

    def __contains__(self, check: str) -> bool:
        return check in self.by_check

    @property
    def broken(self) -> bool:
        return any(finding.broken for finding in self.by_check.values())

    def seen(self, check: str, rows: int) -> None:
        """Count rows looked at."""
        if check in self.by_check:
            self.by_check[check].seen += rows

    def fault(self, check: str, where: str, what: str) -> None:
        """One broken row (or file): `where` names it, `what` says what is and what should be."""
        if check not in self.by_check:
            return
        finding = self.by_check[check]
        finding.broken += 1
        if len(finding.first) < SHOWN:
            finding.first.append(shorten_for_terminal(f"{where}: {what}", 600))

    def more(self, check: str, broken: int) -> None:
        """Count `broken` further rows without naming them."""
        if check in self.by_check:
            self.by_check[check].broken += broken

    def note(self, check: str, what: str, rows: int) -> None:
        """Say that `rows` could not be recomputed."""
        if check in self.by_check and rows:
            notes = self.by_check[check].notes
            notes[what] = notes.get(what, 0) + rows

    def add(self, other: CheckResults) -> None:
        """Add what another part of the audit found."""
        for check, theirs in other.by_check.items():
            if check not in self.by_check:
                continue
            ours = self.by_check[check]
            ours.seen += theirs.seen
            ours.broken += theirs.broken
            ours.first += theirs.first[: SHOWN - len(ours.first)]
            for what, rows in theirs.notes.items():
                self.note(check, what, rows)

    def lines(self) -> list[str]:
        """A line per check, then the first broken rows of each that found any."""
        lines = []
        for check, finding in self.by_check.items():
            state = f"BROKEN  {finding.broken:,} of" if finding.broken else "ok     " if finding.seen else "       "
            lines.append(f"{check:<10} {state} {finding.seen:,} checked: {CHECKS[check]}")
            lines += [f"{'':<10} not recomputed: {rows:,} {what}" for what, rows in finding.notes.items()]
            lines += [f"{'':<10} {fault}" for fault in finding.first]
            if finding.broken > len(finding.first):
                lines.append(f"{'':<10} and {finding.broken - len(finding.first):,} more")
        return lines
