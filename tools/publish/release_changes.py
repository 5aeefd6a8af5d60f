"""What changed since the last publication of a data set, and the version that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from tools.audit.lineage.label_diff import LabelChanges, compare_labels, compare_rows
from tools.publish.release_manifest import ReleaseManifest

FIRST_VERSION = "1.0.0"


@dataclass
class ReleaseChanges:
    """Changes since a publication, each on a line; none where it is the first one."""

    since: dict[str, str] | None = None
    """The publication before: its `version`, its `tag`, and the Git `commit` that it came from."""
    changed: list[str] = field(default_factory=list)
    """What is no longer as it was: labels, by the stage that caused it, rows lost, columns, another judge or policy."""
    gained: list[str] = field(default_factory=list)
    """Rows, columns and configurations that are new."""

    @property
    def version(self) -> str:
        """The version after `since`, as Croissant 1.1 defines it.

        Major where data that was there is changed or gone, minor where there is more of it, patch where it is the same.
        """
        if self.since is None:
            return FIRST_VERSION
        major, minor, patch = map(int, self.since["version"].split("."))
        if self.changed:
            return f"{major + 1}.0.0"
        return f"{major}.{minor + 1}.0" if self.gained else f"{major}.{minor}.{patch + 1}"


def find_changes(
    previous: ReleaseManifest | None, commit: str, configs: dict[str, Any], rounds: dict[str, Any], root: Path
) -> ReleaseChanges:
    """The changes of a publication of `commit` with these `configs` and `rounds` since the `previous` one.

    The same publication again has the changes that it had: those since the one before it.
    """
    facts = {} if previous is None else previous.facts
    if previous is None or "version" not in facts:
        return ReleaseChanges()
    if (facts["made_from"]["commit"], facts["rounds"], facts["configs"]) == (commit, rounds, configs):
        return ReleaseChanges(**facts["release_changes"])
    since = {"version": facts["version"], "tag": previous.hash, "commit": facts["made_from"]["commit"]}
    changes = ReleaseChanges(since)
    _compare_columns(changes, facts["configs"], configs)
    for name, old in facts["rounds"].items():
        for key in ("judge", "policy"):
            if name in rounds and old.get(key) != rounds[name].get(key):
                changes.changed.append(f"{name}: another {key}")
    _compare_tables(changes, root, since["commit"], [name for name in facts["rounds"] if name in rounds])
    return changes


def _compare_columns(changes: ReleaseChanges, old: dict[str, Any], new: dict[str, Any]) -> None:
    for name in sorted({*old, *new}):
        if name not in new or name not in old:
            (changes.gained if name in new else changes.changed).append(
                f"configuration {name} is {'new' if name in new else 'gone'}"
            )
            continue
        before, after = old[name]["columns"], new[name]["columns"]
        for column in sorted({*before, *after}):
            if column not in before:
                changes.gained.append(f"{name}: column {column} is new")
            elif before[column] != after.get(column):
                now = after.get(column, "gone")
                changes.changed.append(f"{name}: column {column} was {before[column]}, is {now}")
        if num_fewer := old[name]["rows"] - new[name]["rows"]:
            lines = changes.changed if num_fewer > 0 else changes.gained
            lines.append(f"{name}: {old[name]['rows']:,} rows then, {new[name]['rows']:,} now")


def _compare_tables(changes: ReleaseChanges, root: Path, revision: str, rounds: Sequence[str]) -> None:
    """Where the tables then cannot be read, nothing is known of their rows: they count as changed."""
    try:
        for name in rounds:
            gained, lost = compare_rows(root, revision, name)
            if lost:
                changes.changed.append(f"{name}: {lost:,} training rows lost")
            if gained:
                changes.gained.append(f"{name}: {gained:,} training rows gained")
        for level in compare_labels(root, revision, rounds):
            if level.error is not None:
                raise UserError(level.error)
            changes.changed += _format_labels(level)
    except UserError as error:
        changes.changed.append(f"rows and labels were not compared: {error}")


def _format_labels(changes: LabelChanges) -> list[str]:
    return [
        f"{changes.round}, {changes.level.name}, because of stage {stage}: {count:,} {before} -> {after}"
        for (stage, before, after), count in sorted(changes.counts.items())
    ]
