"""Results of an audit: per check how many rows were checked, how many are broken, and the first of those by name."""

from dataclasses import dataclass, field
from typing import Self

from stages.common.text import shorten_for_terminal

MAX_NAMED = 10
"""Broken rows named per check; the rest is counted."""

MAX_LINE_CHARS = 600

CHECKS = {
    "lock": "dvc.lock has every stage, and what a stage read is what another wrote",
    "code": "code and given files are those that dvc.lock names",
    "files": "every output has the hash that dvc.lock names",
    "manifests": "policies and datasets hold the files that their manifests name, and come from each other",
    "tables": "every shard is there, in its schema, sorted, each key once and in its own shard",
    "problems": "ids follow from text and answer",
    "samples": "ids follow from problem, policy, params, index and completion; every sample has its problem",
    "verdicts": "answers and verdicts are the verifier's; every sample has one",
    "steps": "spans lead from 0 to the end without gap, where the splitter divides; all that is judged has steps",
    "labels": "labels are the judge's; every label has its step and every step its label",
    "selection": "the selection is the rule's; the dataset holds it in the order of the seed, with its weights",
    "kto": "every training row is what problem, completion, spans, labels and verdict give",
    "reports": "reports of stages count what their tables hold",
}
"""All checks, in the order of the data flow."""


@dataclass
class CheckResult:
    """One check's result."""

    num_checked: int = 0
    """Rows or files."""
    num_broken: int = 0
    errors: list[str] = field(default_factory=list)
    """The first broken rows, at most `MAX_NAMED`."""
    not_recomputed: dict[str, int] = field(default_factory=dict)
    """Rows that could not be recomputed, by what they are."""


class CheckResults:
    """Results of those in `checks`; whatever belongs to another check is ignored."""

    def __init__(self, checks: frozenset[str] = frozenset(CHECKS)) -> None:
        self.by_check = {check: CheckResult() for check in CHECKS if check in checks}
        self.notes: list[str] = []
        """What was not checked because it has not run, or not since something changed."""

    def __contains__(self, check: str) -> bool:
        return check in self.by_check

    @property
    def checks(self) -> frozenset[str]:
        """Names of the checks."""
        return frozenset(self.by_check)

    @property
    def is_broken(self) -> bool:
        """Whether any check found a broken row, or a stage that is out of date."""
        return any(result.num_broken for result in self.by_check.values())

    def count(self, check: str, rows: int) -> None:
        """Count checked rows."""
        if check in self.by_check:
            self.by_check[check].num_checked += rows

    def add_error(self, check: str, where: str, what: str) -> None:
        """Add one broken row or file: `where` names it, `what` says what is there and what was expected."""
        if check not in self.by_check:
            return
        result = self.by_check[check]
        result.num_broken += 1
        if len(result.errors) < MAX_NAMED:
            result.errors.append(shorten_for_terminal(f"{where}: {what}", MAX_LINE_CHARS))

    def count_errors(self, check: str, rows: int) -> None:
        """Count broken rows without naming them."""
        if check in self.by_check:
            self.by_check[check].num_broken += rows

    def note_not_recomputed(self, check: str, what: str, rows: int) -> None:
        """Note that `rows` could not be recomputed."""
        if check in self.by_check and rows:
            notes = self.by_check[check].not_recomputed
            notes[what] = notes.get(what, 0) + rows

    def merge(self, other: Self) -> None:
        """Add the results of another part of the audit."""
        for check, theirs in other.by_check.items():
            if check not in self.by_check:
                continue
            ours = self.by_check[check]
            ours.num_checked += theirs.num_checked
            ours.num_broken += theirs.num_broken
            ours.errors += theirs.errors[: MAX_NAMED - len(ours.errors)]
            for what, rows in theirs.not_recomputed.items():
                self.note_not_recomputed(check, what, rows)

    def format_lines(self) -> list[str]:
        """The notes; a line per check, then its first broken rows."""
        lines = list(self.notes)
        for check, result in self.by_check.items():
            state = "ok     " if result.num_checked else "       "
            if result.num_broken:
                # What dvc.lock disagrees with is a later recipe, code or run: nothing that was made is wrong.
                state = f"{'OUTDATED' if check == 'lock' else 'BROKEN '} {result.num_broken:,} of"
            lines.append(f"{check:<10} {state} {result.num_checked:,} checked: {CHECKS[check]}")
            lines += [f"{'':<10} not recomputed: {rows:,} {what}" for what, rows in result.not_recomputed.items()]
            lines += [f"{'':<10} {error}" for error in result.errors]
            if result.num_broken > len(result.errors):
                lines.append(f"{'':<10} and {result.num_broken - len(result.errors):,} more")
        return lines
