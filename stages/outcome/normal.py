r"""One way of writing an answer: what changes its looks and never its meaning is taken away."""

from __future__ import annotations

import re
from functools import lru_cache

_CHARACTERS = str.maketrans(
    {
        "−": "-", "–": "-", "×": r"\times ", "÷": r"\div ", "·": r"\cdot ", "⋅": r"\cdot ", "π": r"\pi ",
        "∞": r"\infty ", "≤": r"\leq ", "≥": r"\geq ", "≠": r"\neq ", "±": r"\pm ", "°": r"^\circ ", "∪": r"\cup ",
        "∩": r"\cap ", "∈": r"\in ", "²": "^{2}", "³": "^{3}", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}",
        "¾": r"\frac{3}{4}", "¢": r"\text{cents}", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\ufeff": "",
        "\u200b": "", "\u200e": "", "\u200f": "", "\x0c": r"\f",
    }
)  # fmt: skip
_MARKS = re.compile(r"\\\\|\\[()\[\]]|(?<!\\)\$")
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r",\\!\s*|\{,\}\s*", ","),  # thousands: 10,\!000 and 10{,}000
        (r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits)(?![a-zA-Z])", ""),
        (r"(?<!\\)\\[,;:!> ]|~|\\q?quad(?![a-zA-Z])", " "),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\(?:mbox|textbf|textit|textrm|textnormal|mathrm|mathbf|mathsf|operatorname)\s?\{", r"\\text{"),
        (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
        (r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{"),
        (r"(\\frac\{[^{}]*\})\s*(\d)", r"\1{\2}"),
        (r"\\sqrt\s*(\d)", r"\\sqrt{\1}"),
        (r"\\le(?![a-zA-Z])|\\leqslant|<=", r"\\leq "),
        (r"\\ge(?![a-zA-Z])|\\geqslant|>=", r"\\geq "),
        (r"\\ne(?![a-zA-Z])|!=", r"\\neq "),
        (r"\^\s*\{?\\(?:circ|degree)\s*\}?|\\degree", r"^\\circ"),
    )
)
_LIST = re.compile(r"[\d\s,.-]+")
_NEXT = re.compile(r",\s+")
_SPACE = re.compile(r"\s+")
_LOOSE_SPACE = re.compile(r" (?![A-Za-z0-9])|(?<![A-Za-z0-9]) ")
_WRAPPED = re.compile(r"\\text\{([^{}]*)\}")


@lru_cache(maxsize=4096)
def normalise(answer: str) -> str:
    r"""`answer` without formula marks, spacing commands, a closing full stop, and with one name for each command.

    ``$\dfrac12$``, ``\(\frac{1}{2}\)`` and ``½`` give the same; ``32,349`` and ``32, 349`` do not.
    """
    text = answer.translate(_CHARACTERS)
    text = _MARKS.sub(lambda mark: mark.group() if mark.group() == r"\\" else " ", text).strip()
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    if _LIST.fullmatch(text):
        text = _NEXT.sub(";", text)  # or 32, 349 would become thousands
    text = _LOOSE_SPACE.sub("", _SPACE.sub(" ", text)).strip()
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1]
    wrapped = _WRAPPED.fullmatch(text)
    return wrapped[1].strip() if wrapped else text
