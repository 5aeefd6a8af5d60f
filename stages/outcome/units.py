r"""Units: taken off an answer, and told apart where both answers have one."""

from __future__ import annotations

import re
from fractions import Fraction

_NAMES = {
    name: unit
    for unit, names in {
        "mm": "mm millimeter millimetre", "cm": "cm centimeter centimetre", "m": "m meter metre",
        "km": "km kilometer kilometre", "inch": "in inch inche", "foot": "ft foot feet", "yard": "yd yard",
        "mile": "mi mile", "mg": "mg milligram", "gram": "g gram", "kg": "kg kilogram", "ounce": "oz ounce",
        "pound": "lb pound", "ton": "ton", "ml": "ml milliliter millilitre", "liter": "l liter litre",
        "gallon": "gal gallon", "quart": "qt quart", "pint": "pt pint", "cup": "cup",
        "second": "s sec second", "minute": "min minute", "hour": "h hr hour", "day": "day", "week": "week",
        "month": "month", "year": "yr year", "km/h": "km/h kph kmh kilometers_per_hour km_per_hour",
        "mph": "mph miles_per_hour mi/h", "m/s": "m/s meters_per_second", "ft/s": "ft/s feet_per_second",
        "dollar": "dollar usd buck", "euro": "euro eur", "cent": "cent", "degree": "degree deg",
        "radian": "rad radian", "": "unit units item items",
    }.items()
    for name in names.split()
}  # fmt: skip
"""Spellings without the plural's s; those of several words are joined by a low line."""

_SIZES = {
    unit: (kind, Fraction(size))
    for kind, units in {
        "metric length": {"mm": "1", "cm": "10", "m": "1000", "km": "1000000"},
        "length": {"inch": "1", "foot": "12", "yard": "36", "mile": "63360"},
        "metric mass": {"mg": "1", "gram": "1000", "kg": "1000000"},
        "mass": {"ounce": "1", "pound": "16"},
        "metric volume": {"ml": "1", "liter": "1000"},
        "volume": {"cup": "1", "pint": "2", "quart": "4", "gallon": "16"},
        "time": {"second": "1", "minute": "60", "hour": "3600", "day": "86400", "week": "604800"},
        "money": {"cent": "1", "dollar": "100"},
    }.items()
    for unit, size in units.items()
}
"""Units that are multiples of each other: what they measure, and how much of its smallest unit they are."""

_POWERS = {"square": "2", "sq": "2", "cubic": "3", "cu": "3"}
_TEXT = r" ?\\text\{[ ~]*(?P<text>[^{}]{1,40})\}"
_WORDS = r" (?P<words>[a-zA-Z][a-zA-Z /.]{0,40})"
_JOINED = r"(?P<joined>[a-zA-Z]{2,12}|km/h|m/s|ft/s)"
_UNIT = re.compile(rf"(?P<body>.*?[\d}})%])(?:{_TEXT}|{_WORDS}|{_JOINED})(?:\^\{{?(?P<power>[23])\}}?)?")
_AFTER_SYMBOL = re.compile(rf"(?P<body>.*?[a-zA-Z])(?:{_TEXT}|{_WORDS})(?:\^\{{?(?P<power>[23])\}}?)?")
_ORDINAL = re.compile(r"(\d+)(?:\^?\{?\\text\{(?:st|nd|rd|th)\}\}?|(?:st|nd|rd|th))")
_MONEY_BEFORE = re.compile(r"(?:(?P<dollar>\\?\$|USD|US\\?\$)|(?P<other>€|£|¥|₹|EUR|Rs\.?)) ?(?=[-+\d.\\])")
_DEGREES = re.compile(r"\^\\circ ?(?:\\text\{ ?[CFK]\}|[CFK])?\Z")
_NOT_UNITS = re.compile(
    r"\b(?:and|or|if|when|where|for|in|to|is|are|mod|base|at|choose|theta|alpha|beta|gamma|delta|lambda|sigma|omega"
    r"|infinity|infty|sqrt|thousand|million|billion|trillion)\b",
    re.IGNORECASE,
)
_LONG_WORDS = re.compile(r"[A-Za-z]{4,}(?:[ /][A-Za-z]{3,})*")
"""Words too long to be a product of variables."""


def split_unit(text: str) -> tuple[str, str | None]:
    r"""The normalised `text` without its unit, and the unit; "" for one that the table does not know, None for none.

    ``5 \text{ cm}^2`` is 5 and cm2, ``\$5`` is 5 and dollar, ``90^\circ`` is 90 and degree, ``12 apples`` is 12 and "".
    A unit is written as text, or is in the table, or is a word too long to be a product of variables.
    """
    if (money := _MONEY_BEFORE.match(text)) and text[money.end() :]:
        return text[money.end() :], "dollar" if money["dollar"] else ""
    if text.startswith("-") and (money := _MONEY_BEFORE.match(text, 1)):
        return "-" + text[money.end() :], "dollar" if money["dollar"] else ""
    if degrees := _DEGREES.search(text):
        return text[: degrees.start()], "degree"
    if ordinal := _ORDINAL.fullmatch(text):
        return ordinal[1], ""
    match = _UNIT.fullmatch(text)
    if match is not None:
        return _after_number(text, match)
    match = _AFTER_SYMBOL.fullmatch(text)
    if match is None:
        return text, None
    name = match["text"] or match["words"]
    unit = _known(name, match["power"] or "")
    # After a symbol only a known unit of several letters is one: x m is a product, and 2 theta a number.
    return (text, None) if unit is None or len(name.strip()) < 2 else (match["body"].rstrip(), unit)


def conversion(unit: str, other: str) -> Fraction | None:
    """How many of `other` one `unit` is, None where they do not measure the same."""
    power = unit[-1] if unit[-1:] in ("2", "3") else ""
    if not other.endswith(power):
        return None
    first, second = (_SIZES.get(name.removesuffix(power)) for name in (unit, other))
    if first is None or second is None or first[0] != second[0]:
        return None
    return (first[1] / second[1]) ** int(power or 1)


def _after_number(text: str, match: re.Match[str]) -> tuple[str, str | None]:
    body = match["body"].rstrip()
    name = (match["text"] or match["words"] or match["joined"]).strip().strip(".").lower()
    if name in ("percent", "percentage", "pct"):
        return body + "%", None
    unit = _known(name, match["power"] or "")
    if unit is not None:
        return body, unit
    as_text = match["text"] is not None
    as_word = match["words"] is not None and _LONG_WORDS.fullmatch(name) is not None
    if not (as_text or as_word) or _NOT_UNITS.search(name) or "$" in name:
        return text, None
    return body, ""


def _known(name: str, power: str) -> str | None:
    """The table's name of a unit with its power, None for one that it does not hold."""
    words = name.strip(" .").lower().split()
    if len(words) > 1 and words[0] in _POWERS:
        power, words = _POWERS[words[0]], words[1:]
    elif len(words) > 1 and words[-1] in ("squared", "cubed"):
        power, words = "2" if words[-1] == "squared" else "3", words[:-1]
    joined = "_".join(words)
    unit = _NAMES.get(joined, _NAMES.get(joined.removesuffix("s")))
    return None if unit is None else unit + power if unit else ""
