"""Values of expressions: a recursive descent over tokens in which whatever has two readings is a doubt."""

from __future__ import annotations

import math

from stages.judge.arithmetic.tokens import Token
from stages.judge.arithmetic.values import PI, DoubtError, Value, exactly, literal, read_literal

DEEPEST = 12
"""Brackets inside each other."""

MOST_TOKENS = 150
"""Tokens of one side of an equality."""

_PAIRS = {"(": ")", "[": "]", "{": "}"}


def evaluate(tokens: list[Token]) -> Value:
    """The value of `tokens`, all of them; raises `DoubtError` where they have none or more than one reading."""
    if len(tokens) > MOST_TOKENS:
        raise DoubtError("too long")
    reader = _Reader([token for token in tokens if token.kind not in ("money", "unit")])
    value = reader.sum(0)
    if reader.next is not None:
        raise DoubtError("not an expression")
    return value


class _Reader:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0

    @property
    def next(self) -> Token | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _take(self, kind: str, texts: str = "") -> Token | None:
        """The next token, taken, if it is of `kind` and, where `texts` is given, one of its characters."""
        token = self.next
        if token is None or token.kind != kind or (texts and token.text not in texts):
            return None
        self._position += 1
        return token

    def sum(self, depth: int) -> Value:
        if depth > DEEPEST:
            raise DoubtError("nested too deeply")
        value = self._product(depth)
        while sign := self._take("operator", "+-"):
            before = self._position - 2
            term = self._product(depth)
            if _is_range(self._tokens[before : before + 3]):
                raise DoubtError("difference or range")
            value = value + (term if sign.text == "+" else -term)
        return value

    def _product(self, depth: int) -> Value:
        value = self._signed(depth)
        divided = after_slash = False
        while True:
            if sign := self._take("operator", "*/"):
                if sign.text == "/" and after_slash:
                    raise DoubtError("division by a quotient or twice")  # 25 / 1/3
                after_slash = sign.text == "/"
                factor = self._signed(depth)
                divided = divided or sign.text == "/"
                value = value * (factor if sign.text == "*" else factor.inverse())
            elif self.next is not None and self.next.kind in ("open", "command"):
                if divided:
                    raise DoubtError("product without a sign after a division")
                before = self._tokens[self._position - 1]
                spaced_bracket = self.next.kind == "open" and self.next.spaced
                if before.kind == "number" and (self.next.text == "frac" or spaced_bracket):
                    raise DoubtError("mixed number or product")
                value = value * self._power(depth)
            else:
                return value

    def _signed(self, depth: int) -> Value:
        if not self._take("operator", "-"):
            return self._power(depth)
        base = self._tokens[self._position : self._position + 2]
        if [token.kind for token in base] == ["number", "operator"] and base[1].text == "^":
            raise DoubtError("power of a negative number without brackets")
        return -self._power(depth)

    def _power(self, depth: int) -> Value:
        value = self._atom(depth)
        while self.next is not None and self.next.kind in ("bang", "percent"):
            if self._take("bang"):
                value = value.factorial()
            elif self._take("percent"):
                value = Value(value.low / 100, value.high / 100, percent=True)
        if not self._take("operator", "^"):
            return value
        minus = self._take("operator", "-")
        exponent = self._atom(depth)
        if self._take("operator", "^") or self._take("bang"):
            raise DoubtError("power of a power")
        return value.power(-exponent if minus else exponent)

    def _atom(self, depth: int) -> Value:
        if number := self._take("number"):
            return literal(number.text)
        command = self._take("command")
        if command is None:
            return self._group(depth)
        if command.text == "pi":
            return PI
        first = self._group(depth, "{")
        if command.text == "sqrt":
            return first.root()
        second = self._group(depth, "{")
        if command.text == "frac":
            return first * second.inverse()
        return exactly(math.comb(first.whole(500), second.whole(500)))

    def _group(self, depth: int, bracket: str = "([{") -> Value:
        opened = self._take("open", bracket)
        if opened is None:
            raise DoubtError("no operand")
        value = self.sum(depth + 1)
        if not self._take("close", _PAIRS[opened.text]):
            raise DoubtError("bracket not closed")
        return value


def _is_range(tokens: list[Token]) -> bool:
    """Whether `tokens` may be a range, as in "pages 10-12"."""
    if [token.kind for token in tokens] != ["number", "operator", "number"] or tokens[1].text != "-":
        return False
    return not tokens[1].spaced and not tokens[2].spaced and read_literal(tokens[0].text) < read_literal(tokens[2].text)
