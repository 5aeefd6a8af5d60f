r"""Numbers read exactly: integers, decimals, recurring decimals, fractions, mixed numbers, powers of ten, percent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

LONGEST_NUMBER = 120
"""Longest text, in characters, that is read as a number here."""

LARGEST_EXPONENT = 60

_DECIMAL = r"(?:[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d{0,2}(?: \d{3})+|\d+)(?:\.\d*)?|\.\d+"
_FORMS = re.compile(
    rf"(?P<sign>[-+]?)(?P<money>\\?\$|€|£|¥)?(?:"
    rf"(?P<before>\d*)\.(?P<fixed>\d*)(?:\\overline\{{(?P<over>\d+)\}}|\\dot\{{(?P<dot>\d)\}}|\((?P<bracket>\d+)\))"
    rf"|(?P<mantissa>{_DECIMAL})(?:(?:\\times|\\cdot|\*) ?10\^\{{?(?P<ten>[-+]?\d+)\}}?|[eE](?P<e>[-+]?\d+))"
    rf"|(?:(?P<whole>\d+) ?)?(?:\\frac\{{(?P<minus>-?)(?P<top>\d+)\}}\{{(?P<bottom>\d+)\}})"
    rf"|(?:(?P<units>\d+) )?(?P<over_top>\d+)/(?P<over_bottom>\d+)"
    rf"|(?P<decimal>{_DECIMAL})"
    rf")(?P<percent>\\?%)?",
    re.ASCII,
)


@dataclass(frozen=True)
class Exact:
    """A number: its `value` as written, whether a percent sign follows, and whether it is written as a decimal."""

    value: Fraction
    percent: bool
    decimal: bool


def read_number(text: str) -> Exact | None:
    """The number that the normalised `text` is, None where it is none or longer than `LONGEST_NUMBER`."""
    if len(text) > LONGEST_NUMBER or not text or text[-1] not in "0123456789.%})":
        return None
    match = _FORMS.fullmatch(text)
    if match is None:
        return None
    part = match.groupdict()
    recurring = part["over"] or part["dot"] or part["bracket"]
    value: Fraction | None
    if recurring is not None:
        value = _recurring(part["before"] or "0", part["fixed"], recurring)
    elif part["mantissa"] is not None:
        value = _scaled(part["mantissa"], int(part["ten"] or part["e"]))
    elif part["top"] is not None:
        if part["whole"] and part["minus"]:
            return None
        value = _mixed(part["whole"], part["minus"] + part["top"], part["bottom"])
    elif part["over_top"] is not None:
        value = _mixed(part["units"], part["over_top"], part["over_bottom"])
    else:
        value = _decimal(part["decimal"])
    if value is None:
        return None
    written_decimal = recurring is None and "." in text
    return Exact(-value if part["sign"] == "-" else value, part["percent"] is not None, written_decimal)


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", "").rstrip("."))


def _recurring(before: str, fixed: str, period: str) -> Fraction:
    """``before.fixed`` followed by `period` for ever."""
    shift = 10 ** len(fixed)
    return Fraction(int(before + fixed), shift) + Fraction(int(period), shift * (10 ** len(period) - 1))


def _scaled(mantissa: str, exponent: int) -> Fraction | None:
    if abs(exponent) > LARGEST_EXPONENT:
        return None
    return _decimal(mantissa) * Fraction(10) ** exponent


def _mixed(whole: str | None, top: str, bottom: str) -> Fraction | None:
    if int(bottom) == 0:
        return None
    return int(whole or 0) + Fraction(int(top), int(bottom))
