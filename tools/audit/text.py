"""Showing text that a model wrote on a terminal: bounded, and with nothing in it that a terminal would obey."""

from __future__ import annotations

import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories shown by their code: control and format characters (direction marks among them), and unassigned ones."""


def escape(text: str) -> str:
    r"""`text` on one line: a line feed as ``\n``, a backslash as itself, any other hidden character by its code."""
    return "".join(_shown(character) for character in text)


def one_line(text: str, limit: int) -> str:
    """`text` escaped, at most `limit` characters of it, with the number of those left out."""
    rest = len(text) - limit
    return escape(text[:limit]) + (f"… (+{rest:,} characters)" if rest > 0 else "")


def block(text: str, limit: int, indent: str) -> list[str]:
    """`text` as indented lines, each escaped; at most `limit` characters in all."""
    lines = [f"{indent}{escape(line)}" for line in text[:limit].split("\n")]
    rest = len(text) - limit
    return [*lines, f"{indent}… (+{rest:,} characters)"] if rest > 0 else lines


def _shown(character: str) -> str:
    if character == "\n":
        return "\\n"
    if unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
