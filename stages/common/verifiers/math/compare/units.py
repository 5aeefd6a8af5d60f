"""Units and words behind a number: what converts, what only names the thing counted, and what changes the value."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import NamedTuple

from stages.common.verifiers.math.compare.numbers import SCALE_LETTERS, SCALES, read_part

TABLE = Path(__file__).parent / "units.tsv"
"""Spellings, dimensions and sizes from pint's registry, made by `tests/support/unit_table.py`."""

_OWN = {
    "acre": "acre\tmeter2\t316160658/78125", "year": "yr year\tmonth1\t12", "month": "month\tmonth1\t1",
    "decade": "decade\tmonth1\t120", "century": "century centurie\tmonth1\t1200",
    "dollar": "dollar usd buck $\tdollar1\t1", "cent": "cent\tdollar1\t1/100", "euro": "euro eur €\teuro1\t1",
    "pound sterling": "gbp £\tsterling1\t1", "yuan": "yuan rmb cny 元\tyuan1\t1", "yen": "yen jpy ¥\tyen1\t1",
    "rupee": "rupee rs inr ₹\trupee1\t1", "paise": "paise\trupee1\t1/100", "ruble": "ruble rouble rub\truble1\t1",
    "degree": "degree deg °\tdegree1\t1", "radian": "radian rad\tradian1\t1", "celsius": "celsius\tcelsius1\t1",
    "fahrenheit": "fahrenheit\tfahrenheit1\t1", "ton": "ton\tton1\t1", "food calorie": "Cal\tfood1\t1",
}  # fmt: skip
"""Money, angles and calendar units, which convert among themselves only; an acre is 4,840 square yards."""

MONEY = frozenset(["dollar", "euro", "sterling", "yuan", "yen", "rupee", "ruble"])
_POUND = Fraction(45359237, 100000000)
_AMBIGUOUS: dict[tuple[str, str], tuple[Fraction | int, Fraction | int]] = {
    ("celsius", "degree"): (1, 1), ("fahrenheit", "degree"): (1, 1), ("sterling", "kilogram"): (_POUND, _POUND),
    ("ton", "kilogram"): (900, 1020), ("month", "second"): (28 * 86400, 31 * 86400),
}  # fmt: skip
"""Units whose names or sizes differ by place, and the least and most of the second that the first may be: a pound in
money or kilograms, a ton of 1000 kg or 2000 lb, a month of 28 to 31 days."""


def stem(word: str) -> str:
    """Return a word without the ending of its plural."""
    for ending, replacement in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word.removesuffix(ending) + replacement
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3, "squared": 2, "cubed": 3}
_FILLERS = frozenset(["unit", "of", "the", "in", "total", "altogether", "item", "is", "are", "a", "an"])
_PLAIN = frozenset(["more", "extra", "additional", "full", "whole", "us", "u"])
"""Words before a unit that make no other unit of it."""

CONTRASTS = tuple(frozenset(map(stem, words.split())) for words in (
    "increase decrease", "increased decreased", "profit loss", "gain loss", "above below", "more less", "more fewer",
    "greater less", "greater smaller", "north east south west northeast northwest southeast southwest", "left right",
    "up down", "upward downward", "am pm", "bc ad", "bce ce", "win loss draw tie", "win lose", "won lost",
    "before after", "later earlier", "ago later", "deposit withdrawal", "clockwise counterclockwise",
    "positive negative", "taller shorter", "longer shorter", "older younger", "faster slower", "heavier lighter",
    "higher lower", "larger smaller", "wider narrower", "early late", "hotter colder", "deep high", "inside outside",
    "boy girl", "man woman", "men women", "male female", "son daughter",
    "brother sister", "even odd", "maximum minimum", "head tail",
    "red blue green yellow black white purple orange brown pink",
    "january february march april may june july august september october november december",
    "monday tuesday wednesday thursday friday saturday sunday",
))  # fmt: skip
"""Words of which two different ones behind a number make two different answers."""

CHANGING = frozenset(map(stem, [
    "increase", "decrease", "increased", "decreased", "loss", "lose", "lost", "below", "less", "fewer", "under",
    "over", "down", "downward", "negative", "minus", "before", "after", "later", "earlier", "ago", "am", "pm", "bc",
    "ad", "bce", "ce", "north", "east", "south", "west", "northeast", "northwest", "southeast", "southwest",
    "clockwise", "counterclockwise", "withdrawal", "times", "each", "short", "pair", "couple",
    "early", "late", "debt", "fold", "factorial", "mod", "modulo", "remainder", "plus",
    "/mille", "basis", "morning", "afternoon", "evening", "noon", "midnight", "tenfold", "twofold", "threefold",
]))  # fmt: skip
"""Words that change what the number says, so that a number without them is not known to be the same.

Words that only say what was counted are none of them: 15 left, 3 wins and 5 years older are 15, 3 and 5.
"""

_ATOM = re.compile(r"[^\W\d_]+|°|[$€£¥₹]|\^-?\d|/")


class Unit(NamedTuple):
    """What stands behind a number.

    `dimensions` are base units with powers, `size` is in those; the number itself is raised to `power` and multiplied
    by `factor` (dozen: 12); `words` name something else, those `before` the unit may make another of it, such as a
    man-hour. `is_letter`: one letter, which may be a variable.
    """

    dimensions: tuple[tuple[str, int], ...] = ()
    size: Fraction = Fraction(1)
    factor: Fraction = Fraction(1)
    power: int = 1
    words: frozenset[str] = frozenset()
    before: frozenset[str] = frozenset()
    is_letter: bool = False
    is_percent: bool = False

    @property
    def changing(self) -> frozenset[str]:
        """The words that change the value; two words in one are those whose order counts: north of east."""
        return frozenset(word for word in self.words if word in CHANGING or " " in word)


class _Kind(NamedTuple):
    name: str
    dimensions: dict[str, int]
    size: Fraction


@cache
def _load_table() -> dict[str, _Kind]:
    lines = [line.split("\t", 1) for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    table: dict[str, _Kind] = {}
    for name, row in [*lines, *_OWN.items()]:
        spellings, bases, size = row.split("\t")
        powers = [re.fullmatch(r"([a-z]+)(-?\d+)", base) for base in bases.split()]
        kind = _Kind(name, {match[1]: int(match[2]) for match in powers if match}, Fraction(size))
        table.update((spelling.replace("_", " "), kind) for spelling in spellings.split())
    return table


def find_unit(word: str) -> _Kind | None:
    """Return the unit spelled `word`, in the singular or plural; None if the table does not hold it."""
    table = _load_table()
    for spelling in (word, word.lower()) if len(word) > 2 or word.islower() else (word,):
        found = table.get(spelling) or (table.get(spelling.removesuffix("s")) if len(spelling) > 2 else None)
        if found is not None:
            return found
    return None


def read_unit(text: str) -> Unit:
    """Return the unit and words in `text`, such as "cm^2", "miles per hour", "dozen red apples"."""
    atoms = _ATOM.findall(re.sub(r"[{}]|(?<=\bnon)-|(?<=\bper) (?=cent\b)", "", text))
    dimensions: dict[str, int] = {}
    size = factor = Fraction(1)
    power, direction, next_power, last = 1, 1, 1, None
    words: list[str] = []
    before: frozenset[str] = frozenset()
    position = 0
    while position < len(atoms):
        atom = atoms[position]
        word = atom.lower()
        pair = f"{word} {atoms[position + 1].lower()}" if position + 1 < len(atoms) else ""
        unit = find_unit(pair) if pair else None
        position += 1 if unit is None else 2
        is_inch = word != "in" or position == len(atoms) or atoms[position][0] in "/^"
        unit = unit or (find_unit(atom) if is_inch else None)
        is_each = word in ("a", "an") and (last is not None or bool(words)) and position < len(atoms)
        if atom == "/" or word == "per" or (is_each and find_unit(atoms[position]) is not None):
            direction = -1
        elif word in ("square", "sq", "cubic", "cu"):
            next_power = _POWERS[word]
        elif word in ("squared", "cubed") or atom[0] == "^":
            exponent = _POWERS[word] if atom[0] != "^" else int(atom[1:])
            if last is not None:
                for base, count in last.dimensions.items():
                    dimensions[base] = dimensions.get(base, 0) + direction * count * (exponent - 1)
                size *= last.size ** (direction * (exponent - 1))
            elif atom[0] != "^" and not words:
                power = exponent
        elif unit is not None:
            for base, count in unit.dimensions.items():
                dimensions[base] = dimensions.get(base, 0) + direction * count * next_power
            size *= unit.size ** (direction * next_power)
            before = frozenset(words) - _PLAIN if last is None else before
            next_power, last = 1, unit
        elif (scale := SCALES.get(word, SCALES.get(stem(word)))) is not None and not words:
            factor *= scale
        elif (part := read_part(word)) is not None and not words and last is None:
            factor /= part
        elif word not in _FILLERS and stem(word) not in _FILLERS:
            one = stem(word) if direction > 0 else f"/{stem(word)}"
            if words and words[-1] != one and any({words[-1], one} <= contrast for contrast in CONTRASTS):
                words.append(f"{words[-1]} {one}")
            words.append(one)
    return Unit(
        tuple(sorted((base, count) for base, count in dimensions.items() if count)), size, factor, power,
        frozenset(words), before, is_letter=re.fullmatch(r"[A-Za-z]", "".join(atoms)) is not None,
    )  # fmt: skip


def is_conversion(unit: Unit, quotient: Fraction) -> bool:
    """Return whether a number `quotient` times as large, without a unit, may be the same amount in another one."""
    kinds = [*_load_table().values()]
    if any(kind.dimensions == dict(unit.dimensions) and kind.size * quotient == unit.size for kind in kinds):
        return True
    if (unit.is_letter or unit.words) and quotient in SCALE_LETTERS.values():
        return True  # 5K and 5000
    is_price = len(unit.dimensions) > 1 and any(base in MONEY for base, _ in unit.dimensions)
    return is_price and quotient in (100, Fraction(1, 100))


def is_ambiguous(first: Unit, second: Unit, quotient: Fraction | None) -> bool:
    """Return whether two amounts in units of other kinds may be one; `quotient` is the first number by the second."""
    if ("food", 1) in first.dimensions + second.dimensions:
        return True  # a Cal is a kilocalorie, or a calorie at the beginning of a line
    if len(first.dimensions) != 1 or len(second.dimensions) != 1 or not quotient:
        return False
    for one, other, amount in ((first, second, 1 / quotient), (second, first, quotient)):
        low, high = _AMBIGUOUS.get((one.dimensions[0][0], other.dimensions[0][0]), (1, 0))
        if low <= amount * other.size / one.size <= high:
            return True
    return False


def is_contrast(first: frozenset[str], second: frozenset[str]) -> bool:
    """Return whether the two say different things of one class, such as east and west."""
    return any(
        one <= words and other <= words
        for words in CONTRASTS
        if (one := first & words) and (other := second & words) and not one & other
    )
