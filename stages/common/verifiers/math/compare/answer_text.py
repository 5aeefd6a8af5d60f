r"""One way to write an answer: LaTeX commands with one name each, without what only changes its looks."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

ALIASES = {
    name: alias
    for alias, names in {
        "": r"left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr displaystyle textstyle scriptstyle"
        r" limits nolimits boldmath bf rm it nonumber hline hfill",
        " ": "quad qquad enspace thinspace space",
        r"\text": "mbox textbf textit textrm textsf texttt textnormal mathrm mathsf mathnormal operatorname hbox",
        r"\group": "mathbf boldsymbol mathit underline bm boxed fbox pmb bold mathcal mathscr ensuremath",
        r"\drop": "color textcolor phantom hspace vspace label tag",
        r"\frac": "dfrac tfrac cfrac", r"\binom": "dbinom tbinom", r"\leq": "le leqslant leqq",
        r"\geq": "ge geqslant geqq",
        r"\neq": "ne", "<": "lt", ">": "gt", r"\approx": "simeq thickapprox", "...": "dots ldots cdots dotsc dotsb",
        r"\{": "lbrace", r"\}": "rbrace", "(": "langle", ")": "rangle", r"\emptyset": "varnothing", ":": "colon",
        "|": "mid vert lvert rvert", r"\and": "land wedge", r"\or": "lor vee", r"\cdot": "ast bullet",
        r"\infty": "infinity",
        r"\setminus": "backslash smallsetminus", r"\phi": "varphi", r"\epsilon": "varepsilon", r"\theta": "vartheta",
        r"\overline": "bar", r"\tan": "tg", r"\cot": "ctg cotg", r"\arctan": "arctg", r"\arccot": "arcctg",
        r"\csc": "cosec", r"\sinh": "sh", r"\cosh": "ch", r"\tanh": "th", r"^\circ": "degree", "'": "prime",
        r"\triangle": "bigtriangleup", r"\to": "rightarrow longrightarrow", r"\Rightarrow": "implies therefore",
    }.items()
    for name in names.split()
}  # fmt: skip
"""The one name of a command by its other names; most are those of Chinese, Russian and plain TeX sources."""

_CHARACTERS = {
    r"\times ": "×", r"\div ": "÷", r"\cdot ": "·⋅", r"\pi ": "π", r"\infty ": "∞", r"\leq ": "≤⩽≦", r"\geq ": "≥⩾≧",
    r"\neq ": "≠", r"\pm ": "±", r"\mp ": "∓", r"^\circ ": "°º", r"\cup ": "∪", r"\cap ": "∩", r"\in ": "∈",
    r"\setminus ": "∖", r"\emptyset ": "∅", r"\mathbb{R}": "ℝ", r"\mathbb{Z}": "ℤ", r"\mathbb{N}": "ℕ", "...": "…",
    r"\approx ": "≈", r"\equiv ": "≡", r"\angle ": "∠", "(": "⟨（", ")": "⟩）", r"\alpha ": "α", r"\beta ": "β",
    r"\gamma ": "γ", r"\delta ": "δ", r"\epsilon ": "ε", r"\theta ": "θ", r"\lambda ": "λ", r"\mu ": "μµ",
    r"\rho ": "ρ", r"\sigma ": "σ", r"\tau ": "τ", r"\phi ": "φ", r"\omega ": "ω", r"\Delta ": "Δ", r"\Omega ": "Ω",
    r"\text{cents}": "¢", r"\wedge ": "∧", r"\vee ": "∨", r"\triangle ": "△", r"\perp ": "⊥",
    "-": "−–‑", "/": "⁄∕", ":": "∶：", "'": "′’‘", '"': "“”", ",": "、，", ".": "。", " ": "\u00a0\u2009\u202f\u3000",
    "": "\ufeff\xad\u034f\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202c\u2060\u2061\u2062\u2063\u2064",
    r"\f": "\x0c", r"\t": "\x08",
}  # fmt: skip
_RAISED, _LOWERED = "⁰¹²³⁴⁵⁶⁷⁸⁹", "₀₁₂₃₄₅₆₇₈₉"
_SCRIPTS = re.compile(rf"(?P<raised>⁻?[{_RAISED}]+)|(?P<lowered>[{_LOWERED}]+)|(?P<ring>[①-⑳])|(?P<vulgar>[¼½¾⅐-⅞])")
_PLAIN_SCRIPTS = str.maketrans(_RAISED + _LOWERED + "⁻", "0123456789" * 2 + "-")
_ROOT = re.compile(r"[√∛] ?(?=[({]|(?P<bare>\d+(?:\.\d+)?|[a-zA-Z]))")
_TABLE = str.maketrans(
    {character: command for command, characters in _CHARACTERS.items() for character in characters}
    | {chr(0xFF01 + offset): chr(0x21 + offset) for offset in range(94)}  # the wide forms, in the order of ASCII
)
TEXT = re.compile(r"\\text ?\{([^{}]*)\}")
"""Words in a plain text."""

_TWICE_ESCAPED = re.compile(r"\\\\(?=[a-zA-Z]{2})")
_MONEY = re.compile(r"(?<!\\)\$(?=-?\d)|(?<=\d)\$(?=\s*\Z| [a-z]{2})|(?<=\d)\s\$\s*\Z")
"""A dollar sign that no other closes: money."""

_PRICE = re.compile(r"(?<!\\)\$(?=\d)")
_OPERATED_PRICE = re.compile(r"[=+*/(-] ?\$\d.*=|= ?\$\d")
"""A price in a chain of equal sides, of which no dollar sign opens or closes a formula."""

_TOKEN = re.compile(
    r"\\(?:left|right)\s*\.|\\(?P<command>q?quad(?=[a-z])|[a-zA-Z]+)\*?\s*"
    r"|(?P<comma>(?<=\d)(?:,\\!| ?\{, ?\}|\\,|\\ ) ?(?=\d{3}(?!\d)))|\\!\s*"
    r"|(?P<colon>\{:\})|\\[,;:> ]|~|\\[()\[\]]|(?P<row>\\\\)|(?P<money>\\\$)|\\%|\$+|\*\*|<=|=<|>=|!=|\\?[\"`]|''"
)
_FIXED = {
    "{:}": ":", "**": "^", "<=": r"\leq ", "=<": r"\leq ", ">=": r"\geq ", "!=": r"\neq ", r"\%": "%", "''": "''",
    "{,}": ",",
}  # fmt: skip
_DROPPED = re.compile(r"\\drop\s*(?:\[[^\]]*\])?\{[^{}]*\}")
_OUTER = re.compile(
    r"\A(?:=|\\approx|\\Rightarrow|:|\s|\\ )+|[\s,;]+\Z|(?<!\.)\.{1,2}\s*\Z|(?:\\row)+\s*\Z|(?<!\\)\\\s*\Z"
)
_SPACE = re.compile(r"\s+")
_UNIT_FRACTION = re.compile(
    r"\\frac\s*\{\s*\\text\{([^{}]*)\}\s*\}\s*\{\s*\\text\{([^{}]*)\}((?:\^\{?\d\}?)?)\s*\}|\}\s*/\s*\\text\{"
)
_FUNCTION = re.compile(
    r"\\text\{((?:arc)?(?:sin|cos|tan|cot|tg|ctg|sec|csc|cosec)|ln|lg|log|exp|gcd|lcm|max|min|arg|det)\}"
)
_WRAPPED = re.compile(r"\\text\{([^{}]*[^A-Za-z{}][^{}]*|[A-Za-z]?)\}|\"([^\"]*)\"|'([^']*)'")
_INNER_TEXT = re.compile(r"(\\text\{[^{}]*)\\text\{([^{}]*)\}([^{}]*\})")
_SPACED_PUNCTUATION = re.compile(r" ?([^\w\s\\$.,']) ?|(?<=\d) (?=[,;])|(?<=\D) (?=[,;])")


@lru_cache(maxsize=4096)
def write_plainly(answer: str) -> str:
    r"""Return `answer` with one name for each command, without formula delimiters and spacing commands.

    ``$\dfrac12$`` and ``\(\frac 12\)`` give the same; ``32,349`` and ``32, 349`` do not.
    Rows of a matrix end in ``\row``.
    """
    text = _replace_characters(answer)
    if r"\\" in text and r"\begin" not in text:
        text = _TWICE_ESCAPED.sub(lambda _: "\\", text)
    marks = text.count("$") - text.count(r"\$")
    if marks == 1 or (marks > 1 and marks == len(_PRICE.findall(text)) and _OPERATED_PRICE.search(text)):
        text = _MONEY.sub(lambda mark: mark.group().replace("$", r"\$"), text)
    text = _TOKEN.sub(_write_token, text)
    if r"\drop" in text:
        text = _DROPPED.sub("", text).replace(r"\drop", "")
    text = _SPACED_PUNCTUATION.sub(lambda mark: mark[1] or "", _strip_outside(_SPACE.sub(" ", text)))
    if r"\text" in text:
        text = _FUNCTION.sub(lambda name: f"{ALIASES.get(name[1], chr(92) + name[1])} ", text)
        text = _UNIT_FRACTION.sub(_write_unit_fraction, text)
        text = _INNER_TEXT.sub(r"\1\2\3", text)
        while (wrapped := _WRAPPED.fullmatch(text)) is not None:
            text = _strip_outside(next(group for group in wrapped.groups() if group is not None))
    return text


def _strip_outside(text: str) -> str:
    while (stripped := _OUTER.sub("", text).strip()) != text:
        text = stripped
    return text


def _write_token(match: re.Match[str]) -> str:
    token = match.group()
    if (command := match["command"]) is not None:
        alias = ALIASES.get(command)
        if alias is None:
            return f"\\{command} "
        return f"{alias} " if alias[1:].isalpha() or alias[-1:].isalpha() else alias
    if match["row"]:
        return r"\row "
    if match["money"]:
        text, end = match.string, match.end()
        return (
            r"\$"
            if text[end : end + 2].strip("-. ")[:1].isdigit() or text[: match.start()].rstrip()[-1:].isdigit()
            else " "
        )
    if match["comma"] or token.startswith((r"\!", r"\left", r"\right")):
        return ""
    return _FIXED.get(token, "" if token.endswith(('"', "`")) else " ")


def _write_unit_fraction(match: re.Match[str]) -> str:
    return "/" if match[1] is None else rf"\text{{{match[1]}/{match[2]}{match[3].replace('{', '').replace('}', '')}}}"


def _replace_characters(text: str) -> str:
    r"""Return `text` with LaTeX instead of other characters: ``√2`` is ``\sqrt{2}`` and ``x²`` is ``x^{2}``."""
    if text.isascii() and "\x0c" not in text and "\x08" not in text:
        return text
    text = _ROOT.sub(_write_root, _SCRIPTS.sub(_write_script, text)) if not text.isascii() else text
    return text.translate(_TABLE)


def _write_script(match: re.Match[str]) -> str:
    text = match.group()
    if match["vulgar"]:
        top, bottom = unicodedata.normalize("NFKC", text).split("\N{FRACTION SLASH}")
        return rf"\frac{{{top}}}{{{bottom}}}"
    if match["ring"]:
        return rf"\ring{{{ord(text) - ord('①') + 1}}}"
    digits = text.translate(_PLAIN_SCRIPTS)
    return f"^{{{digits}}}" if match["raised"] else f"_{{{digits}}}"


def _write_root(match: re.Match[str]) -> str:
    command = r"\sqrt" if match.group()[0] == "√" else r"\sqrt[3]"
    return command if match["bare"] is None else f"{command} "
