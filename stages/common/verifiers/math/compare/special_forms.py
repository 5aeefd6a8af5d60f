"""Times of day, ratios, and numbers with a base."""

from __future__ import annotations

import re
from fractions import Fraction

from stages.common.verifiers.math.compare.exact_numbers import parse_number
from stages.common.verifiers.verifier import Decision

_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))? ?(?:\\text\{)?([a-z. ]{0,6})\}?", re.IGNORECASE)
_BASED = re.compile(r"\(?([0-9A-Z]+)\)?_\{?(?:\\text\{ ?)?(?:base ?)?(\d+|[a-z]+)\}?\}?")
_BASE_NAMES = "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_BASES = {name: str(base) for base, name in enumerate(_BASE_NAMES.split(), start=2)}
_RATIO_SIGN = re.compile(r" ?: ?| ?\\text\{ ?to ?\} ?| to ")
_MAX_TERMS = 8


def compare_clock_times(left: str, right: str) -> Decision | None:
    """Compare times of day; am or pm may be missing on one side, and "10 am" is 10:00 am."""
    gold, answer = _CLOCK.fullmatch(left), _CLOCK.fullmatch(right)
    if gold is None or answer is None or (gold[2] is None and answer[2] is None):
        return None
    first, second = _parse_time(gold), _parse_time(answer)
    if first is None or second is None:
        return (False, "times of day") if gold[2] and answer[2] else None
    if None in (first[1], second[1]):
        return first[0] % 720 == second[0] % 720 or first[0] == second[0], "times of day"
    return first == second, "times of day"


def _parse_time(match: re.Match[str]) -> tuple[int, bool | None] | None:
    """Return minutes since midnight and whether it is after noon (None: not stated); None if this is no time."""
    half = re.sub(r"[. ]", "", match[3]).lower()
    hour, minute = int(match[1]), int(match[2] or 0)
    if half not in ("", "am", "pm") or (match[2] is None and not half) or hour > 24 or minute > 59:
        return None
    if half:
        return hour % 12 * 60 + minute + 720 * (half == "pm"), half == "pm"
    return hour * 60 + minute, True if hour > 12 else None


def compare_based(left: str, right: str) -> Decision | None:
    """Compare numbers with a base: digits and base must be the same."""
    first, second = _BASED.fullmatch(left), _BASED.fullmatch(right)
    if first is None or second is None or not (first[1][0].isdigit() or first[1] == second[1]):
        return None
    bases = [_BASES.get(match[2], match[2]) for match in (first, second)]
    return first[1] == second[1] and bases[0] == bases[1], "numbers with a base"


def compare_ratios(left: str, right: str) -> Decision | None:
    """Compare reduced ratios; a ratio of two numbers also equals their quotient."""
    first, second = _parse_ratio(left), _parse_ratio(right)
    if first is None or second is None or max(len(first), len(second)) < 2:
        return None
    if {len(first), len(second)} == {1, 2}:
        return _divide(first) == _divide(second), "ratios"
    if len(first) != len(second):
        return False, "ratios"
    return all(a * second[0] == b * first[0] for a, b in zip(first, second, strict=True)), "ratios"


def _parse_ratio(text: str) -> list[Fraction] | None:
    """Return the terms of a ratio, of a number alone one; None for other texts and for terms of 0."""
    parts = [parse_number(part) for part in _RATIO_SIGN.split(text, maxsplit=_MAX_TERMS)]
    numbers = [part.value for part in parts if part is not None and part.value != 0]
    return numbers if len(numbers) == len(parts) else None


def _divide(parts: list[Fraction]) -> Fraction:
    return parts[0] / parts[1] if len(parts) == 2 else parts[0]
