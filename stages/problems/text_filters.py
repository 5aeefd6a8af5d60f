"""Texts that are not readable English mathematics: broken encodings, and scripts other than Latin."""

import re

MAX_FOREIGN_FRACTION = 0.02
"""Fraction of letters outside Latin, Greek and mathematics above which a text counts as another script."""

_BROKEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd\ue000-\uf8ff]"  # controls, replacement character, a font's private glyphs
    "|[\u00c2-\u00df][\u0080-\u00bf]"  # UTF-8 read as Latin-1: two bytes of one character,
    "|[\u00e0-\u00ef][\u0080-\u00bf]{2}"  # three bytes,
    "|\u00e2[\u20ac\u2030\u02c6\u201a\u201e\u2020\u2021\u2026\u2039\u0160\u0152\u017d]"  # and read as Windows-1252
)
_FOREIGN = re.compile(
    "[^\u0000-\u03ff\u1d00-\u1dbf\u1e00-\u1fff\u2070-\u209f\u2100-\u218f\uff21-\uff5a\U0001d400-\U0001d7ff]"
)
"""Outside Latin, Greek, and the letters of mathematics: sub- and superscript, letter-like, full-width, styled."""


def has_broken_encoding(text: str) -> bool:
    """Whether `text` was decoded wrongly: control characters, mojibake, a lost escape."""
    return _BROKEN.search(text) is not None


def is_foreign_script(text: str) -> bool:
    """Whether more than `MAX_FOREIGN_FRACTION` of the letters are neither Latin nor Greek nor mathematical."""
    num_foreign = sum(map(str.isalpha, _FOREIGN.findall(text)))
    return num_foreign > 0 and num_foreign > MAX_FOREIGN_FRACTION * sum(map(str.isalpha, text))
