"""Lines on a screen: a name at the left, what is said at the right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.common.text import indent_for_terminal
from tools.audit.lineage.file_origin import commit_line, environment_line, origin_of
from tools.dvc_files import find_cache
from tools.dvc_lock import Lock, LockEntry

LEFT = 10
"""Width of the first column."""

BRIEF, WHOLE_TEXT = 160, 1_000_000
"""Characters shown of one text: on one screen, and where all was asked for."""


def line(name: str, said: str) -> str:
    """What is `said` under `name`, which is empty where it goes on with the line before."""
    return f"{name:<{LEFT}}{said}".rstrip()


def text_lines(text: str, limit: int) -> Iterator[str]:
    """At most `limit` characters of a text of several lines, escaped."""
    yield from indent_for_terminal(text, limit, f"{'':{LEFT}}| ")


def file_lines(root: Path, lock: Lock, paths: list[Path]) -> Iterator[str]:
    """Where files come from: a line each, then settings, commit and machine of the stages that wrote them."""
    cache = find_cache(root)
    entries: dict[str, LockEntry] = {}
    for path in paths:
        if not (root / path).is_file():
            yield line("file", f"{path}  is missing")
            continue
        origin = origin_of(root, lock, cache, path)
        yield line("file", f"{path}  sha256 {origin.sha256}")
        known = [origin.manifest, origin.recorded, f"written by {origin.stage}" if origin.stage else None]
        yield line("", "; ".join(said for said in known if said))
        if origin.stage is not None:
            entries[origin.stage] = lock[origin.stage]
    yield from _machines(root, entries)
    yield line("commit", commit_line(root))


def _machines(root: Path, entries: dict[str, LockEntry]) -> Iterator[str]:
    """Stages that ran on the same share a line."""
    ran: dict[str, list[str]] = {}
    for entry in entries.values():
        if (machine := environment_line(root, entry)) is not None:
            ran.setdefault(machine, []).append(entry.name)
    for machine, stages in ran.items():
        yield line("ran on", f"{machine}: {', '.join(stages)}")
