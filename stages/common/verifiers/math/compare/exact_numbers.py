r"""Numbers read exactly: integers, decimals, recurring decimals, fractions, mixed numbers, powers of ten, percent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

MAX_NUMBER_CHARS = 120
"""Longest text, in characters, that is read as a number."""

MAX_EXPONENT = 60

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

_MIN_PERIOD_DIGITS = 3
"""Fewest repeated digits before three dots that make a period."""

ROUNDED_DIGITS = 5
"""Fewest significant digits of a decimal that equals the number that rounds to it."""


@dataclass(frozen=True)
class ExactNumber:
    """A number: its `value` as written, whether a percent sign follows, and its decimal `places` (None: no decimal)."""

    value: Fraction
    percent: bool
    places: int | None = None

    @property
    def is_decimal(self) -> bool:
        """Whether it is written as a finite decimal."""
        return self.places is not None


def parse_number(text: str) -> ExactNumber | None:
    """Return the number that the normalised `text` is, None if it is none or longer than `MAX_NUMBER_CHARS`."""
    if len(text) > MAX_NUMBER_CHARS or not text or text[-1] not in "0123456789.%})dn":
        return None
    match = _FORMS.fullmatch(text)
    if match is None:
        return None
    part = match.groupdict()
    value = _read_value(part)
    if value is None:
        return None
    if (part["sign"] == "-") != (part["after"] == "-"):
        value = -value
    value *= _LARGE[part["large"].strip(" }").removeprefix(r"\text{").strip()] if part["large"] else 1
    plain = part["decimal"] is not None and part["large"] is None and "." in part["decimal"]
    places = len(part["decimal"].split(".")[1]) if plain else None
    return ExactNumber(value, part["percent"] is not None, places)


def _read_value(part: dict[str, str | None]) -> Fraction | None:
    """Return the number without its sign, from the groups of `_FORMS`."""
    if (period := part["over"] or part["dot"] or part["bracket"]) is not None:
        return _read_recurring(part["before"] or "0", part["fixed"] or "", period)
    if (begun := part["begun"]) is not None:
        match = _REPEATING.fullmatch(begun)
        if match is None or match.end() - match.start("period") < _MIN_PERIOD_DIGITS:
            return None
        return _read_recurring(match["before"] or "0", match["fixed"], match["period"])
    if (power := part["power"]) is not None:
        return _scale("1", int(power))
    if (mantissa := part["mantissa"]) is not None:
        return _scale(mantissa, int(part["ten"] or part["e"] or 0))
    if (top := part["top"]) is not None:
        if part["whole"] and part["minus"]:
            return None
        return _add_fraction(part["whole"], f"{part['minus']}{top}", part["bottom"] or "0")
    if (top := part["over_top"]) is not None:
        return _add_fraction(part["units"], top, part["over_bottom"] or "0")
    return _read_decimal(part["decimal"] or "0")


def is_rounding(exact: ExactNumber, decimal: ExactNumber) -> bool:
    """Return whether `decimal`, of `ROUNDED_DIGITS` or more digits, is `exact` rounded; no finite decimal is."""
    if decimal.places is None or exact.is_decimal or exact.percent != decimal.percent:
        return False
    if _is_finite_decimal(exact.value):
        return False
    scale = int(10**decimal.places)
    shown = abs(decimal.value) * scale
    return shown >= 10 ** (ROUNDED_DIGITS - 1) and abs(exact.value - decimal.value) * scale * 2 <= 1


def _is_finite_decimal(value: Fraction) -> bool:
    """Return whether `value` is a finite decimal."""
    bottom = value.denominator
    return int(10 ** bottom.bit_length()) % bottom == 0


def _read_decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", "").rstrip("."))


def _read_recurring(before: str, fixed: str, period: str) -> Fraction:
    """Return the number ``before.fixed`` followed by `period` repeated."""
    shift = 10 ** len(fixed)
    return Fraction(int(before + fixed), shift) + Fraction(int(period), shift * (10 ** len(period) - 1))


def _scale(mantissa: str, exponent: int) -> Fraction | None:
    if abs(exponent) > MAX_EXPONENT:
        return None
    return _read_decimal(mantissa) * Fraction(10) ** exponent


def _add_fraction(whole: str | None, top: str, bottom: str) -> Fraction | None:
    if int(bottom) == 0:
        return None
    return int(whole or 0) + Fraction(int(top), int(bottom))


_SMALL_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen"
)
_TENS_NAMES = "twenty thirty forty fifty sixty seventy eighty ninety"
_PART_NAMES = "half third fourth fifth sixth seventh eighth ninth tenth"

_SMALL = {name: value for value, name in enumerate(_SMALL_NAMES.split())}
_TENS = {name: 10 * value for value, name in enumerate(_TENS_NAMES.split(), start=2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6}
_PARTS = {name: str(value) for value, name in enumerate(_PART_NAMES.split(), start=2)} | {"halve": "2", "quarter": "4"}

_MAX_WORDS = 8


def parse_numeral(phrase: str) -> str | None:
    """Return a number in lower-case words in digits (a fraction as 2/3), None if `phrase` is none."""
    words = phrase.replace("-", " ").replace(" and ", " ").split(" ")
    if len(words) > _MAX_WORDS:
        return None
    part = _PARTS.get(words[-1].removesuffix("s"))
    if part is None:
        value = _read_whole(words)
        return None if value is None else str(value)
    if len(words) > 2:
        return None
    top = _SMALL.get(words[0]) if len(words) == 2 else 1
    return None if top is None else f"{top}/{part}"


def _read_whole(words: list[str]) -> int | None:
    """Return the whole number that `words` stand for, None if they are none or in the wrong order."""
    total, group, least = 0, 0, 100
    for word in words:
        if word in _SCALES:
            if group == 0:
                return None
            group *= _SCALES[word]
            least = 100
            if word != "hundred":
                total, group = total + group, 0
            continue
        value = _SMALL.get(word, _TENS.get(word))
        if value is None or value >= least:
            return None
        group += value
        least = 10 if word in _TENS else 1
    return total + group
