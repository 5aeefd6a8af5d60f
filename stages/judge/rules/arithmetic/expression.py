"""Values of expressions, by recursive descent over tokens; whatever has two readings raises `AmbiguityError`."""

import math
from fractions import Fraction

from stages.judge.rules.arithmetic.tokens import Token
from stages.judge.rules.arithmetic.values import PI, AmbiguityError, Value, make_exact, parse_literal, parse_number

MAX_DEPTH = 12
"""Nested brackets."""

MAX_SIDE_TOKENS = 150
"""Tokens on one side of an equality."""

_ROUNDED_PERCENTS = frozenset({17, 33, 67, 83})
"""Sixths and thirds in percent."""

_PAIRS = {"(": ")", "[": "]", "{": "}"}


Part = tuple[list[Token], Value]
"""A sum or a product within an expression, and its value."""


def evaluate(tokens: list[Token]) -> Value:
    """The value of all `tokens`; raise `AmbiguityError` where they have no reading or more than one."""
    return evaluate_parts(tokens)[-1][1]


def evaluate_parts(tokens: list[Token]) -> list[Part]:
    """Every sum and product that `tokens` computes on the way from left to right, themselves last; see `evaluate`."""
    if len(tokens) > MAX_SIDE_TOKENS:
        raise AmbiguityError("too long")
    parser = _Parser([token for token in tokens if token.kind not in ("money", "unit")])
    value = parser.parse_sum(0)
    if parser.next_token is not None:
        raise AmbiguityError("not an expression")
    return [*parser.parts, (tokens, value)]


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.parts: list[Part] = []
        self._tokens = tokens
        self._position = 0

    @property
    def next_token(self) -> Token | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _take(self, kind: str, texts: str = "") -> Token | None:
        """Consume and return the next token if it is of `kind` and, where given, one of the characters `texts`."""
        token = self.next_token
        if token is None or token.kind != kind or (texts and token.text not in texts):
            return None
        self._position += 1
        return token

    def parse_sum(self, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise AmbiguityError("nested too deeply")
        start = self._position
        value = self._parse_product(depth)
        while sign := self._take("operator", "+-"):
            before = self._position - 2
            term = self._parse_product(depth)
            if _is_range_or_mixed(self._tokens[before : before + 5]):
                raise AmbiguityError("difference, range or mixed number")
            value = value + (term if sign.text == "+" else -term)
            self.parts.append((self._tokens[start : self._position], value))
        return value

    def _parse_product(self, depth: int) -> Value:
        start = self._position
        value = self._parse_signed(depth)
        is_divided = after_slash = False
        while True:
            if sign := self._take("operator", "*/"):
                if sign.text == "/" and after_slash:
                    raise AmbiguityError("division by a quotient or twice")  # 25 / 1/3
                after_slash = sign.text == "/"
                factor = self._parse_signed(depth)
                is_divided = is_divided or sign.text == "/"
                value = value * (factor if sign.text == "*" else factor.invert())
                self.parts.append((self._tokens[start : self._position], value))
            elif self.next_token is not None and self._is_product_without_sign(self.next_token):
                if is_divided:
                    raise AmbiguityError("product without a sign after a division")
                before = self._tokens[self._position - 1]
                if before.text == "pi" and self.next_token.kind == "open":
                    raise AmbiguityError("product or function")
                is_spaced_bracket = self.next_token.kind == "open" and self.next_token.has_space
                if before.kind == "number" and (self.next_token.text == "frac" or is_spaced_bracket):
                    raise AmbiguityError("mixed number or product")
                value = value * self._parse_power(depth)
            else:
                return value

    def _is_product_without_sign(self, after: Token) -> bool:
        """Whether `after` multiplies what is before it: 2(3), 2\\sqrt{2}, 3!2!."""
        is_factorial = self._tokens[self._position - 1].kind == "bang" and not after.has_space
        return after.kind in ("open", "command") or (after.kind == "number" and is_factorial)

    def _parse_signed(self, depth: int) -> Value:
        if not self._take("operator", "-"):
            return self._parse_power(depth)
        base = self._tokens[self._position : self._position + 2]
        if [token.kind for token in base] == ["number", "operator"] and base[1].text == "^":
            raise AmbiguityError("power of a negative number without brackets")
        return -self._parse_power(depth)

    def _parse_power(self, depth: int) -> Value:
        is_fraction = self.next_token is not None and self.next_token.text == "frac"
        value = self._parse_atom(depth)
        while self.next_token is not None and self.next_token.kind in ("bang", "percent"):
            if self._take("bang"):
                value = value.compute_factorial()
            elif self._take("percent"):
                radius = Fraction(1, 2) if value.low == value.high and value.low in _ROUNDED_PERCENTS else 0
                value = Value((value.low - radius) / 100, (value.high + radius) / 100, percent=True)
        if not self._take("operator", "^"):
            return value
        if is_fraction:
            raise AmbiguityError("power of a fraction without brackets")
        minus = self._take("operator", "-")
        exponent = self._parse_atom(depth)
        if self._take("operator", "^") or self._take("bang"):
            raise AmbiguityError("power of a power")
        return value.raise_to(-exponent if minus else exponent)

    def _parse_atom(self, depth: int) -> Value:
        if number := self._take("number"):
            return parse_literal(number.text)
        command = self._take("command")
        if command is None:
            return self._parse_group(depth)
        if command.text == "pi":
            return PI
        if command.text == "sqrt":
            return self._parse_group(depth, "{(").compute_root()
        first = self._parse_group(depth, "{")
        second = self._parse_group(depth, "{")
        if command.text == "frac":
            return first * second.invert()
        return make_exact(math.comb(first.to_integer(500), second.to_integer(500)))

    def _parse_group(self, depth: int, bracket: str = "([{") -> Value:
        opening = self._take("open", bracket)
        if opening is None:
            raise AmbiguityError("no operand")
        value = self.parse_sum(depth + 1)
        if not self._take("close", _PAIRS[opening.text]):
            raise AmbiguityError("bracket not closed")
        if opening.text == "[" and (value.low != value.high or value.low.denominator != 1):
            raise AmbiguityError("bracket or whole part")  # [7/2] = 3
        return value


def _is_range_or_mixed(tokens: list[Token]) -> bool:
    """Whether `tokens` may begin with a range, as in "pages 10-12", or a mixed number, as in "2-1/2"."""
    kinds = [token.kind for token in tokens]
    if kinds[:3] != ["number", "operator", "number"] or tokens[1].text != "-" or tokens[1].has_space:
        return False
    if tokens[2].has_space:
        return False
    is_fraction = kinds[3:] == ["operator", "number"] and tokens[3].text == "/" and not tokens[3].has_space
    return is_fraction or parse_number(tokens[0].text) < parse_number(tokens[2].text)
