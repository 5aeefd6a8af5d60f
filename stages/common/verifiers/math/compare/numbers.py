r"""Numbers read exactly: integers, decimals, recurring decimals, fractions, mixed numbers, powers of ten, and words."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

MAX_NUMBER_CHARS = 600
"""Longest text, in characters, that is read as a number."""

MAX_EXPONENT = 400
"""Largest power of ten, either way, that is read as a number."""

_DECIMAL = r"(?:[1-9]\d{0,2}(?:,\d{3})+(?![\d,])|[1-9]\d{0,2}(?: \d{3})+(?!\d)|\d+)(?:\.\d*)?|\.\d+"
_FORMS = re.compile(
    rf"(?P<sign>[-+]?) ?(?:"
    rf"(?P<begun>\d*\.\d+) ?\.\.\.|"
    rf"(?P<before>\d*)\.(?P<fixed>\d*?)(?P<period>\\overline ?\{{\d+\}}"
    rf"|\\overline ?\d|(?:\\dot ?\{{\d\}})+(?:\d*\\dot ?\{{\d\}})?"
    rf"|\(\d+\))"
    rf"|(?P<mantissa>{_DECIMAL})(?:(?:\\times|\\cdot|\*) ?10 ?\^ ?\{{?(?P<ten>[-+]?\d+)\}}?|[eE](?P<e>[-+]?\d+))"
    rf"|10\^\{{?(?P<power>-?\d+)\}}?"
    rf"|(?:(?P<whole>\d+) ?)?\\frac ?(?:\{{(?P<top>-?\d+)\}}|(?P<top_digit>\d)) ?"
    rf"(?:\{{(?P<bottom>-?\d+)\}}|(?P<digit>\d))"
    rf"|(?:(?P<units>\d+) )?(?P<over_top>\d+)/(?P<over_bottom>\d+)"
    rf"|(?P<decimal>{_DECIMAL})"
    rf")",
    re.ASCII,
)
_REPEATING = re.compile(r"(?P<before>\d*)\.(?P<fixed>\d*?)(?P<period>\d{1,12}?)(?P=period)+")
_MIN_PERIOD_DIGITS = 3
"""Fewest repeated digits before three dots that make a period."""


class Number(NamedTuple):
    """A number: its `value` as written; of a decimal also the value of its last digit and its significant digits."""

    value: Fraction
    last_digit: Fraction | None = None
    digits: int = 0


def read_number(text: str) -> Number | None:
    """Return the number that the plain `text` is, None if it is none or longer than `MAX_NUMBER_CHARS`."""
    if len(text) > MAX_NUMBER_CHARS or not text or text[-1] not in "0123456789.)}":
        return None
    match = _FORMS.fullmatch(text)
    if match is None:
        return None
    number = _read_form(match)
    return number._replace(value=-number.value) if number is not None and match["sign"] == "-" else number


def _read_form(match: re.Match[str]) -> Number | None:
    """Return the number without its sign."""
    if match["decimal"] is not None:
        return _read_decimal(match["decimal"], 0)
    if match["period"] is not None:
        return _read_recurring(match["before"], match["fixed"], re.sub(r"\D", "", match["period"]))
    if match["begun"] is not None:
        repeating = _REPEATING.fullmatch(match["begun"])
        if repeating is None or repeating.end() - repeating.start("period") < _MIN_PERIOD_DIGITS:
            return None
        return _read_recurring(repeating["before"], repeating["fixed"], repeating["period"])
    if match["mantissa"] is not None:
        return _read_decimal(match["mantissa"], int(match["ten"] or match["e"] or 0))
    if match["power"] is not None:
        return _read_decimal("1", int(match["power"]))
    top, bottom = (
        match["top"] or match["top_digit"] or match["over_top"],
        match["bottom"] or match["digit"] or match["over_bottom"],
    )  # fmt: skip
    whole = match["whole"] or match["units"]
    if int(bottom) == 0 or (whole is not None and not 0 < int(top) < int(bottom)):
        return None  # 2\frac{3}{2} may be a product
    return Number(int(whole or 0) + Fraction(int(top), int(bottom)))


def _read_decimal(text: str, exponent: int) -> Number | None:
    """Return a decimal times a power of ten."""
    if abs(exponent) > MAX_EXPONENT:
        return None
    digits = text.replace(",", "").replace(" ", "")
    whole, _, places = digits.partition(".")
    scale = Fraction(10) ** exponent
    value = Fraction(int(whole + places or "0"), 10 ** len(places)) * scale
    if not places:
        return Number(value)
    return Number(value, scale / 10 ** len(places), len((whole + places).lstrip("0")))


def _read_recurring(before: str, fixed: str, period: str) -> Number:
    """Return the number ``before.fixed`` followed by `period` repeated."""
    shift = 10 ** len(fixed)
    return Number(Fraction(int(before + fixed or "0"), shift) + Fraction(int(period), shift * (10 ** len(period) - 1)))


_SMALL_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen"
)
_PART_NAMES = "half third fourth fifth sixth seventh eighth ninth tenth"
_SMALL = {name: value for value, name in enumerate(_SMALL_NAMES.split())}
_TENS = {
    name: 10 * value
    for value, name in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_PARTS = {
    name: value for value, name in enumerate(_PART_NAMES.split(), 2)
} | {"halve": 2, "quarter": 4, "hundredth": 100, "thousandth": 1000}  # fmt: skip

SCALES = {
    "dozen": 12, "score": 20, "gross": 144, "hundred": 100, "thousand": 1000, "lakh": 10**5, "million": 10**6,
    "crore": 10**7, "billion": 10**9, "trillion": 10**12,
}  # fmt: skip
"""Words that multiply the number before them."""

SCALE_LETTERS = {
    letters: 10**power
    for power, names in {3: "k K", 6: "m M mn mil mln MM", 9: "b B bn G", 12: "t T tn"}.items()
    for letters in names.split()
}
"""Letters behind a number that may be such a word, a unit or a name."""

_MAX_WORDS = 10


def read_part(word: str) -> int | None:
    """Return 3 for "third" and "thirds", None for a word that names no part."""
    return _PARTS.get(word, _PARTS.get(word.removesuffix("s")))


def read_numeral(phrase: str) -> Fraction | None:
    """Return the value of a number in lower-case words, None if `phrase` is none."""
    words = phrase.replace("-", " ").replace(" and ", " ").split()
    if not words or len(words) > _MAX_WORDS:
        return None
    if words[0] in ("negative", "minus"):
        value = read_numeral(" ".join(words[1:]))
        return None if value is None else -value
    part = read_part(words[-1])
    if part is not None and words[-2:-1] == ["a"] and len(words) > 2:  # one and a half
        whole = _read_whole(words[:-2])
        return None if whole is None else whole + Fraction(1, part)
    if part is None:
        whole = _read_whole(words)
        return None if whole is None else Fraction(whole)
    top = 1 if words == ["half"] or words[:-1] in (["a"], ["an"]) else _read_whole(words[:-1])
    return Fraction(top, part) if top is not None and top < 100 else None


def _read_whole(words: list[str]) -> int | None:
    """Return the whole number that `words` stand for, None if they are none or in the wrong order."""
    if not words:
        return None
    total, group, least = 0, 0, 100
    for word in ("one", *words[1:]) if words[0] in ("a", "an") else words:
        if word in SCALES:
            if group == 0:
                return None
            group *= SCALES[word]
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
