"""Names and nouns of school problems, and how they are put into sentences."""

import random
import re
from collections.abc import Mapping

GIRLS = ["Mia", "Ana", "Eva", "Ida", "Zoe", "Amy", "Nora", "Lena", "Ruth", "Sara", "Clara", "Julia", "Emma", "Lucy"]
BOYS = ["Tom", "Leo", "Max", "Ben", "Sam", "Jan", "Paul", "Omar", "Felix", "Hugo", "Ivan", "Karl", "Noah", "Luis"]

WORDS = {
    "thing": "marble card sticker stamp shell button bead coin badge magnet",
    "fruit": "apple pear plum peach lemon orange melon fig",
    "box": "box bag crate basket tray bucket",
    "tool": "pen pencil notebook eraser ruler brush marker folder",
    "sweet": "cookie muffin waffle tart pancake bun",
    "toy": "kite ball puzzle car doll robot drum",
}
"""Nouns by kind; ``{thing}`` is one of them, ``{things}`` its plural, the same one all through a problem."""

ASIDES = (
    "{other} lives in the house with number {d}.",
    "The radio of {name} plays {d} songs.",
    "The cat of {name} is {d} years old.",
    "It is {d} degrees outside.",
    "{other} has {d} cousins.",
    "The house of {name} has {d} windows.",
    "{name} will go on a trip in {d} weeks.",
)
"""Sentences whose number plays no part."""

_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")
_SLOT = re.compile(r"\{([^{}]+)\}")


def make_plural(noun: str) -> str:
    """The plural of a noun of `WORDS`."""
    return f"{noun}es" if noun.endswith(("x", "s", "sh", "ch")) else f"{noun}s"


def draw_words(rng: random.Random) -> dict[str, str]:
    """Words for every slot: two names, their pronouns, a noun of each kind with its plural, a number for asides."""
    name, other = rng.sample(GIRLS + BOYS, 2)
    she, her = ("she", "her") if name in GIRLS else ("he", "his")
    words = {"name": name, "other": other, "she": she, "She": she.capitalize(), "her": her}
    words["d"] = str(rng.randint(3, 19))
    for kind, nouns in WORDS.items():
        noun = rng.choice(nouns.split())
        words[kind], words[make_plural(kind)] = noun, make_plural(noun)
    return words


def fill_slots(text: str, words: Mapping[str, object], rng: random.Random) -> str:
    """`text` with its slots filled; of ``{buys|gets}`` one is chosen. Articles follow the noun: an apple."""

    def fill(slot: re.Match[str]) -> str:
        choices = slot[1].split("|")
        return rng.choice(choices) if len(choices) > 1 else str(words[slot[1]])

    return _ARTICLE.sub(r"\1n ", _SLOT.sub(fill, text))
