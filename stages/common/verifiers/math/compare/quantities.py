r"""Quantities: numbers with units or currencies, and amounts in several units such as 5 feet 6 inches."""

from __future__ import annotations

import re
from fractions import Fraction

from stages.common.verifiers.verifier import Decision

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
"""Spellings without the plural's s, words joined by an underscore."""

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
"""Units that convert into each other: what they measure, and their size in its smallest unit."""

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
    r"""Return the normalised `text` without its unit, and the unit ("" if not in the table, None if there is none).

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
        return _split_after_number(text, match)
    match = _AFTER_SYMBOL.fullmatch(text)
    if match is None:
        return text, None
    name = match["text"] or match["words"]
    unit = _find_unit(name, match["power"] or "")
    # After a symbol only a known unit of several letters counts: x m is a product, and 2 theta a number.
    return (text, None) if unit is None or len(name.strip()) < 2 else (match["body"].rstrip(), unit)


def get_unit_factor(unit: str, other: str) -> Fraction | None:
    """Return how many of `other` one `unit` is, None if they do not measure the same."""
    power = unit[-1] if unit[-1:] in ("2", "3") else ""
    if not other.endswith(power):
        return None
    first, second = (_SIZES.get(name.removesuffix(power)) for name in (unit, other))
    if first is None or second is None or first[0] != second[0]:
        return None
    return (first[1] / second[1]) ** int(power or 1)


def _split_after_number(text: str, match: re.Match[str]) -> tuple[str, str | None]:
    body = match["body"].rstrip()
    name = (match["text"] or match["words"] or match["joined"]).strip().strip(".").lower()
    if name in ("percent", "percentage", "pct"):
        return body + "%", None
    unit = _find_unit(name, match["power"] or "")
    if unit is not None:
        return body, unit
    as_text = match["text"] is not None
    as_word = match["words"] is not None and _LONG_WORDS.fullmatch(name) is not None
    if not (as_text or as_word) or _NOT_UNITS.search(name) or "$" in name:
        return text, None
    return body, ""


def _find_unit(name: str, power: str) -> str | None:
    """Return the table's name of a unit with its power, None if the table does not hold it."""
    words = name.strip(" .").lower().split()
    if len(words) > 1 and words[0] in _POWERS:
        power, words = _POWERS[words[0]], words[1:]
    elif len(words) > 1 and words[-1] in ("squared", "cubed"):
        power, words = "2" if words[-1] == "squared" else "3", words[:-1]
    joined = "_".join(words)
    unit = _NAMES.get(joined, _NAMES.get(joined.removesuffix("s")))
    return None if unit is None else unit + power if unit else ""


_QUANTITY = re.compile(
    r"(?P<number>\d{1,12}(?:\.\d{1,12})?) ?(?:\\text\{ ?)?(?P<unit>[a-z]{1,12})\.? ?\}?"
    r"(?:,? ?(?:\\text\{ ?)?\band ?\}? ?|, ?| )?"
)
_MAX_QUANTITIES = 4


def compare_compound(left: str, right: str) -> Decision | None:
    """Compare amounts; None unless one is in several units and both can be added up."""
    first, second = _parse_quantities(left), _parse_quantities(right)
    if first is None or second is None or max(len(first), len(second)) < 2:
        return None
    unit = first[0][1]
    totals = [_add_quantities(quantities, unit) for quantities in (first, second)]
    return None if None in totals else (totals[0] == totals[1], f"amounts in {unit}")


def _parse_quantities(text: str) -> list[tuple[Fraction, str]] | None:
    quantities: list[tuple[Fraction, str]] = []
    position = 0
    while position < len(text):
        match = _QUANTITY.match(text, position)
        unit = None if match is None else split_unit(f"1 {match['unit']}")[1]
        if match is None or not unit or len(quantities) >= _MAX_QUANTITIES:
            return None
        quantities.append((Fraction(match["number"]), unit))
        position = match.end()
    return quantities or None


def _add_quantities(quantities: list[tuple[Fraction, str]], unit: str) -> Fraction | None:
    """Return the sum in `unit`, None if a quantity measures something else."""
    factors = [Fraction(1) if own == unit else get_unit_factor(own, unit) for _, own in quantities]
    if None in factors:
        return None
    return sum((number * (factor or 0) for (number, _), factor in zip(quantities, factors, strict=True)), Fraction(0))
