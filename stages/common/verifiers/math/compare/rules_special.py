"""Rules for words, quantities, ratios, times, dates, numerals with a base and residues."""

from __future__ import annotations

from fractions import Fraction

from stages.common.verifiers.math.compare.comparer import FORMULAS, Comparer, join_all, register
from stages.common.verifiers.math.compare.exact import find_exact
from stages.common.verifiers.math.compare.resolve import find_names
from stages.common.verifiers.math.compare.tokens import Node
from stages.common.verifiers.math.compare.units import is_contrast, stem
from stages.common.verifiers.verifier import Decision

_TRUTH = frozenset({"yes", "no", "true", "false", "even", "odd", "infinite", "does not exist"})
_NO_VALUE = frozenset({
    "none", "infinite", "undefined", "no", "all", "nothing", "nil", "unity", "once", "twice", "thrice", "single",
    "double", "triple", "couple", "pair", "many", "never", "always", "everyone", "nobody", "both", "neither",
})  # fmt: skip
"""Words that may say that there is no number, or which."""

_SAME_START = 5
"""Letters at the start of two words that may make them forms of one: converges, convergent."""


@register(("words", "words"))
def compare_words(gold: Node, answer: Node, _: Comparer) -> Decision:
    """Single words that differ are different, longer texts are unknown; case counts only among capitals."""
    first, second = gold.args[0], answer.args[0]
    if first == second or (first.casefold() == second.casefold() and not (first.isupper() and second.isupper())):
        return True, "words"
    stems = [[stem(word) for word in text.casefold().split()] for text in (first, second)]
    if stems[0] == stems[1] and len(stems[0]) > 1:
        return True, "words"
    one, other = map(frozenset, stems)
    is_single = len(one) == len(other) == 1 and (first + second).isascii()
    starts = [text.casefold()[:_SAME_START] for text in (first, second)]
    if is_contrast(one, other) or {first, second} <= _TRUTH:
        return False, "opposite words"
    is_other = is_single and starts[0] != starts[1]
    return (False if is_other else None), "letters" if first.isupper() and second.isupper() else "words"


@register(("words", "any"))
def compare_words_with(words: Node, other: Node, _: Comparer) -> Decision:
    text = words.args[0]
    is_single = " " not in text and text.isascii()
    if other.kind == "name":
        name = str(other.args[0])
        if name == text:
            return True, "words"
        return (
            False if (len(name) == 1 and is_single) or (len(name) == len(text) and name.isupper()) else None
        ), "words"
    if other == Node("set", ()):
        return (text == "none" or None), "words"
    if other.kind == "mul" and (letters := _join_letters(other)):  # a short word, such as Bob
        return (False if is_single and not text.startswith(letters.casefold()) else None), "words"
    is_value = other.kind in ("num", "neg", "div", "quantity", "mul") and not find_names(other)
    return (False if is_single and is_value and text not in _NO_VALUE else None), f"words beside {other.kind}"


def _join_letters(node: Node) -> str:
    """Return the letters of a product of names, an empty text for any other formula."""
    parts = [str(one.args[0]) if one.kind == "name" else _join_letters(one) for one in node.args if node.kind == "mul"]
    return "".join(parts) if all(parts) else ""


@register(("ratio", "ratio"))
def compare_ratios(gold: Node, answer: Node, by: Comparer) -> Decision:
    first, second = gold.args, answer.args
    if len(first) != len(second) or {find_exact(one) == 0 for one in first + second} == {True, False}:
        return False, "ratios"
    pairs = zip(first[1:], second[1:], strict=True)
    return join_all((by.check(Node("mul", (a, second[0])), Node("mul", (b, first[0]))) for a, b in pairs), "ratios")


@register(("ratio", "any"))
def compare_ratio_with(ratio: Node, other: Node, by: Comparer) -> Decision:
    """A ratio of two numbers is their quotient."""
    if len(ratio.args) != 2 or other.kind not in FORMULAS:
        return None, f"a ratio beside {other.kind}"
    return by.check(Node("div", ratio.args), other)


def _make_ratio(time: Node) -> Node:
    return Node("ratio", tuple(Node("num", (Fraction(part), None, 0)) for part in time.args[:2]))


@register(("time", "time"))
def compare_times(gold: Node, answer: Node, by: Comparer) -> Decision:
    """Times of day; where neither says am or pm both may be ratios, and one of them may leave it out."""
    (hour, minute, half), (other_hour, other_minute, other_half) = gold.args, answer.args
    if half is None and other_half is None and (hour, minute) != (other_hour, other_minute):
        return (None if compare_ratios(_make_ratio(gold), _make_ratio(answer), by)[0] else False), "times or ratios"
    bare = hour if half is None else other_hour if other_half is None else 24
    is_same = hour == other_hour if bare > 12 else hour % 12 == other_hour % 12
    return is_same and minute == other_minute, "times of day"


@register(("time", "any"), ("time", "ratio"))
def compare_time_with(time: Node, other: Node, by: Comparer) -> Decision:
    """A number is unknown beside a time that has its hour, since it may leave out the rest; other numbers differ."""
    hour, minute, half = time.args
    value = find_exact(other.args[0] if other.kind == "quantity" else other)
    if value is not None and value in {Fraction(minute, 60) + one for one in (hour, hour % 12, hour % 12 or 12)}:
        return None, f"a time beside {other.kind}"
    if half is not None:
        is_other = other.kind == "ratio" or (value is not None and other.kind != "quantity")
        return (False if is_other else None), f"a time beside {other.kind}"
    decision = by.compare(_make_ratio(time), other)
    is_other_form = other.kind == "ratio" and other != _make_ratio(time)
    return (None, "a time or ratio") if decision[0] and is_other_form else decision


@register(("date", "date"))
def compare_dates(gold: Node, answer: Node, _: Comparer) -> Decision:
    return gold.args[:2] == answer.args[:2] and len({gold.args[2], answer.args[2]} - {None}) < 2, "dates"


@register(("based", "based"))
def compare_based(gold: Node, answer: Node, _: Comparer) -> Decision:
    return int(*gold.args) == int(*answer.args), "numerals with a base"


@register(("based", "formula"))
def compare_based_with(based: Node, other: Node, by: Comparer) -> Decision:
    """A number without a base may be the digits alone, and is not known to be the value."""
    digits, base = based.args
    if other.kind == "name":
        return (other.args[0] == digits or None), "digits of a numeral with a base"
    numbers = [int(digits, base), *([int(digits)] if digits.isdigit() else [])]
    values = [by.check(Node("num", (Fraction(number), None, 0)), other)[0] for number in numbers]
    if values[1:] == [True]:
        return True, "digits of a numeral with a base"
    return (False if set(values) == {False} else None), "digits of a numeral with a base"


@register(("mod", "mod"), ("mod", "formula"))
def compare_residues(gold: Node, answer: Node, _: Comparer) -> Decision:
    """Residues with the same modulus; the residue alone is a number."""
    first, modulus = map(find_exact, gold.args[:2])
    second, other = map(find_exact, answer.args[:2]) if answer.kind == "mod" else (find_exact(answer), modulus)
    names = {node.args[2] for node in (gold, answer) if node.kind == "mod"} - {None}
    if first is None or second is None or not modulus or not other or len(names) > 1:
        return None, "residues"
    is_same = modulus == other and (first - second) % modulus == 0
    return (None if is_same and answer.kind != "mod" and first != second else is_same), "residues"
