"""What words do to the numbers beside them: units, ends of an expression, sources of ambiguity."""

from typing import NamedTuple


def make_word_set(words: str) -> frozenset[str]:
    """The words of `words`, separated by spaces."""
    return frozenset(words.split())


NUMBERED_NOUNS = make_word_set(
    "step case day part question problem week month year equation line option figure method example chapter page "
    "section number no round item row column stage level grade game point theorem lemma problem exercise task angle "
    "circle triangle box team person player trial statement formula"
)
"""Nouns followed by a number that names and does not count: "Step 2"."""

MODIFIERS_BEFORE = make_word_set(
    "half third thirds quarter quarters fourth fourths fifth fifths sixth tenth twice thrice double triple by than "
    "less more from to per minus plus times negative log ln sin cos tan sqrt root square squared cube cubed mod modulo "
    "lcm gcd between until through approximately about roughly around nearly almost over under not percent except if "
    "suppose assume whether base until divided multiplied raised power difference product sum ratio another "
    "other additional extra like say e.g average remainder remaining abs round floor ceil ceiling int exp max min det"
)
"""Words that may change the value of the expression after them."""

FUNCTION_NOUNS = make_word_set(
    "digit digits divisors factors primes mean inverse reciprocal perimeter logarithm complement opposite order "
    "residue parity"
)
"""Nouns that, with "of", make the expression after them another value: the last digit of 3 * 7."""

MODIFIERS_AFTER = make_word_set(
    "dozen dozens hundred hundreds thousand thousands million millions billion billions trillion half percent "
    "halves thirds fourths quarters fifths sixths eighths tenths "
    "percentage remainder r mod modulo base squared cubed times more less fewer choose each remainders "
    "approximately about roughly rounded approx pairs pair couple couples twins gross score rem off discount tax tip "
    "interest markup increase decrease"
)
"""Words that may change the value of the number before them."""

CONNECTIVES = make_word_set(
    "a an and or but so then is are was were be has have had that which who this these those the it its he she they "
    "we you his her their our if since because as for from to in on at by with when where while thus hence therefore "
    "gives give get gets equals equal means not there now also only next first second third finally let"
)
"""Words that are never part of a unit."""

CONCLUSIONS = CONNECTIVES - make_word_set("in on at by with for from to of a an the and or not but each")
"""Words after which a number is no part of a name, as it is in "rows 1 or 2"."""

_UNITS = {
    name: dimension
    for dimension, names in {
        "time": "second seconds sec secs minute minutes min mins hour hours hr hrs day days week weeks month months "
        "year years decade decades century centuries am pm",
        "length": "mm cm m km inch inches ft foot feet yard yards yd mile miles meter meters metre metres "
        "centimeter centimeters centimetre centimetres millimeter millimeters kilometer kilometers kilometre "
        "kilometres",
        "weight": "mg g kg gram grams kilogram kilograms ounce ounces oz pound pounds lb lbs ton tons tonne tonnes",
        "volume": "ml l liter liters litre litres milliliter milliliters cup cups pint pints quart quarts gallon "
        "gallons tablespoon tablespoons teaspoon teaspoons tbsp tsp",
        "money": "dollar dollars cent cents penny pennies nickel nickels dime dimes quarter quarters euro euros",
        "angle": "degree degrees radian radians revolution revolutions",
    }.items()
    for name in names.split()
}  # fmt: skip

MAX_UNIT_WORDS = 3


class WordRun(NamedTuple):
    """Adjacent words, and whether the first is attached to the number before it (5cm, 3rd)."""

    words: tuple[str, ...]
    is_attached: bool


def is_unit(run: WordRun) -> bool:
    """Whether `run` after a number is a unit or names what is counted: apples, miles/hour, green balls."""
    if run.is_attached:
        return len(run.words) == 1 and run.words[0] in _UNITS
    return len(run.words) <= MAX_UNIT_WORDS and not any(
        word in CONNECTIVES or word in MODIFIERS_AFTER or word[0].isupper() or (len(word) == 2 and word not in _UNITS)
        for word in run.words
    )


def find_units(words: tuple[str, ...]) -> set[tuple[str, str]]:
    """The units of measure among `words`, as (dimension, name)."""
    parts = [part.rstrip("s") for word in words for part in word.lower().split("/")]
    known = {name.rstrip("s"): dimension for name, dimension in _UNITS.items()}
    return {(known[part], part) for part in parts if part in known}
