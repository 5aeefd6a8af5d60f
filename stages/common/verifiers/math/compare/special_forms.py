"""Answers that are no formulas: words, numbers in words, times, dates, numerals with a base, compound amounts."""

from __future__ import annotations

import re
from fractions import Fraction

from stages.common.verifiers.math.compare.answer_text import TEXT
from stages.common.verifiers.math.compare.numbers import SCALES, read_numeral
from stages.common.verifiers.math.compare.tokens import Node, ReadError
from stages.common.verifiers.math.compare.units import CONTRASTS, Unit, find_unit, read_unit, stem

_MONTH_NAMES = "january february march april may june july august september october november december"
_MONTHS = {name[:3]: number for number, name in enumerate(_MONTH_NAMES.split(), 1)}
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DATES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:\w+day,? )?{_MONTH} (?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:,? (?P<year>\d{{4}}))?",
        rf"(?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? (?P<year>\d{{4}}))?",
    )
)
_ISO_DATE = re.compile(r"(?P<year>\d{4})-(?P<month>0\d|1[0-2])-(?P<day>[0-3]\d)")
_NOON = {"noon": 12, "midnight": 0}
_TIME_CUT = re.compile(r"\d{1,2}:\d{2} ?[ap]\.*", re.IGNORECASE)
_TIME = re.compile(r"(\d{1,2})(?::(\d{2}))? ?([ap])\.? ?m\b\.*|(\d{1,2}):(\d{2})", re.IGNORECASE)
_BASED = re.compile(r"\(?([0-9A-Z]+)\)? ?_ ?(?:\{(?:\\text ?\{)?(?:base ?\}?)?([0-9]+|[a-z]+)\}?\}|([0-9]+))")
_PREFIXED_BASE = re.compile(r"0([xbo])([0-9a-fA-F]+)")
_BASE_NAMES = "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_BASES = {name: base for base, name in enumerate(_BASE_NAMES.split(), 2)}
_COUNTED = re.compile(r"(\d+) ?\^?\{?(?:\\text ?\{)?(?:st|nd|rd|th)\}?\}?")
_RINGS = re.compile(r"(?:\\ring ?\{\d+\}[,; ]*)+")
_COMPOUND = re.compile(
    r"(?P<number>\d+(?:\.\d+)?) ?(?:\\text ?\{ ?)?(?P<unit>[a-z]+)\.? ?\}?(?:,? ?(?:\\text ?\{ ?)?(?:and ?)?\}? ?)"
)
_MEANINGS = (
    (re.compile(
        r"(?:there (?:is|are) )?no(?: (?:real|integer|such|valid|possible|integral))*(?: (?:solutions?|roots?"
        r"|values?|numbers?|integers?|functions?|pairs?))(?: exists?)?|(?:the )?empty set|impossible"
        r"|no such (?:\w+ )?exists?"
    ), Node("set", ())),
    (re.compile(r"dne|(?:the limit )?does(?: not|n't) exist|do(?: not|n't) exist"), Node("words", ("does not exist",))),
    (re.compile(r"(?:(?:all|any|every) )?(?:the )?(?:set of )?(?:all )?real numbers?|all (?:the )?reals"),
     Node("number set", ("R",))),
    (re.compile(r"\+?(?:positive )?infinity"), Node("const", ("inf",))),
)  # fmt: skip
SHORT_WORDS = frozenset({"per", "of", "in", "sq", "pct"}).union(*CONTRASTS)
_SHORT_LABELS = frozenset({"a", "an", "the", "for", "old"})
_LEADING_WORDS = re.compile(r"(?:it is |it's |they are )?(?:(?:an?|the) )?(?=[a-z]{2})")
_YES_OR_NO = re.compile(r"(yes|no|true|false)[,.;:] ?.*", re.DOTALL)


def read_special(text: str) -> Node | None:
    """Return a time of day, a date, a numeral with a base, or a list of numbers in rings; 4:30 p raises `ReadError`."""
    plain = " ".join(TEXT.sub(r" \1 ", text).split())
    if (time := _TIME.fullmatch(plain)) is not None:
        hour, minute = int(time[1] or time[4]), int(time[2] or time[5] or 0)
        if hour > 24 or minute > 59 or (time[3] and not 1 <= hour <= 12):
            return None
        half = time[3].lower() if time[3] else None
        return Node("time", (hour % 12 + 12 * (half == "p") if half else hour, minute, half))
    if _TIME_CUT.fullmatch(plain):
        raise ReadError("a time that ends early")
    if (noon := _NOON.get(plain.lower().removeprefix("12 "))) is not None:
        return Node("time", (noon, 0, "p" if noon else "a"))
    if (iso := _ISO_DATE.fullmatch(plain)) is not None:
        return Node("date", (int(iso["month"]), int(iso["day"]), iso["year"]))
    for pattern in _DATES:
        if (date := pattern.fullmatch(plain.lower())) is not None:
            return Node("date", (_MONTHS[date["month"][:3]], int(date["day"]), date["year"]))
    if (based := _BASED.fullmatch(text)) is not None and (based[1][0].isdigit() or len(based[1]) > 1):
        base = _BASES.get(based[2], int(based[3] or based[2]) if (based[3] or based[2]).isdigit() else 0)
        if 2 <= base <= 36 and all(int(digit, 36) < base for digit in based[1]):
            return Node("based", (based[1], base))
        return None
    if (prefixed := _PREFIXED_BASE.fullmatch(text)) is not None:
        base = {"x": 16, "b": 2, "o": 8}[prefixed[1]]
        return Node("based", (prefixed[2], base)) if all(int(one, 16) < base for one in prefixed[2]) else None
    if _RINGS.fullmatch(text) is not None:
        return Node("list", (tuple(Node("name", (f"ring {n}",)) for n in re.findall(r"\d+", text)), "and"))
    if (counted := _COUNTED.fullmatch(text)) is not None:
        return Node("num", (Fraction(int(counted[1])), None, 0))
    return None


def read_words(text: str) -> Node | None:
    """Return an answer in words, a number in words among them; None where the text holds mathematics."""
    plain = TEXT.sub(r"\1", text)
    if (not plain.isascii() and not re.search(r"[\\\d=]", plain)) or re.fullmatch(
        r"[A-Za-z][A-Za-z ,.;:'!?()-]*[A-Za-z.!?')]", plain
    ):
        phrase = _LEADING_WORDS.sub("", plain.strip().casefold().removesuffix("."), count=1)
    elif (more := _YES_OR_NO.fullmatch(plain.casefold())) is not None:
        return Node("words", (more[1],))
    else:
        return None
    for pattern, meaning in _MEANINGS:
        if pattern.fullmatch(phrase):
            return meaning
    if (value := read_numeral(phrase)) is not None:
        return Node("num", (value, None, 0))
    if (more := _YES_OR_NO.fullmatch(phrase)) is not None:
        return Node("words", (more[1],))
    is_text = "\\text" in text
    runs = re.findall(r"[A-Za-z]+", plain)
    if not is_text and all(_is_formula_run(run) for run in runs):
        return None
    if is_text and len(runs) == 1 and len(runs[0]) == 1:
        return None
    if re.search(r",| and | or ", phrase) and len(runs) > 1:
        parts = [part for part in re.split(r", ?(?:and |or )?| and | or ", phrase) if part]
        if len(parts) > 1 and all(len(part.split()) <= 4 for part in parts):
            return Node("list", (tuple(_make_word(part) for part in parts), "or" if " or " in phrase else "and"))
    if is_text and len(runs) == 1 and runs[0].isupper():
        return Node("words", (runs[0],))  # a word of capitals, such as HTH, keeps them
    return Node("words", (" ".join(phrase.split()),))


def _make_word(part: str) -> Node:
    value = read_numeral(part)
    if value is not None:
        return Node("num", (value, None, 0))
    return Node("words", (part,)) if len(part) > 1 else Node("name", (part.upper(),))


def _is_formula_run(run: str) -> bool:
    """Return whether letters outside of a text may be names of a formula."""
    if len(run) == 1:
        return True
    if run.casefold() in ("dne", "yes", "no") or run.casefold() in SHORT_WORDS:
        return False
    return (
        run.isupper()
        or run in ("and", "or", "in", "pi", "sqrt", "sin", "cos", "tan", "ln", "log", "exp", "inf")
        or (len(run) <= 3 and read_numeral(run) is None)
    )


def is_label(run: str) -> bool:
    """Return whether letters behind a number are a unit or a word, and not names of a formula."""
    return (
        len(run) > 3
        or find_unit(run) is not None
        or stem(run) in SCALES
        or run.lower() in SHORT_WORDS
        or run.lower() in _SHORT_LABELS
    )


def read_compound(text: str) -> Node | None:
    """Return an amount in several units, such as 6 feet 2 inches, in the first of them."""
    parts: list[tuple[Fraction, Unit]] = []
    position = 0
    while position < len(text) and len(parts) < 5:
        match = _COMPOUND.match(text, position)
        if match is None or find_unit(match["unit"]) is None:
            return None
        parts.append((Fraction(match["number"]), read_unit(match["unit"])))
        position = match.end()
    sizes = [unit.size for _, unit in parts]
    is_one = len({unit.dimensions for _, unit in parts}) == 1 and sizes == sorted(set(sizes), reverse=True)
    if position < len(text) or len(parts) < 2 or not is_one:
        return None
    total = sum((number * unit.size for number, unit in parts), Fraction(0)) / parts[0][1].size
    return Node("quantity", (Node("num", (total, None, 0)), parts[0][1]))
