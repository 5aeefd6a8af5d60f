"""Journals as other code would have written them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.common.journal import Journal, read_keys


def read_journal(path: Path) -> dict[str, Any]:
    """All items of a journal."""
    with Journal(path) as journal:
        return {key: journal.find(key, lambda _: True) for key in read_keys(path, lambda _: True)}


def rewrite_journal(path: Path, change: Callable[[Any], Any]) -> int:
    """Make every value of a journal what `change` makes of it; returns the number of items."""
    items = read_journal(path)
    path.unlink()
    with Journal(path) as journal:
        journal.put_each({key: change(value) for key, value in items.items()})
    return len(items)


def drop(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A change that leaves fields out."""
    return lambda value: {name: each for name, each in value.items() if name not in names}


OTHER_COMPLETIONS: dict[str, Callable[[Any], Any]] = {
    "no thinking": drop("reasoning"),
    "a field of later code": lambda value: {**value, "later": 1},
    "text alone": lambda value: value["text"],
}
"""Forms of a completion that the present code cannot use."""


def describe_left_aside(count: int) -> str:
    """What the log says of them."""
    return f": {count} entries of another form, stored by other code, left aside; they are made again"
