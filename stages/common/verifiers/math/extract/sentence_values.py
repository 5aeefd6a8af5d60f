"""The values in a sentence: each formula, number or expression whole, with the words that belong to it."""

import re
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple

from stages.common.verifiers.math.extract.sentence_tokens import OPERANDS, Token, find_expression_end, split_tokens
from stages.common.verifiers.math.extract.sentence_words import (
    ADVERBS,
    CHANGING_BEFORE,
    CHANGING_WITH_OF,
    CHANGING_WORDS,
    CONTINUING,
    CONTINUING_WITHOUT_UNIT,
    COPULAS,
    DOUBTS,
    LABELS,
    MULTIPLES,
    NEGATIONS,
    NO_UNITS,
    PREPOSITIONS,
    REJECTED_ROLES,
    REJECTIONS,
    SHORT_UNITS,
    SIGN_WORDS,
    SUBORDINATES,
)

_NUMBER = re.compile(r"[-+−–]?[$€£¥₹]?\d+(?:[.,]\d+)*")
_PREFIX = re.compile(
    r"negative|minus|January|February|March|April|May|June|July|August|September|October|November|December"
)
"""Words before a number that belong to it."""

_SOLVED = re.compile(r"(?:\$|\\\()?\s*(?:[A-Za-z]|\\[a-z]+)(?:_\{?\w+\}?)?'?\s*=")
"""The beginning of x = 3, one of several in a list."""

_WITH_UNIT = re.compile(r"\d \w+\Z")
_UNIT_WORD = re.compile(r"(?!(?:a|i)\Z)[^\W\d_][^\d_,]*")
_MAX_WORDS_BEFORE = 4
_CJK_COPULAS = ("是", "为", "為", "得", "有", "共")
_ARROWS = ("=", ":", "⇒", "→", "=>")
_JOINING = ("and", "or", "&", "和", "或", "и", "или", *SIGN_WORDS)


class Rank(IntEnum):
    """How surely a value is what its sentence states."""

    DENIED = 0
    ASIDE = 1
    NAME = 2
    AFTER_PREPOSITION = 3
    PLAIN = 4
    AFTER_COPULA = 5
    EMPHASISED = 6


class Value(NamedTuple):
    """A value of a sentence: its span with a unit, how surely it is meant, and the indices of its tokens.

    `is_open`: words around it make another value of it, which is not computed.
    """

    start: int
    end: int
    rank: Rank
    first: int
    last: int
    is_open: bool = False


def find_values(
    text: str, start: int, end: int, bold: list[tuple[int, int]] | None = None, is_stated: bool = False
) -> list[Value]:
    """Return the values of the sentence ``text[start:end]`` in order, those joined by "and", "or" or a comma as one.

    `bold`: spans of emphasis. `is_stated`: the sentence begins where its value does.
    """
    tokens = split_tokens(text, start, end)
    values: list[Value] = []
    index = denied = 0
    opened: int | None = None  # the token that opened a subordinate clause
    while index < len(tokens):
        first, token = index, tokens[index]
        if token.kind in OPERANDS:
            index = find_expression_end(tokens, index)
            if not _is_label(tokens, first, index):
                value = _read_value(tokens, first, index, bold or [])
                if first - denied <= 1 and denied:
                    value = value._replace(rank=Rank.DENIED)
                elif opened is not None and value.rank < Rank.EMPHASISED:
                    value = value._replace(rank=Rank.ASIDE)
                elif is_stated and not values and _find_word_before(tokens, first)[0] == "":
                    value = value._replace(rank=max(value.rank, Rank.AFTER_COPULA))
                _add_value(values, value, tokens, text)
                index = max(index, value.last)
        else:
            index += 1
            if _denies(token.word) or (token.word in ("than", "of") and denied == first):
                denied = index
            elif token.word in SUBORDINATES:
                opened = first
            elif token.word in ("but", "then", "so", "therefore", "thus", "hence"):
                opened = None
        if opened == 0 and "," in tokens[index - 1].pause:
            opened = None
    is_doubtful = any(token.word in DOUBTS for token in tokens)
    return [
        value._replace(rank=Rank.DENIED) if _is_rejected(tokens, value)
        else value._replace(is_open=is_doubtful or _is_part(tokens, value))
        for value in values
    ]  # fmt: skip


def _denies(word: str) -> bool:
    return word in NEGATIONS or word.endswith(("n't", "n’t", "不是", "不为", "不等于", "并非"))


def _is_rejected(tokens: list[Token], value: Value) -> bool:
    """Return whether a sentence denies the value before its verb: x = 5 is not a solution."""
    words = [token.word for token in tokens[value.last : value.last + 5]]
    if len(words) < 2 or words[0] not in ("is", "are", "was"):
        return False
    return words[1] in REJECTIONS or (words[1] == "not" and not REJECTED_ROLES.isdisjoint(words[2:]))


def _is_part(tokens: list[Token], value: Value) -> bool:
    """Return whether words before a value, or between it and the next, make one other value of them."""
    texts = [token.text for token in tokens[value.first : value.last]]
    if not any("=" in text for text in texts) and _is_changed(tokens, value.first):
        return True
    if value.last < len(tokens) and tokens[value.last].word.startswith(MULTIPLES):
        return True
    is_bare = len(texts) == 1 and _NUMBER.fullmatch(texts[0]) is not None and texts[0].lstrip("-+−–")[:1].isdigit()
    continuing = CONTINUING | CONTINUING_WITHOUT_UNIT if is_bare else CONTINUING
    position = value.last
    while position < len(tokens) and tokens[position].word in continuing and not tokens[position - 1].pause:
        position += 1
    words = {token.word for token in tokens[value.last : position]}
    is_joined = bool(words) and ("than" in words or words.isdisjoint(("more", "less", "fewer", "greater")))
    return is_joined and position < len(tokens) and tokens[position].kind in OPERANDS


def _is_changed(tokens: list[Token], first: int) -> bool:
    """Return whether words between a verb and the value at `first` make another one of it: almost 5, half of 5."""
    words: list[str] = []
    for token in reversed(tokens[max(first - _MAX_WORDS_BEFORE, 0) : first]):
        if token.kind != "word" or token.pause or token.word in COPULAS or token.word in SUBORDINATES:
            break
        words.insert(0, token.word)
    is_of = any(word in CHANGING_WITH_OF and after == "of" for word, after in pairwise(words))
    return is_of or not CHANGING_BEFORE.isdisjoint(words) or words[-1:] in (["than"], ["root"], ["squared"])


def _read_value(tokens: list[Token], first: int, last: int, bold: list[tuple[int, int]]) -> Value:
    """Return the value of the tokens from `first` to `last`, with the words that belong to it."""
    start, begun = tokens[first].start, first
    if first and _PREFIX.fullmatch(tokens[first - 1].text) and not tokens[first - 1].pause:
        begun = first - 1
    elif first > 1 and tokens[first - 1].kind == "operator" and tokens[first - 1].text not in _ARROWS:
        begun = first - 2  # what stands left of the sign belongs to it
    is_bold = any(left <= start < right for left, right in bold)
    rank = Rank.EMPHASISED if is_bold else _rank_value(tokens, first, last)
    last = _find_unit_end(tokens, last)
    return Value(tokens[begun].start, tokens[last - 1].end, rank, begun, last)


def _add_value(values: list[Value], value: Value, tokens: list[Token], text: str) -> None:
    """Add a value, joined to the one before if they are one list, one expression, or one amount."""
    if values:
        before = values[-1]
        if value.first < before.last:  # 22 votes * 3
            values[-1] = before._replace(end=value.end, rank=max(before.rank, value.rank), last=value.last)
            return
        if _is_list(tokens, before, value, text):
            rank = max(before.rank, min(value.rank, Rank.PLAIN))
            values[-1] = before._replace(end=value.end, rank=rank, last=value.last)
            return
        if before.last == value.first - 1 and tokens[before.last].text in ("is", "are", "equals"):
            # the probability that the sum is 9 is 1/9
            values[-1] = before._replace(rank=min(before.rank, Rank.AFTER_PREPOSITION))
    values.append(value)


def _is_label(tokens: list[Token], first: int, last: int) -> bool:
    """Return whether the value is none: the number of a step, or a name that no verb states."""
    if last > first + 1:
        return False
    is_numbered = first > 0 and tokens[first - 1].word in LABELS and not tokens[first - 1].pause
    if is_numbered and _NUMBER.fullmatch(tokens[first].text):
        return True
    return tokens[first].is_name and not _follows_copula(tokens, first)


def _rank_value(tokens: list[Token], first: int, last: int) -> Rank:
    if _follows_copula(tokens, first):
        return Rank.AFTER_COPULA
    if last == first + 1 and tokens[first].is_name:
        return Rank.NAME
    return Rank.AFTER_PREPOSITION if _find_word_before(tokens, first)[0] in PREPOSITIONS else Rank.PLAIN


def _follows_copula(tokens: list[Token], first: int) -> bool:
    word, pause = _find_word_before(tokens, first)
    is_total = [one.text for one in tokens[max(first - 2, 0) : first]] == ["total", "of"]
    is_copula = word in COPULAS or word.endswith(_CJK_COPULAS) or is_total
    return (is_copula and not pause.strip(":")) or pause.startswith((":", "："))


def _find_word_before(tokens: list[Token], first: int) -> tuple[str, str]:
    """Return the word before a value that says how it stands there, and the punctuation behind it."""
    followed = {"of": ("total", "value", "answer"), "to": ("equal",)}
    position = first - 1
    while position >= 0 and tokens[position].kind == "word" and not tokens[position].pause:
        word = tokens[position].word
        if word not in ADVERBS and word not in SIGN_WORDS:
            break
        if word in followed and (position == 0 or tokens[position - 1].word not in followed[word]):
            break
        if word == "at" and tokens[position + 1].word not in ("least", "most"):
            break
        position -= 1
    return ("", "") if position < 0 else (tokens[position].word, tokens[position].pause)


def _find_unit_end(tokens: list[Token], index: int) -> int:
    """Return the index behind the words that belong to the value before `index`: 5 km, 3 dozen, 20% increase."""
    for _ in range(3):
        if index >= len(tokens) or tokens[index].kind not in ("word", "name"):
            break
        before, token = tokens[index - 1], tokens[index]
        is_apart = token.start - before.end > 1  # emphasis ends between them
        if before.pause or is_apart or token.word in NO_UNITS or not token.text.isascii():
            break
        if len(token.text) <= 3 and token.text not in SHORT_UNITS and token.word not in CHANGING_WORDS:
            break
        is_first = before.kind in OPERANDS and not before.is_number_word
        is_changing = before.word in CHANGING_WORDS or token.word in CHANGING_WORDS
        if not _UNIT_WORD.fullmatch(token.word) or not (is_first or (is_changing and token.kind == "word")):
            break
        index += 1
    return index


def _is_list(tokens: list[Token], before: Value, value: Value, text: str) -> bool:
    """Return whether only "and", "or" and commas stand between two values, and the first is not in a phrase before."""
    between = tokens[before.last : value.first]
    if any(token.word not in _JOINING for token in between):
        return False
    texts = text[before.start : before.end], text[value.start : value.end]
    if "=" in "".join(texts) and not all(map(_SOLVED.match, texts)):
        return False
    pause = tokens[before.last - 1].pause
    if between or pause:
        return pause in ("", ",") and (bool(between) or before.rank not in (Rank.AFTER_PREPOSITION, Rank.ASIDE))
    return all(map(_WITH_UNIT.search, texts))  # 6 feet 2 inches
