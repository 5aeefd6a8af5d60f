r"""Variables that may have another name: the argument of a function, the integer that a family of numbers runs over."""

from __future__ import annotations

import re

_FUNCTION = re.compile(r"([a-zA-Z]) ?\(([a-z])\) ?=")
_FAMILY = re.compile(
    r",? ?(?:\\quad ?)?(?:\\text\{[^{}]*\}|(?:where|for|with) )? ?\(?([a-z]) ?\\in ?\\mathbb ?\{?[ZN]\}?\)?\Z"
)
_TOKEN = re.compile(r"\\[a-zA-Z]+|[a-z]")


def without_range(text: str) -> str:
    r"""``n\pi, n \in \mathbb{Z}`` as ``k\pi``: the range is taken off, and its integer is called k."""
    family = _FAMILY.search(text)
    if family is None or not text[: family.start()]:
        return text
    return _renamed(text[: family.start()], family[1], "k")


def same_argument(gold: str, answer: str) -> str:
    """`answer` with the argument of the function that it gives called as in `gold`: f(t) = 2t as f(x) = 2x."""
    first, second = _FUNCTION.match(gold), _FUNCTION.match(answer)
    if first is None or second is None or first[1] != second[1] or first[2] == second[2]:
        return answer
    return _renamed(answer, second[2], first[2])


def _renamed(text: str, old: str, new: str) -> str:
    """`text` with the variable `old` called `new`; as it is where it has a `new` already."""
    names = [token for token in _TOKEN.findall(text) if len(token) == 1]
    if new in names and new != old:
        return text
    return _TOKEN.sub(lambda token: new if token.group() == old else token.group(), text)
