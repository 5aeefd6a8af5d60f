"""A verdict, and the version of what gave it."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

_APART = frozenset({"__init__", "__main__", "bench", "samples", "stage"})
"""Modules of this folder that decide no verdict."""


class Verdict(NamedTuple):
    """`value` True equal, False not, None cannot tell; `gold` and `answer` as understood.

    `seconds` are those that it took, of processor time where a grading process did the work.
    """

    value: bool | None
    reason: str
    gold: str
    answer: str | None
    found_by: str | None
    seconds: float
    grader: str


@cache
def grader_version() -> str:
    """Versions of the packages that decide, and a hash of the rules: of the code that holds them."""
    from stages.common.tables import content_hash

    modules = sorted(path for path in Path(__file__).parent.glob("*.py") if path.stem not in _APART)
    sources = [path.read_text(encoding="utf-8") for path in modules]
    packages = ("math-verify", "latex2sympy2_extended", "sympy")
    return " ".join(
        [*(f"{name} {metadata.version(name)}" for name in packages), f"rules {content_hash(sources, digits=8)}"]
    )
