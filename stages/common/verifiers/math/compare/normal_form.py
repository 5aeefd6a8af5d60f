r"""The normal form of an answer: without anything that changes its looks and never its meaning."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_DELIMITERS = re.compile(r"\\\\|\\[()\[\]]|(?<!\\)\$")
"""Delimiters of formulas; the row end of a matrix is kept."""

_MONEY = re.compile(r"\s*[-+]?\$(?=\d[\d,.]*\s*\Z)")
"""A dollar sign that is money: no other follows the number."""

_TWICE_ESCAPED = re.compile(
    r"\\\\(?=(?:text|d?frac|sqrt|leq?|geq?|neq?|cup|cap|in|infty|pi|cdot|times|left|right|pm|boxed|circ)(?![a-z]))"
)
_ONE = r"(?:\\[a-zA-Z]+|[0-9A-Za-z])"
"""What TeX reads as an argument without braces."""

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r",\\!\s*|\{,\}\s*", ","),  # thousands: 10,\!000 and 10{,}000
        (r"\\!", ""),
        (r"\\(?:left|right)\s*\.", ""),
        (r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits|boldsymbol)(?![a-zA-Z])", ""),
        (r"\\(?:color|textcolor|phantom|hspace)\s?\{[^{}]*\}", ""),
        (r"(?<=\d)(?:\\,|\\ )(?=\d{3}(?!\d))", ","),
        (r"(?<!\\)\\[,;:> ]|~|\\q?quad(?![a-zA-Z])", " "),
        (r"\\(?:mbox|textbf|textit|textrm|textsf|textnormal|mathrm|mathbf|mathsf|operatorname)\s?\{", r"\\text{"),
        (r"\\(?:text|underline) ?\{([ie]|-?\d+(?:\.\d+)?)\}", r"\1"),
        (r"\}\s*/\s*\\text\{", "/"),
        (r"\\[dtc]?frac(?![a-zA-Z])", r"\\frac"),
        (r"\\[dt]binom(?![a-zA-Z])", r"\\binom"),
        (rf"\\frac\s*({_ONE})\s*({_ONE})", r"\\frac{\1}{\2}"),
        (rf"\\frac\s*({_ONE})\s*\{{", r"\\frac{\1}{"),
        (rf"(\\frac\{{[^{{}}]*\}})\s*({_ONE})", r"\1{\2}"),
        (r"\\frac\s*\{([^{}]*)\}\s*\{", r"\\frac{\1}{"),
        (r"\\sqrt\s*(\d)", r"\\sqrt{\1}"),
        (r"\\le(?![a-zA-Z])|\\leqslant|<=|=<", r"\\leq "),
        (r"\\ge(?![a-zA-Z])|\\geqslant|>=", r"\\geq "),
        (r"\\ne(?![a-zA-Z])|!=(?!=)", r"\\neq "),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"\\l?dots(?![a-zA-Z])|\\cdots", "..."),
        (r"\\(?:lbrace)(?![a-zA-Z])", r"\\{"),
        (r"\\(?:rbrace)(?![a-zA-Z])", r"\\}"),
        (r"\\langle(?![a-zA-Z])", "("),
        (r"\\rangle(?![a-zA-Z])", ")"),
        (r"\\varnothing(?![a-zA-Z])", r"\\emptyset "),
        (r"\\(?:land|wedge)(?![a-zA-Z])", r"\\text{ and }"),
        (r"\\(?:lor|vee)(?![a-zA-Z])", r"\\text{ or }"),
        (r"(?<=[\d.])\\bar\s?\{", r"\\overline{"),
        (r"\\frac\s*\{\s*\\text\{([^{}]*)\}\s*\}\s*\{\s*\\text\{([^{}]*)\}(\^\{?\d\}?)?\s*\}", r"\\text{\1/\2}"),
        (r"\\dot\{(\d)\}(\d{0,20})\\dot\{(\d)\}", r"\\overline{\1\2\3}"),
        (r"(?<=[\d.])\\dot\{(\d)\}", r"\\overline{\1}"),
        (r"\\colon(?![a-zA-Z])|\{:\}", ":"),
        (r"\\overline\s?\{([A-Z]{2,4})\}", r"\1"),  # a line through points, named by them
        (r"(?:\\\\)+\s*\Z|(?<!\\)\\\s*\Z", ""),
        (r"\^\s*\{?\\(?:circ|degree)\s*\}?|\\degree", r"^\\circ"),
        (r"\A\s*(?:=|\\approx|\\therefore|\\Rightarrow|\\implies|:)+", ""),
        (r"\\?[\"`]|''|\A\s*'([^']*)'\s*\Z", r"\1"),
    )
)
_LIST = re.compile(r"[\d\s,.-]+")
_NEXT = re.compile(r",\s+")
_SPACE = re.compile(r"\s+")
_LOOSE_SPACE = re.compile(r" (?![A-Za-z0-9])|(?<![A-Za-z0-9]) ")
_SYSTEM = re.compile(r"(\\begin\{cases\})(?:(?!\\begin|\\end).)*(\\end\{cases\})", re.DOTALL)
_WRAPPED = re.compile(r"\\text\{([^{}]*)\}")
_BETWEEN_DIGITS = re.compile(r"(?<!\d) | (?!\d)")
"""A space that is not between two digits."""

_LONE = re.compile(r"([\^_]|\\pmod ?)\{(\w)\}")


@lru_cache(maxsize=4096)
def normalise_answer(answer: str) -> str:
    r"""Return `answer` without formula delimiters, spacing commands and full stop, with one name for each command.

    ``$\dfrac12$``, ``\(\frac{1}{2}\)`` and ``½`` give the same; ``32,349`` and ``32, 349`` do not.
    """
    text = replace_unicode(answer)
    if r"\\" in text and r"\begin" not in text:
        text = _TWICE_ESCAPED.sub(lambda _: "\\", text)
    if (money := _MONEY.match(text)) is not None:
        text = rf"{money.group()[:-1]}\${text[money.end() :]}"
    text = _DELIMITERS.sub(lambda mark: mark.group() if mark.group() == r"\\" else " ", text).strip()
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    if _LIST.fullmatch(text):
        text = _NEXT.sub(";", text)  # 32, 349 must not become thousands
    text = _LOOSE_SPACE.sub("", _SPACE.sub(" ", text)).strip()
    if (system := _SYSTEM.fullmatch(text)) is not None:
        text = text[len(system[1]) : -len(system[2])].replace(r"\\", ",").replace("&", "")
    text = text.rstrip(",;")
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1]
    wrapped = _WRAPPED.fullmatch(text)
    return wrapped[1].strip() if wrapped else text


def remove_invisible(text: str) -> str:
    """Return the normalised `text` without the spaces and braces that TeX does not show."""
    return _BETWEEN_DIGITS.sub("", _LONE.sub(r"\1\2", text))


_COMMANDS = {
    r"\times ": "×", r"\div ": "÷", r"\cdot ": "·⋅", r"\pi ": "π", r"\infty ": "∞", r"\leq ": "≤⩽", r"\geq ": "≥⩾",
    r"\neq ": "≠", r"\pm ": "±", r"\mp ": "∓", r"^\circ ": "°º", r"\cup ": "∪", r"\cap ": "∩", r"\in ": "∈",
    r"\setminus ": "∖", r"\emptyset ": "∅", r"\mathbb{R}": "ℝ", r"\mathbb{Z}": "ℤ", r"\mathbb{N}": "ℕ", r"\ldots ": "…",
    r"\approx ": "≈", r"\equiv ": "≡", r"\angle ": "∠", r"\langle ": "⟨", r"\rangle ": "⟩", r"\alpha ": "α",
    r"\beta ": "β", r"\gamma ": "γ", r"\delta ": "δ", r"\epsilon ": "ε", r"\theta ": "θ", r"\lambda ": "λ",
    r"\mu ": "μµ", r"\rho ": "ρ", r"\sigma ": "σ", r"\tau ": "τ", r"\phi ": "φ", r"\omega ": "ω", r"\Delta ": "Δ",
    r"\Omega ": "Ω", r"\text{cents}": "¢",
    "-": "−–", "/": "⁄∕", ":": "∶：", "'": "′’", '"': "“”", ",": "、", ".": "。", " ": "\u00a0\u2009\u202f\u3000",
    "": "\ufeff\u200b\u200e\u200f\u202a\u202c\u2061\u2062", r"\f": "\x0c",
}  # fmt: skip
_VULGAR = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒"
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_LOWERED = "₀₁₂₃₄₅₆₇₈₉"
_ROOTS = re.compile(
    r"(?P<root>[√∛]) ?(?:\((?P<bracket>[^()]*)\)|\{(?P<brace>[^{}]*)\}|(?P<bare>[0-9]+(?:\.[0-9]+)?|[a-zA-Z]))"
)
_SCRIPTS = re.compile(rf"(?P<raised>⁻?[{_RAISED}]+)|(?P<lowered>[{_LOWERED}]+)")
_PLAIN_SCRIPTS = str.maketrans(_RAISED + _LOWERED + "⁻", "0123456789" * 2 + "-")


def _write_vulgar(character: str) -> str:
    top, bottom = unicodedata.normalize("NFKC", character).split("\N{FRACTION SLASH}")
    return rf"\frac{{{top}}}{{{bottom}}}"


_TABLE = str.maketrans(
    {character: command for command, characters in _COMMANDS.items() for character in characters}
    | {character: _write_vulgar(character) for character in _VULGAR}
    # The wide forms of East Asian text, in the order of ASCII.
    | {chr(0xFF01 + offset): chr(0x21 + offset) for offset in range(94)}
)


def replace_unicode(text: str) -> str:
    r"""Return `text` with LaTeX instead of other characters: ``√2`` is ``\sqrt{2}`` and ``x²`` is ``x^{2}``.

    Characters without a LaTeX command are kept.
    """
    if text.isascii():
        return text.replace("\x0c", r"\f") if "\x0c" in text else text
    return _ROOTS.sub(_write_root, _SCRIPTS.sub(_write_script, text).translate(_TABLE))


def _write_script(match: re.Match[str]) -> str:
    digits = match.group().translate(_PLAIN_SCRIPTS)
    return f"^{{{digits}}}" if match["raised"] else f"_{{{digits}}}"


def _write_root(match: re.Match[str]) -> str:
    inside = match["bracket"] or match["brace"] or match["bare"] or ""
    return rf"\sqrt{{{inside}}}" if match["root"] == "√" else rf"\sqrt[3]{{{inside}}}"
