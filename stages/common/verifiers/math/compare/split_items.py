"""The items of a list outside of brackets, and the words and marks between them."""

from __future__ import annotations

import re

from stages.common.verifiers.math.compare.answer_text import TEXT

_WORD_BETWEEN = "and|or|where|for|with|when|if|since|because|as"
_SEPARATOR = re.compile(
    rf",? ?(?:\\text ?\{{({_WORD_BETWEEN})\}}|(?<![A-Za-z\\])({_WORD_BETWEEN})(?![A-Za-z])"
    rf"|(?<=\d)(or|and)(?=[A-Za-z](?![a-z]))),? ?"
)
_WORD_IN_TEXT = re.compile(rf"(?:\A|[ ,]+)({_WORD_BETWEEN})(?:[ ,]+|\Z)")
_THOUSANDS = re.compile(r"(?<![\d,.])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")


def split_items(text: str) -> tuple[list[str], list[str]]:
    """Return the items of a list outside of brackets, and what stands between them."""
    text = TEXT.sub(_split_text, text)
    thousands = {position for match in _THOUSANDS.finditer(text) for position in range(*match.span())}
    items, joiners, depth, start, position = [], [], 0, 0, 0
    while position < len(text):
        character = text[position]
        if character == "\\" and text[position + 1 : position + 2] in ("{", "}"):
            depth += 1 if text[position + 1] == "{" else -1
            position += 2
            continue
        found = _SEPARATOR.match(text, position) if depth == 0 else None
        if found is not None:
            items.append(text[start:position])
            joiners.append(found[1] or found[2] or found[3])
            position = start = found.end()
            continue
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and character in ",;" and position not in thousands:
            items.append(text[start:position])
            joiners.append(character)
            start = position + 1
        position += 1
    items.append(text[start:])
    return _drop_empty([item.strip() for item in items], joiners)


def _split_text(match: re.Match[str]) -> str:
    """Return a text with a word such as "and" in it as several texts."""
    parts = [part for part in _WORD_IN_TEXT.split(match[1]) if part.strip()]
    return "".join(rf"\text{{{part}}}" for part in parts)


def _drop_empty(items: list[str], joiners: list[str]) -> tuple[list[str], list[str]]:
    """Return items without the empty ones; of two joiners around one, the later word counts."""
    kept = [items[0]] if items[0] else []
    between: list[str] = []
    for joiner, item in zip(joiners, items[1:], strict=True):
        if not kept:
            kept += [item] if item else []
        elif len(between) == len(kept):
            between[-1] = joiner if joiner not in ",;" else between[-1]
            kept += [item] if item else []
        else:
            between.append(joiner)
            kept += [item] if item else []
    return kept, between[: max(len(kept) - 1, 0)]
