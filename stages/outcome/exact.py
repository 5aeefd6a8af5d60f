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
    rf"(?P<sign>[-+]?)(?P<money>\\?\$|€|£|¥)?(?P<after>-?)(?:"
    rf"(?P<begun>\d*\.\d+) ?\.\.\.|"
    rf"(?P<before>\d*)\.(?P<fixed>\d*)(?:\\overline\{{(?P<over>\d+)\}}|\\dot\{{(?P<dot>\d)\}}|\((?P<bracket>\d+)\))"
    rf"|(?P<mantissa>{_DECIMAL})(?:(?:\\times|\\cdot|\*) ?10\^\{{?(?P<ten>[-+]?\d+)\}}?|[eE](?P<e>[-+]?\d+))"
    rf"|10\^\{{?(?P<power>-?\d+)\}}?"
    rf"|(?:(?P<whole>\d+) ?)?(?:\\frac\{{(?P<minus>-?)(?P<top>\d+)\}}\{{(?P<bottom>\d+)\}})"
    rf"|(?:(?P<units>\d+) )?(?P<over_top>\d+)/(?P<over_bottom>\d+)"
    rf"|(?P<decimal>{_DECIMAL})"
    rf")(?P<percent> ?\\?%)?(?P<large> ?(?:\\text\{{ ?)?(?:thousand|million|billion|trillion)\}}?)?",
    re.ASCII,
)
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_REPEATING = re.compile(r"(?P<before>\d*)\.(?P<fixed>\d*?)(?P<period>\d{1,12}?)(?P=period)+")

_FEWEST_SEEN = 3
"""Fewest digits that show a period before three dots."""

ROUNDED_DIGITS = 5
"""Fewest significant digits of a decimal that may stand for the number that rounds to it."""


@dataclass(frozen=True)
class Exact:
    """A number: its `value` as written, whether a percent sign follows, and the decimal `places` it is written with."""

    value: Fraction
    percent: bool
    places: int | None = None

    @property
    def decimal(self) -> bool:
        """Whether it is written as a decimal that ends."""
        return self.places is not None


def read_number(text: str) -> Exact | None:
    """The number that the normalised `text` is, None where it is none or longer than `LONGEST_NUMBER`."""
    if len(text) > LONGEST_NUMBER or not text or text[-1] not in "0123456789.%})dn":
        return None
    match = _FORMS.fullmatch(text)
    if match is None:
        return None
    part = match.groupdict()
    value = _value(part)
    if value is None:
        return None
    if (part["sign"] == "-") != (part["after"] == "-"):
        value = -value
    value *= _LARGE[part["large"].strip(" }").removeprefix(r"\text{").strip()] if part["large"] else 1
    plain = part["decimal"] is not None and part["large"] is None and "." in part["decimal"]
    places = len(part["decimal"].split(".")[1]) if plain else None
    return Exact(value, part["percent"] is not None, places)


def _value(part: dict[str, str | None]) -> Fraction | None:
    """The number without its sign, from the groups of `_FORMS`."""
    if (period := part["over"] or part["dot"] or part["bracket"]) is not None:
        return _recurring(part["before"] or "0", part["fixed"] or "", period)
    if (begun := part["begun"]) is not None:
        match = _REPEATING.fullmatch(begun)
        if match is None or match.end() - match.start("period") < _FEWEST_SEEN:
            return None
        return _recurring(match["before"] or "0", match["fixed"], match["period"])
    if (power := part["power"]) is not None:
        return _scaled("1", int(power))
    if (mantissa := part["mantissa"]) is not None:
        return _scaled(mantissa, int(part["ten"] or part["e"] or 0))
    if (top := part["top"]) is not None:
        if part["whole"] and part["minus"]:
            return None
        return _mixed(part["whole"], f"{part['minus']}{top}", part["bottom"] or "0")
    if (top := part["over_top"]) is not None:
        return _mixed(part["units"], top, part["over_bottom"] or "0")
    return _decimal(part["decimal"] or "0")


def rounds_to(exact: Exact, decimal: Exact) -> bool:
    """Whether `decimal`, of `ROUNDED_DIGITS` or more digits, is `exact` rounded, which no finite decimal is."""
    if decimal.places is None or exact.decimal or exact.percent != decimal.percent or _ends(exact.value):
        return False
    scale = int(10**decimal.places)
    shown = abs(decimal.value) * scale
    return shown >= 10 ** (ROUNDED_DIGITS - 1) and abs(exact.value - decimal.value) * scale * 2 <= 1


def _ends(value: Fraction) -> bool:
    """Whether `value` can be written as a decimal that ends."""
    bottom = value.denominator
    return int(10 ** bottom.bit_length()) % bottom == 0


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
