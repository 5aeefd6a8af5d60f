"""A sentence as tokens: formulas, brackets and expressions whole, words, signs."""

import re
from typing import NamedTuple

FORMULA = re.compile(
    r"\$(?<!\\\$)\$[^$]{1,600}\$\$"
    r"|\$(?<!\\\$)(?!\d[^$\n]{0,200}\$\d|\d[^$\n]{0,200}[a-z]{2}[^$\n]{0,200}[\s+\-*/=(,:]\$)(?:\\\$|[^$\n]){1,600}?(?<!\\)\$"
    r"|\\\((?:(?!\\\()[^\n]){1,600}?\\\)|\\\[(?:(?!(?<!\\)\\\[)[\s\S]){1,600}?\\\]"
    r"|\\begin\{(?:align|aligned|equation|gather|gathered|eqnarray)\*?\}(?:(?!\\begin\{(?:align|equation|gather|eqnarray)\*?\})[\s\S]){1,2000}?\\end\{[a-z]{1,12}\*?\}"
)
"""A formula between its delimiters, each beginning with a sign (that is fast); dollars before two amounts are none.

It ends where another begins, so that delimiters which are never closed take no longer than their number asks.
"""

DISPLAY = re.compile(r"\$\$|\\\[|\\begin")
"""How a displayed formula begins."""

_CJK = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_CJK}]+|[^\s{_CJK}]+")
_REST = re.compile(r"\S*")
_PUNCTUATION = re.compile(r"[.,;:!?]+")
_MATH = re.compile(r"\d|[√∛π∞½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞²³¹⁰⁴⁵⁶⁷⁸⁹①-⑳]|\\(?:binom|boxed|text|left)\b|\\(?:d?frac|sqrt|pi|infty)")
_WORD = re.compile(r"[^\W\d_]{2,}(?:['’-][^\W\d_]+)*|[aI]")
_NAME = re.compile(r"[A-Za-zα-ωΑ-Ω](?:_\{?\w{1,9}\}?|[₀-₉])?['′]{0,2}")
_CALL = re.compile(r"[A-Za-z]{1,6}\(.*\)[²³!]?|(?:pi|infinity|infty)")
_SIGNED = re.compile(r"[A-Za-z][-+*/^=<>].*")
_OPERATOR = re.compile(r"[-+−–*·⋅×÷/=<>≤≥≠≈^:±∪∩]+|\\(?:times|cdot|div|pm|cup|cap|leq?|geq?|neq?|approx|in)")
_ADJECTIVE = re.compile(
    r"\d+(?:st|nd|rd|th)?-[^\W\d_]{2,}.*|(?!sqrt|log|ln|sin|cos|tan|pi)[^\W\d_]{2,}[-_]?\d\w*|\d+\.\d+\.\d+.*"
)
_NUMBER_WORD = re.compile(
    r"(?:zero|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)ty(?:-(?:one|two|three|four|five|six|seven|eight|nine))?"
    r"|hundred|thousand|million|billion|half|thirds?|quarters?)",
    re.IGNORECASE,
)
_ENDS_OPEN = "+−-*·×÷/=<>≤≥≠≈^±"
"""Signs at the end of a token that go on with the next."""

_JOINS_LEFT = re.compile(r"[+−*·×÷/=<>≤≥≠≈^±∪∩]|\\text|(?:\\?%|°[CF]?)\Z")
_THOUSANDS = re.compile(r"[-−]?[$€£]?\d{1,3} \d{3}(?:[.,]\d+)?")
_MIXED = re.compile(r"[-−]?\d+ (?:\d+/\d+|[½⅓⅔¼¾√∛π].*)")
_CLOSING = ".,;:!?。，；：！？、'\"”’)"
_MAX_BRACKET_CHARS = 120

OPERANDS = ("value", "formula", "name")
"""Kinds of tokens that are values or parts of one."""


class Token(NamedTuple):
    """A token without punctuation around it: its kind is value, formula, name, operator, word or aside."""

    start: int
    end: int
    text: str
    kind: str
    pause: str = ""
    """Punctuation behind it."""

    @property
    def word(self) -> str:
        """The text in small letters."""
        return self.text.casefold()

    @property
    def is_number_word(self) -> bool:
        """Whether it is a number in words other than one, which is a pronoun more often."""
        return _NUMBER_WORD.fullmatch(self.text) is not None

    @property
    def is_name(self) -> bool:
        """Whether it is the name of a variable, a point or a figure, with or without delimiters."""
        plain = self.text.strip("$ ").removeprefix(r"\(").removesuffix(r"\)").strip()
        return _NAME.fullmatch(plain) is not None or _SHAPE.fullmatch(plain) is not None


_SHAPE = re.compile(r"\\[a-z]+|[A-Z]{1,3}|\\(?:triangle|angle) ?[A-Z]{1,3}")


def split_tokens(text: str, start: int, end: int) -> list[Token]:
    """Return the tokens of the sentence ``text[start:end]``; numbers in words are values where there are no others."""
    tokens: list[Token] = []
    formulas = [found.span() for found in FORMULA.finditer(text, start, end)]
    position = start
    while (match := _TOKEN.search(text, position, end)) is not None:
        first, last = match.span()
        while formulas and formulas[0][0] < first:
            formulas.pop(0)
        if formulas and formulas[0][0] < last and not text[first : formulas[0][0]].strip("-−–~'\"“‘([*"):
            token = _read_formula(text, first, formulas.pop(0)[1], end)
        else:
            token = _read_token(text, first, min(last, formulas[0][0]) if formulas else last, end)
        if token.text:
            tokens.append(token)
        elif tokens:
            tokens[-1] = tokens[-1]._replace(pause=tokens[-1].pause + token.pause)
        position = max(token.end + len(token.pause), first + 1)
    if not any(token.kind in ("value", "formula") for token in tokens):
        return [token._replace(kind="value") if token.is_number_word else token for token in tokens]
    return tokens


def _read_formula(text: str, start: int, formula_end: int, end: int) -> Token:
    kind, last = "formula", formula_end
    if formula_end < end and text[formula_end] in "-^%°!/":
        rest = _REST.match(text, formula_end, end)
        last = rest.end() if rest is not None else last  # $n$-gon, $5$%
        kind = "word" if text[formula_end] == "-" else kind
    start, last = _strip_token(text, start, last)
    after = _PUNCTUATION.match(text, last, end)
    return Token(start, last, text[start:last], kind, after.group() if after is not None else "")


def _read_token(text: str, start: int, last: int, end: int) -> Token:
    """Return the token at `start`, with what its brackets hold; a bracket of words is an aside."""
    opened = next((position for position in range(start, last) if text[position] in "([{"), -1)
    if opened >= 0 and (closed := _find_bracket_end(text, opened, end)) > last:
        is_prose = any(_classify(word) == "word" for word in _WORD.findall(text[start:closed]))
        if is_prose and opened == start and text[opened] != "{":
            return Token(start, closed, text[start:closed], "aside")
        if not is_prose or text[opened] == "{":
            rest = _REST.match(text, closed, end)
            last = rest.end() if rest is not None else closed
    if text[start:last] == ":":
        return Token(start, last, ":", "operator")
    first, stop = _strip_token(text, start, last)
    if first >= stop:
        return Token(start, start, "", "word", text[start:last])
    return Token(first, stop, text[first:stop], _classify(text[first:stop]), text[stop:last])


def _strip_token(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the span without quotation marks and punctuation around; 5! before a word is a factorial."""
    while start < end and text[start] in "'\"“‘~≈":
        start += 1
    while start < end and text[end - 1] in _CLOSING:
        if text[end - 1] == ")" and text.count("(", start, end) >= text.count(")", start, end):
            break
        if text[end - 1] == "!" and text[end - 2].isdigit() and end < len(text) and text[end] in " ,.;)":
            break
        if text[end - 1] == "'" and _NAME.fullmatch(text, start, end):
            break
        end -= 1
    return start, end


def _classify(token: str) -> str:
    if _OPERATOR.fullmatch(token):
        return "operator"
    if _NAME.fullmatch(token) and token not in {"a", "I", "π"}:
        return "name"
    if _ADJECTIVE.fullmatch(token):
        return "word"
    return "value" if _MATH.search(token) or _CALL.fullmatch(token) or _SIGNED.fullmatch(token) else "word"


def _find_bracket_end(text: str, start: int, end: int) -> int:
    """Return the end of the bracketed text that begins at `start`, `start` if it is not closed soon."""
    depth = 0
    for position in range(start, min(end, start + _MAX_BRACKET_CHARS)):
        depth += (text[position] in "([{") - (text[position] in ")]}")
        if depth <= 0:
            return position + 1
    return start


def find_expression_end(tokens: list[Token], index: int) -> int:
    """Return the index behind the expression that begins at `index`: operands, the signs between them, percent."""
    index += 1
    while index < len(tokens):
        before, token = tokens[index - 1], tokens[index]
        if (token.kind in OPERANDS and _is_joined(before, token)) or (
            _JOINS_LEFT.fullmatch(token.text) and not before.pause
        ):
            if token.kind == "operator" and not _has_operand(tokens, index):
                break
            index += 1 + (token.kind == "operator")
        elif (token.kind == "operator" or _is_times(tokens, index)) and _has_operand(tokens, index):
            if before.pause:
                break
            index += 2
        else:
            break
    return index


def _has_operand(tokens: list[Token], index: int) -> bool:
    return index + 1 < len(tokens) and tokens[index + 1].kind in OPERANDS


def _is_joined(first: Token, second: Token) -> bool:
    """Return whether `second` goes on with the value that ends with `first`, without a sign between."""
    if first.pause:
        return False
    if first.text[-1] in _ENDS_OPEN or _JOINS_LEFT.match(second.text) or first.text in ("$", "€", "£"):
        return True
    if not first.kind == second.kind == "value":
        return False
    both = f"{first.text} {second.text}"
    return bool(
        (first.is_number_word and second.is_number_word) or _THOUSANDS.fullmatch(both) or _MIXED.fullmatch(both)
    )


def _is_times(tokens: list[Token], index: int) -> bool:
    """Return whether the token is the letter x between two numbers."""
    around = tokens[index - 1 : index + 2 : 2]
    return tokens[index].text in "xX" and len(around) == 2 and all(one.text.lstrip("$")[:1].isdigit() for one in around)
