"""What else an equality may say that is false as it stands: a rounding, a conversion, a running total, another number.

Each rule has a case in ``tests/data/arithmetic_steps.json``. All but the roundings were found in texts; source: ours.
"""

import re
from collections.abc import Iterator
from fractions import Fraction

from stages.judge.rules.arithmetic.expression import evaluate
from stages.judge.rules.arithmetic.operands import Operand
from stages.judge.rules.arithmetic.tokens import Token
from stages.judge.rules.arithmetic.values import (
    Value,
    find_radius,
    make_exact,
    make_interval,
    parse_number,
)
from stages.judge.rules.arithmetic.word_lists import find_units

ROUNDED = "rounded"

_HUNDRED = make_exact(100)
_DECIMAL_FACTORS = [make_exact(factor) for factor in (100, 1000, 10_000)]
"""Factors between writings of percent and of money: sides that differ by one of these may be a conversion."""

_FACTORS_OF_UNITS = [
    make_exact(factor)
    for factor in (3, 4, 7, 8, 12, 16, 24, 30, 32, 36, 52, 60, 128, 168, 365, 1440, 1760, 2000, 3600, 5280, 86_400)
]
"""Factors between units of one dimension."""

_POINT_FOR_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}")
_LABELS = re.compile(r"\( [0-9] \)(?: [-+] \( [0-9] \))+")
_SCIENTIFIC = re.compile(r"(-?) ?([0-9.]+) \* (?:\{ )?10 \^ (?:\{ )?(- )?([0-9]{1,3})(?: \})?")
_PART = re.compile(r"[0-9]+ / [0-9]+|frac \{ [0-9]+ \} \{ [0-9]+ \}")


def find_other_reading(left: Operand, right: Operand) -> str | None:
    """None where the sides certainly differ, "" where they are equal, else why that is ambiguous.

    Raises `AmbiguityError` where a side as it is written has no one value.
    """
    units = [{unit.lower().rstrip("s") for unit in side.units} for side in (left, right)]
    kinds = {token.kind for token in left.tokens + right.tokens}
    factors = _DECIMAL_FACTORS if any(units) or kinds & {"percent", "money"} else []
    if find_units(left.units + right.units):
        factors = factors + _FACTORS_OF_UNITS
    for reading in _list_readings(left, right):
        reason = _compare_sides(*reading, factors, has_other_units=all(units) and not units[0] & units[1])
        if reason is not None:
            return reason
    return _find_other_meaning(left.tokens, right.tokens)


def _list_readings(left: Operand, right: Operand) -> Iterator[tuple[list[Token], list[Token]]]:
    """The sides as they are written, then with the dash at the start or points in numbers taken otherwise."""
    tokens = left.tokens
    yield tokens, right.tokens
    if left.has_dash:
        yield [Token("operator", "-", False), *tokens], right.tokens
    elif tokens and tokens[0].text == "-":
        yield tokens[1:], right.tokens
    for place, side in enumerate((tokens, right.tokens)):
        slash = _find_last_slash(side)
        if slash:  # 5 * 4 * 3 / 3 * 2 * 1 = 10
            group = [*side[: slash + 1], Token("open", "(", True), *side[slash + 1 :], Token("close", ")", False)]
            yield (tokens, group) if place else (group, right.tokens)
    points = [_POINT_FOR_THOUSANDS.fullmatch(token.text) for token in tokens + right.tokens]
    if any(points):  # 1.000 + 500 = 1.500
        both = [
            token._replace(text=token.text.replace(".", "")) if point else token
            for token, point in zip(tokens + right.tokens, points, strict=True)
        ]
        yield both[: len(tokens)], both[len(tokens) :]


def _find_last_slash(tokens: list[Token]) -> int:
    """The position of the only slash of a product without brackets that goes on after it, else 0."""
    texts = [token.text for token in tokens if token.kind == "operator"]
    if texts.count("/") != 1 or set(texts) != {"*", "/"} or any(token.kind == "open" for token in tokens):
        return 0
    slash = next(position for position, token in enumerate(tokens) if token.text == "/")
    return slash if any(token.text == "*" for token in tokens[slash:]) else 0


def _compare_sides(left: list[Token], right: list[Token], factors: list[Value], has_other_units: bool) -> str | None:
    first, second = evaluate(left), evaluate(right)
    if first.overlaps(second):
        return ""
    if _is_rounded(left, second) or _is_rounded(right, first):
        return ROUNDED
    if any((first * factor).overlaps(second) or first.overlaps(second * factor) for factor in factors):
        return "may be a conversion"
    if has_other_units and first.low * second.low != 0:
        ratio = max(first.low / second.low, second.low / first.low)
        if ratio.denominator == 1:
            return "may be a conversion"  # 30 dm = 3 m
    return None


def _find_other_meaning(left: list[Token], right: list[Token]) -> str | None:
    """Why sides whose values differ may be meant in another way; None where they are not."""
    first, second = evaluate(left), evaluate(right)
    texts = [" ".join(token.text for token in side if token.kind not in ("money", "unit")) for side in (left, right)]
    digits = "".join(token.text for token in right if token.kind == "number")
    if _goes_on_from(right, first, left):
        return "may be a running total"  # 3 + 4 = 7 + 5 = 12
    if _LABELS.fullmatch(texts[0]):
        return "may combine numbered equations"  # (1) - (2) = 4
    if _PART.fullmatch(texts[0]) and first.high < 1 <= second.low:
        return "may be a part of something"  # 3/4 = 6
    is_bare = sum(token.kind == "number" for token in left) == 1
    if _may_name_percent(first, second) or (is_bare and _may_name_percent(second, first)):
        return "may be a percentage of something"  # 40% = 0.4 * 20, 48 = 100% + 20%
    return "may be digits" if len(digits) > 1 and texts[0] == digits else None  # 29 = 2 + 9


def _may_name_percent(percent: Value, other: Value) -> bool:
    return percent.percent and not other.percent and other.low > 1 and other.low > 2 * percent.high


def _goes_on_from(tokens: list[Token], value: Value, before: list[Token]) -> bool:
    """Whether `tokens` begin with the number `value`, and go on with one that is not in the side `before`."""
    kept = [token for token in tokens if token.kind not in ("money", "unit")]
    if [token.kind for token in kept[:2]] != ["number", "operator"] or kept[1].text == "^":
        return False
    known = {token.text for token in before if token.kind == "number"}
    is_new = any(token.kind == "number" and token.text not in known for token in kept[2:])
    return is_new and evaluate(kept[:1]).overlaps(value)


def _is_rounded(tokens: list[Token], other: Value) -> bool:
    """Whether `tokens` is one number to which `other` may have been rounded or truncated.

    A percent sign after it may also repeat what was multiplied by 100: 1/3 = 33%, 1/3 * 100 = 33%.
    """
    kept = [token for token in tokens if token.kind not in ("money", "unit")]
    scientific = _SCIENTIFIC.fullmatch(" ".join(token.text for token in kept))
    if scientific:
        return _may_round_scientific(scientific, other)
    kept = [token for token in kept if token.kind not in ("open", "close")]
    is_negative = bool(kept) and kept[0].text == "-"
    is_percent = bool(kept) and kept[-1].kind == "percent"
    kept = kept[is_negative : len(kept) - is_percent]
    if len(kept) != 1 or kept[0].kind != "number":
        return False
    number, decimals = parse_number(kept[0].text)
    number = -number if is_negative else number
    return _may_round(number, decimals, other) or (is_percent and _may_round(number, decimals, other * _HUNDRED))


def _may_round(number: Fraction, decimals: int, other: Value) -> bool:
    if decimals:
        return make_interval(number, find_radius(number, decimals)).overlaps(other)
    is_whole = other.low == other.high and other.low.denominator == 1
    return not is_whole and other.low - 1 < number < other.high + 1


def _may_round_scientific(match: re.Match[str], other: Value) -> bool:
    """Whether `other` may have been rounded to the digits of 1.2 * 10 ^ 24."""
    number, decimals = parse_number(match[2])
    scale = make_exact(10).raise_to(make_exact(int(match[4]) * (-1 if match[3] else 1)))
    mantissa = make_interval(-number if match[1] else number, Fraction(1, 10**decimals))
    return (mantissa * scale).overlaps(other)
