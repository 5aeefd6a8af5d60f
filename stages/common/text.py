"""Text on its way to a table, a page or a terminal: numbers as text, broken characters, bounds."""

import unicodedata
from dataclasses import dataclass
from typing import Any

MAX_SHOWN_CHARS = 1200
"""Characters shown of one text unless a caller gives another limit."""

# Control characters become their pictures; halves of surrogate pairs, which UTF-8 cannot hold, a replacement mark.
_VISIBLE = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
_VISIBLE |= dict.fromkeys([0x7F, *range(0xD800, 0xE000)], "\N{REPLACEMENT CHARACTER}")

_HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories shown by their code: control and format characters (direction marks among them), and unassigned ones."""


@dataclass(frozen=True)
class BoundedText:
    """The first characters of a text, and how many were left out."""

    shown: str
    num_omitted: int


def bound_text(value: Any, limit: int = MAX_SHOWN_CHARS) -> BoundedText:
    """At most `limit` characters of `value`, made visible; empty for None."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    return BoundedText(make_visible(text[:limit]), max(0, len(text) - limit))


def make_visible(text: str) -> str:
    """`text` with every control character and lone surrogate replaced by a visible one; its length stays."""
    return text.translate(_VISIBLE)


def has_lone_surrogate(text: str) -> bool:
    """Whether `text` holds half of a surrogate pair, which no UTF-8 file can hold."""
    if text.isascii():
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def replace_lone_surrogates(text: str) -> str:
    """`text` with surrogate pairs joined and lone halves replaced by U+FFFD."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def format_answer(value: str | int | float) -> str:
    """A gold answer as text: 27.0, which data frames make of 27, is "27"."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def escape_for_terminal(text: str) -> str:
    r"""`text` on one line: a line feed as ``\n``, a backslash as itself, any other hidden character by its code."""
    return "".join(_escape_character(character) for character in text)


def shorten_for_terminal(text: str, limit: int) -> str:
    """`text` escaped, at most `limit` characters of it, with the number of those left out."""
    rest = len(text) - limit
    return escape_for_terminal(text[:limit]) + (f"… (+{rest:,} characters)" if rest > 0 else "")


def indent_for_terminal(text: str, limit: int, indent: str) -> list[str]:
    """`text` as indented lines, each escaped; at most `limit` characters in all."""
    lines = [f"{indent}{escape_for_terminal(line)}" for line in text[:limit].split("\n")]
    rest = len(text) - limit
    return [*lines, f"{indent}… (+{rest:,} characters)"] if rest > 0 else lines


def _escape_character(character: str) -> str:
    if character == "\n":
        return "\\n"
    if unicodedata.category(character) not in _HIDDEN_CATEGORIES:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
