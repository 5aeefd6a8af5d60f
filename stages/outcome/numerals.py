"""Numbers in words: twenty-five, three hundred and two, two thirds."""

from __future__ import annotations

_SMALL_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen"
)
_TENS_NAMES = "twenty thirty forty fifty sixty seventy eighty ninety"
_PART_NAMES = "half third fourth fifth sixth seventh eighth ninth tenth"

_SMALL = {name: value for value, name in enumerate(_SMALL_NAMES.split())}
_TENS = {name: 10 * value for value, name in enumerate(_TENS_NAMES.split(), start=2)}
_LARGE = {"hundred": 100, "thousand": 1000, "million": 10**6}
_PARTS = {name: str(value) for value, name in enumerate(_PART_NAMES.split(), start=2)} | {"halve": "2", "quarter": "4"}

_MOST_WORDS = 8


def plain_numeral(phrase: str) -> str | None:
    """`phrase` in digits, a fraction as 2/3; None where it is not a number in words in small letters."""
    words = phrase.replace("-", " ").replace(" and ", " ").split(" ")
    if len(words) > _MOST_WORDS:
        return None
    part = _PARTS.get(words[-1].removesuffix("s"))
    if part is None:
        value = _whole(words)
        return None if value is None else str(value)
    if len(words) > 2:
        return None
    top = _SMALL.get(words[0]) if len(words) == 2 else 1
    return None if top is None else f"{top}/{part}"


def _whole(words: list[str]) -> int | None:
    """The whole number that `words` say; each is smaller than the one before, up to the factors behind them."""
    total, group, least = 0, 0, 100
    for word in words:
        if word in _LARGE:
            if group == 0:
                return None
            group *= _LARGE[word]
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
