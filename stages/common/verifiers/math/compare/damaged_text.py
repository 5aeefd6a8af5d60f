"""Answers that end early or hold doubled punctuation: the rest of them is not known, so they are not unequal."""

from __future__ import annotations

import re

from stages.common.verifiers.math.compare.answer_text import TEXT
from stages.common.verifiers.math.compare.numbers import read_numeral
from stages.common.verifiers.math.compare.units import find_unit

_DAMAGED = re.compile(
    r"(?<!\.)\.\.(?!\.)|(?<!\\)[,;]\s*(?:[,;]|\.(?![\d.]))|(?<![.A-Za-z])\.[,;]"  # 4:30p..  and 12,,345
    r"|(?<!\\)[,;][\s$}]*\Z|(?<!\\)\\\s*\Z|(?<![\\A-Za-z])(?:and|or|per)[\s$}]*\Z"  # 3, 5,  and x = 1 or
)
_CUT_NUMBER = re.compile(r"\d(?:(?P<mark>[.,])|[eE][-+]?)\Z")
_CUT_WORD = re.compile(r"(?:(?<=\d)|(?<=\d ))[A-Za-z]+\Z|(?<![A-Za-z\\])[A-Za-z]{2,}\Z")
_REST_OF_WORD = re.compile(r"[A-Za-z]+")
_VOWEL = re.compile(r"[aeiouy]")


def find_damage(gold: str, answer: str, plain_gold: str, plain_answer: str) -> str | None:
    """Return what is damaged in one of two answers, which are as written and plain; None if nothing is.

    A text is damaged by itself (`3, 5,`), or beside a text that it would be without its end (`72 k` and `72 km/h`).
    """
    if _DAMAGED.search(gold) or _DAMAGED.search(answer):
        return "an answer that ends early or has doubled punctuation"
    plain = [TEXT.sub(r"\1", text) for text in (plain_gold, plain_answer)]
    for short, whole, written in ((plain[1], plain[0], answer), (plain[0], plain[1], gold)):
        if whole.startswith(short) and _is_cut(short, whole[len(short) :], written.rstrip(" $}")):
            return "an answer that ends in the middle of a word or number"
    return None


def _is_cut(text: str, rest: str, written: str) -> bool:
    """Return whether `text`, as `written`, ends inside of a number or word that goes on with `rest`."""
    if (number := _CUT_NUMBER.search(written)) is not None:
        return rest[:1] == number["mark"] if number["mark"] else re.match(r"[-+]?\d", rest) is not None
    begun, more = _CUT_WORD.search(text), _REST_OF_WORD.match(rest)
    if begun is None or more is None or find_unit(begun.group()):
        return False
    word = begun.group() + more.group()
    if len(begun.group()) > 2 and read_numeral(begun.group().lower()) is not None:
        return False  # six is no sixty
    is_word = word in ("and", "or") or (len(word) > 3 and _VOWEL.search(word) is not None)
    return is_word or find_unit(word) is not None or read_numeral(word.lower()) is not None
