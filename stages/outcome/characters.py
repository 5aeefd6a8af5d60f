r"""Characters that stand for a LaTeX command, or for another character that looks the same in print."""

from __future__ import annotations

import re
import unicodedata

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


def _vulgar(character: str) -> str:
    top, bottom = unicodedata.normalize("NFKC", character).split("\N{FRACTION SLASH}")
    return rf"\frac{{{top}}}{{{bottom}}}"


_TABLE = str.maketrans(
    {character: command for command, characters in _COMMANDS.items() for character in characters}
    | {character: _vulgar(character) for character in _VULGAR}
    # The wide forms of East Asian text, in the order of ASCII.
    | {chr(0xFF01 + offset): chr(0x21 + offset) for offset in range(94)}
)


def plain_characters(text: str) -> str:
    r"""`text` with LaTeX in the place of other characters: ``√2`` is ``\sqrt{2}`` and ``x²`` is ``x^{2}``.

    Characters without a LaTeX command stay.
    """
    if text.isascii():
        return text.replace("\x0c", r"\f") if "\x0c" in text else text
    return _ROOTS.sub(_root, _SCRIPTS.sub(_script, text).translate(_TABLE))


def _script(match: re.Match[str]) -> str:
    digits = match.group().translate(_PLAIN_SCRIPTS)
    return f"^{{{digits}}}" if match["raised"] else f"_{{{digits}}}"


def _root(match: re.Match[str]) -> str:
    inside = match["bracket"] or match["brace"] or match["bare"] or ""
    return rf"\sqrt{{{inside}}}" if match["root"] == "√" else rf"\sqrt[3]{{{inside}}}"
