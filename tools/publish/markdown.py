"""Markdown in which text of models and data sets stays text: everything that a template prints is escaped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2

from stages.report.text import bounded

CELL = 200
"""Characters shown of a text within a line."""

BLOCK = 1500
"""Characters shown of a text in a block of its own."""

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#|~$:!&@])")


class Markdown(str):
    """Text that is Markdown already and printed as it is."""

    __slots__ = ()


def escape(value: Any) -> Markdown:
    """`value` on one line, at most `CELL` characters, with every character that means something in Markdown escaped."""
    if isinstance(value, Markdown):
        return value
    return Markdown(_MARKUP.sub(r"\\\1", _line(value)))


def _line(value: Any) -> str:
    """The first characters of `value` on one line."""
    text = bounded(value, CELL)
    return " ".join(text.shown.split()) + ("…" if text.left_out else "")


def code(value: Any) -> Markdown:
    """`value` as code within a line, also within a table's cell; a dash where there is nothing to show."""
    line = _line(value)
    if not line:
        return Markdown("–")
    if not set(line) & set("`|"):
        return Markdown(f"`{line}`")
    # No escape holds in a code span, and tables split cells before they look for one: entities hold everywhere.
    return Markdown("<code>" + _MARKUP.sub(lambda found: f"&#{ord(found[0])};", line) + "</code>")


def block(value: Any) -> Markdown:
    """`value` as a block, at most `BLOCK` characters, fenced by more backticks than it holds in a row."""
    text = bounded(value, BLOCK)
    shown = text.shown + (f"\n… ({text.left_out:,} more characters)" if text.left_out else "")
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return Markdown(f"{fence}text\n{shown}\n{fence}")


def percent(value: float | None) -> Markdown:
    return Markdown("–" if value is None else f"{100 * value:.1f}%")


def whole(value: float | None) -> Markdown:
    return Markdown("–" if value is None else f"{value:,.0f}")


def seconds(value: float | None) -> Markdown:
    return Markdown("–" if value is None else f"{value:,.1f}")


def verdict(value: bool | None) -> Markdown:
    return Markdown("unknown" if value is None else "right" if value else "**wrong**")


def own(value: str) -> Markdown:
    """Text of this project's own: Markdown already, made fit for a table's cell."""
    return Markdown(" ".join(value.split()).replace("|", "\\|"))


def made(value: str) -> Markdown:
    """What a macro of a template has printed, and escaped, already."""
    return Markdown(value)


def verbatim(value: str) -> Markdown:
    """Text that stands inside a code block: unescaped, but unable to end the block."""
    return Markdown(value.replace("`", "'"))


def render(template: str, **context: Any) -> str:
    """`template` of this folder with `context`; raises `jinja2.UndefinedError` where the two do not agree."""
    # What autoescaping does for HTML, `finalize` does for Markdown: nothing is printed unescaped.
    environment = jinja2.Environment(  # noqa: S701
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        finalize=escape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": code, "block": block, "percent": percent, "whole": whole, "seconds": seconds}
    environment.filters |= {"verdict": verdict, "own": own, "made": made, "verbatim": verbatim}
    return environment.get_template(template).render(context)
