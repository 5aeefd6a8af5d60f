"""Markdown in which text of models and data sets stays text: everything that a template prints is escaped."""

import re
from pathlib import Path
from typing import Any

import jinja2

from stages.common.text import bound_text

MAX_INLINE_CHARS = 200
"""Characters shown of a text within a line."""

MAX_BLOCK_CHARS = 1500
"""Characters shown of a text in its own block."""

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#|~$:!&@])")


class Markdown(str):
    """Text that is Markdown already and printed as it is."""

    __slots__ = ()


def escape_markdown(value: Any) -> Markdown:
    """`value` on one line, at most `MAX_INLINE_CHARS` characters, with every character of Markdown's syntax escaped."""
    return value if isinstance(value, Markdown) else Markdown(_MARKUP.sub(r"\\\1", _format_line(value)))


def _format_line(value: Any) -> str:
    text = bound_text(value, MAX_INLINE_CHARS)
    return " ".join(text.shown.split()) + ("…" if text.num_omitted else "")


def format_code(value: Any) -> Markdown:
    """`value` as code within a line or a table's cell; a dash where it is empty."""
    line = _format_line(value)
    if not line:
        return Markdown("–")
    if not set(line) & set("`|"):
        return Markdown(f"`{line}`")
    # Code spans know no escapes, and tables are split into cells before escapes are read: entities work in both.
    return Markdown("<code>" + _MARKUP.sub(lambda match: f"&#{ord(match[0])};", line) + "</code>")


def format_block(value: Any) -> Markdown:
    """`value` as a block, at most `MAX_BLOCK_CHARS` characters, fenced by more backticks than it has in a row."""
    text = bound_text(value, MAX_BLOCK_CHARS)
    shown = text.shown + (f"\n… ({text.num_omitted:,} more characters)" if text.num_omitted else "")
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return Markdown(f"{fence}text\n{shown}\n{fence}")


def _format_number(template: str) -> Any:
    return lambda value: Markdown("–" if value is None else template.format(value))


def _format_verdict(value: bool | None) -> Markdown:
    return Markdown("unknown" if value is None else "correct" if value else "**incorrect**")


def _format_prose(value: str) -> Markdown:
    """This project's own text, which is Markdown, as a table's cell."""
    return Markdown(" ".join(value.split()).replace("|", "\\|"))


def _format_verbatim(value: str) -> Markdown:
    """Text inside a code block: not escaped, but unable to end the block."""
    return Markdown(value.replace("`", "'"))


_FILTERS = {
    "code": format_code,
    "block": format_block,
    "percent": _format_number("{:.1%}"),
    "whole": _format_number("{:,.0f}"),
    "verdict": _format_verdict,
    "prose": _format_prose,
    "markdown": Markdown,
    "verbatim": _format_verbatim,
}


def render_card(template: str, **context: Any) -> str:
    """`template` of this folder with `context`; raises `jinja2.UndefinedError` where the two do not agree."""
    # What autoescaping does for HTML, `finalize` does for Markdown: nothing is printed unescaped.
    environment = jinja2.Environment(  # noqa: S701
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        finalize=escape_markdown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= _FILTERS
    return environment.get_template(template).render(context)
