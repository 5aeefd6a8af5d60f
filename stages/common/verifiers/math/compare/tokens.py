r"""Nodes of formulas, and the tokens that their grammar reads: commands, numbers, names and words."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from stages.common.verifiers.math.compare.answer_text import ALIASES
from stages.common.verifiers.math.compare.numbers import read_number

MAX_FORMULA_CHARS = 600
"""Longest formula, in characters, that is read."""

MAX_DEPTH = 25
"""Deepest nesting of brackets that is read."""


class ReadError(ValueError):
    """The text is no formula of this grammar."""


class Node(NamedTuple):
    """A node of a formula: its kind, and its parts, which are nodes, numbers or texts."""

    kind: str
    args: tuple[Any, ...]


def split_words(words: str) -> frozenset[str]:
    return frozenset(words.split())


FUNCTIONS = split_words(
    "sin cos tan cot sec csc arcsin arccos arctan arccot sinh cosh tanh ln log lg exp gcd lcm max min arg Re Im det"
)
_CONSTANTS = {"pi": "pi", "infty": "inf", "inf": "inf", "infinity": "inf"}
_LETTERS = split_words(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega"
    " Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar"
)
"""Commands that are names; any other is known as a whole side of a relation only."""

_SMALL_WORDS = split_words("by to at is of it be cm km mm kg mg ml ft yd hr")
_GREEK = split_words("alpha beta gamma delta epsilon theta lambda mu rho sigma tau phi omega Delta Omega")
"""Greek letters that plain text spells out."""

POINTS = split_words("overline overrightarrow overleftrightarrow vec widehat hat widetilde tilde angle triangle")
RELATIONS = {
    "=": "=", "<": "<", ">": ">", r"\leq": "<=", r"\geq": ">=", r"\neq": "!=", r"\approx": "~", r"\in": "in",
    r"\notin": "notin", r"\subset": "sub", r"\subseteq": "subeq", r"\perp": "perp", r"\parallel": "par", r"\to": "to",
    r"\sim": "sim", r"\cong": "cong", r"\equiv": "equiv",
}  # fmt: skip
SET_OPERATORS = {r"\cup": "union", r"\cap": "inter", r"\setminus": "minus", r"\and": "and", r"\or": "or"}
BRACKETS = {"(": ")", "[": "]", r"\{": r"\}", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil"}
CALLED = frozenset("fghFGHPQWTR")
"""Letters that are functions before a bracket."""

_ATOM_NAMES = split_words("frac binom sqrt begin sum prod int lim mathbb group boxed pi infty emptyset lfloor lceil {")
ATOM_COMMANDS = frozenset(rf"\{name}" for name in _ATOM_NAMES)
"""Commands that begin a factor."""

COMMANDS = frozenset((
    *ATOM_COMMANDS, *RELATIONS, *SET_OPERATORS, *BRACKETS, r"\}", r"\rfloor", r"\rceil", r"\pm", r"\mp", r"\cdot",
    r"\times", r"\div", r"\circ", r"\pmod", r"\mod", r"\bmod", r"\over", r"\choose", r"\end", r"\row", r"\hline",
    r"\limits",
))  # fmt: skip
"""Commands that are no names; any other, such as a Greek letter, is one."""

_WHOLE_NAMES = frozenset({command[1:] for command in COMMANDS} | FUNCTIONS | POINTS | _LETTERS).union(ALIASES, ["text"])
r"""Names of commands, to tell those that end early: \fr, \mat."""

_TOKEN = re.compile(
    r"(?P<space> )|\\text ?\{(?P<text>[^{}]*)\}|(?P<command>\\(?:[a-zA-Z]+|[{}%$&#_|]))"
    r"|(?P<number>[1-9]\d{0,2}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?P<exponent>[eE][-+]?\d+(?![a-zA-Z\d]))?"
    r"|(?P<run>[A-Za-z]+)|(?P<operator>\.\.\.|[-+*/^_=<>()\[\]{}|,;:!%&'])",
    re.ASCII,
)
_PLAIN_FUNCTIONS = {"tg": "tan", "ctg": "cot", "cotg": "cot", "arctg": "arctan", "arcctg": "arccot"}
"""Names of functions that plain text from Russian and Chinese sources has without a backslash."""

_PERIOD = re.compile(r"(?:\d*\.\d*?)(?:\\overline ?\{\d+\}|(?:\\dot ?\{\d\})+(?:\d*\\dot ?\{\d\})?|\(\d+\)(?!\d))")
_PREFIXED = re.compile(r"(sqrt|arcsin|arccos|arctan|sin|cos|tan|cot|ln|log|exp|pi)([a-z])")
_VOWEL = re.compile(r"[aeiouy]", re.IGNORECASE)


class Token(NamedTuple):
    """A token: its kind (number, name, word, or the text itself), its text, and whether a space is before it."""

    kind: str
    text: str
    is_spaced: bool


def strip_groups(node: Any) -> Any:
    if isinstance(node, Node):
        return strip_groups(node.args[0]) if node.kind == "group" else Node(node.kind, strip_groups(node.args))
    return tuple(map(strip_groups, node)) if isinstance(node, tuple) else node


def split_tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    position, depth, is_spaced = 0, 0, False
    while position < len(text):
        if text[position] in ".0123456789" and (period := _PERIOD.match(text, position)) is not None:
            tokens.append(Token("number", period.group(), is_spaced))
            position, is_spaced = period.end(), False
            continue
        match = _TOKEN.match(text, position)
        if match is None:
            raise ReadError(f"unexpected {text[position]!r}")
        position = match.end()
        if match["space"]:
            is_spaced = True
            continue
        if match["number"] and "," in match["number"] and depth:
            position = match.start() + match["number"].index(",")  # in brackets a comma separates
            tokens.append(Token("number", text[match.start() : position], is_spaced))
        else:
            tokens.extend(_write_tokens(match, is_spaced))
        is_spaced = False
        token = match.group()
        depth += (token in ("(", "[", r"\{")) - (token in (")", "]", r"\}"))
    tokens = [_read_times(tokens, index) for index in range(len(tokens))]
    depth = deepest = 0
    for token_ in tokens:
        depth += (token_.text in ("(", "[", r"\{", "{")) - (token_.text in (")", "]", r"\}", "}"))
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise ReadError("nested too deeply")
    return tokens


def _read_times(tokens: list[Token], index: int) -> Token:
    """Return the token, and an x between numbers as a sign; a number right behind a letter has no one reading."""
    token, before = tokens[index], tokens[max(index - 1, 0)]
    after = tokens[index + 1] if index + 1 < len(tokens) else token
    if token.text in ("x", "X") and before.kind == after.kind == "number":
        if after.text == "10" or (token.is_spaced and after.is_spaced):
            return Token(r"\times", token.text, token.is_spaced)
        raise ReadError("an x between numbers")
    if token.kind == "number" and before.kind == "name" and before.text.isascii() and not token.is_spaced and index:
        is_between_numbers = before.text in ("x", "X") and index > 1 and tokens[index - 2].kind == "number"
        if len(before.text) == 1 and not is_between_numbers:
            raise ReadError("a number behind a letter, which may be an index or a power")
    return token


def _write_tokens(match: re.Match[str], is_spaced: bool) -> list[Token]:
    text = match.group()
    if match["number"]:
        return [Token("number", text, is_spaced)]
    if match["text"] is not None:
        words = match["text"].strip()
        if words.isascii() and words.isdigit():
            return [Token("number", words, is_spaced)]
        return [Token("name" if len(words) == 1 or words in FUNCTIONS else "word", words, is_spaced)] if words else []
    if match["command"]:
        name = text[1:]
        is_known = text in COMMANDS or name in FUNCTIONS or name in POINTS or not name.isalpha()
        kind = text if is_known else "name" if name in _LETTERS else "macro"
        if kind == "macro" and name.islower() and any(known.startswith(name) for known in _WHOLE_NAMES):
            raise ReadError(f"{text} ends early")
        return [Token(kind, name if kind == "name" else text, is_spaced)]
    if not match["run"]:
        return [Token(text, text, is_spaced)]
    text = _PLAIN_FUNCTIONS.get(text, text)
    if text in FUNCTIONS or text in _CONSTANTS or text in ("sqrt", "mod"):
        return [Token(f"\\{_CONSTANTS.get(text, text) if text != 'infinity' else 'infty'}".replace(r"\inf", r"\infty")
                      if text.startswith("inf") else f"\\{text}", text, is_spaced)]  # fmt: skip
    if text in _GREEK:
        return [Token("name", text, is_spaced)]
    if (prefixed := _PREFIXED.fullmatch(text)) is not None:
        return [Token(f"\\{prefixed[1]}", prefixed[1], is_spaced), Token("name", prefixed[2], False)]
    if text == "in":
        return [Token(r"\in", text, is_spaced)]
    if len(text) == 1 or text.isupper():
        return [Token("name", text, is_spaced)]
    if (len(text) > 3 and _VOWEL.search(text)) or (is_spaced and text in _SMALL_WORDS):
        return [Token("word", text, is_spaced)]
    return [Token("name", letter, is_spaced and not index) for index, letter in enumerate(text)]


def make_number(text: str) -> Node:
    number = read_number(text)
    if number is None:
        raise ReadError(f"{text} is no number")
    return Node("num", tuple(number))


class TokenReader:
    """Takes tokens one after another.

    `bars`: whether | closes; `is_builder`: whether : is a bar; `integrals`: how many a dx ends.
    """

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.bars = 0
        self.integrals = 0
        self.is_builder = False

    def peek(self, ahead: int = 0) -> str:
        index = self.position + ahead
        return self.tokens[index].kind if index < len(self.tokens) else ""

    def take(self, *kinds: str) -> Token | None:
        if self.peek() in kinds and self.peek():
            self.position += 1
            return self.tokens[self.position - 1]
        return None

    def expect(self, *kinds: str) -> Token:
        token = self.take(*kinds)
        if token is None:
            found = self.tokens[self.position].text if self.peek() else "the end"
            raise ReadError(f"expected {' or '.join(kinds)}, found {found}")
        return token

    def read_raw(self) -> str:
        """Return the text of a subscript."""
        if self.take("{") is None:
            self.position += 1
            if self.position > len(self.tokens):
                raise ReadError("the formula ends early")
            return self.tokens[self.position - 1].text
        texts, depth = [], 1
        while depth and self.peek():
            token = self.tokens[self.position]
            self.position += 1
            depth += (token.kind == "{") - (token.kind == "}")
            texts.append(token.text if depth else "")
        return "".join(texts)

    def skip(self, count: int) -> bool:
        self.position += count
        return True
