"""Seeded pairs of answers with known verdicts: unequal by one change, or equal and written in two ways."""

import random
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from fractions import Fraction
from math import comb, factorial
from typing import NamedTuple

MAX_POWER = 300
"""Numbers lie between 10 to the power of minus this and 10 to the power of this."""


class AnswerPair(NamedTuple):
    """A gold answer, an answer, and how they were made."""

    gold: str
    answer: str
    kind: str


Draw = Callable[[random.Random], tuple[str, str]]

_LETTERS = "abcdmnrstxyABCDMNRSTXY"
_CASED = "abmnrstxyABMNRSTXY"
_UNIT_PAIRS = (
    *(
        ("kJ", "J"),
        ("m", "cm"),
        ("kg", "g"),
        ("kW", "W"),
        ("Hz", "kHz"),
        ("mol", "g"),
        ("m/s", "km/s"),
        ("hours", "days"),
    ),
    *(("minutes", "hours"), ("dollars", "euros"), ("dollars", "cents"), ("apples", "oranges"), ("boys", "girls")),
    *(("cm^2", "cm"), ("m^2", "m^3"), ("liters", "gallons"), ("N", "kN"), ("degrees", "radians"), ("miles", "km")),
    *(("dozen", "pairs"), ("increase", "decrease"), ("wins", "losses"), ("km/h", "mph"), ("years", "months")),
)
_CONVERSIONS = (
    *(("km", "m", 1000), ("m", "cm", 100), ("kg", "g", 1000), ("hours", "minutes", 60), ("minutes", "seconds", 60)),
    *(("days", "hours", 24), ("feet", "inches", 12), ("dollars", "cents", 100), ("L", "mL", 1000), ("kJ", "J", 1000)),
    *(("weeks", "days", 7), ("yards", "feet", 3), ("kW", "W", 1000), ("years", "months", 12)),
)
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def generate_unequal(count: int, seed: int = 1) -> Iterator[AnswerPair]:
    """Yield `count` pairs of unequal answers: half of exact rationals, half of expressions that differ in one place."""
    return _generate(_UNEQUAL, count, seed)


def generate_equal(count: int, seed: int = 1) -> Iterator[AnswerPair]:
    """Yield `count` pairs of equal answers that are written in different ways."""
    return _generate(_EQUAL, count, seed)


def _generate(kinds: dict[str, Draw], count: int, seed: int) -> Iterator[AnswerPair]:
    drawn = random.Random(f"answer pairs {seed}")
    names = list(kinds)
    for number in range(count):
        name = names[number % len(names)]
        gold, answer = kinds[name](drawn)
        yield AnswerPair(gold, answer, name)


def _draw_integer(drawn: random.Random, max_digits: int = MAX_POWER) -> int:
    """An integer of 1 to `max_digits` digits; half of them have fewer than 20."""
    digits = drawn.randint(1, min(19, max_digits)) if drawn.random() < 0.5 else drawn.randint(1, max_digits)
    return drawn.randint(10 ** (digits - 1), 10**digits - 1)


def _write_fraction(value: Fraction) -> str:
    sign = "-" if value < 0 else ""
    if value.denominator == 1:
        return str(value.numerator)
    return rf"{sign}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def _write_decimal(mantissa: int, exponent: int) -> str:
    """``mantissa * 10**exponent`` in digits alone."""
    with localcontext() as context:
        context.prec = 2 * MAX_POWER + 20
        return format(Decimal(mantissa).scaleb(exponent), "f")


def _write_scientific(mantissa: int, exponent: int) -> str:
    digits = str(mantissa)
    body = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
    return rf"{body} \times 10^{{{exponent + len(digits) - 1}}}"


def _change_numerator(drawn: random.Random) -> tuple[str, str]:
    value = Fraction(_draw_integer(drawn), _draw_integer(drawn))
    other = Fraction(value.numerator + drawn.choice([1, -1]), value.denominator)
    return _write_fraction(value), _write_fraction(other)


def _change_denominator(drawn: random.Random) -> tuple[str, str]:
    value = Fraction(_draw_integer(drawn), _draw_integer(drawn) + 1)
    return _write_fraction(value), _write_fraction(Fraction(value.numerator, value.denominator + 1))


def _change_power(drawn: random.Random) -> tuple[str, str]:
    base = drawn.choice([2, 3, 5, 7, 10])
    power = drawn.randint(1, 120)
    changed = power + drawn.choice([1, -1]) or 2
    form = drawn.choice([r"{b}^{{{n}}}", r"\frac{{1}}{{{b}^{{{n}}}}}", r"{b}^{{-{n}}}", r"1-\frac{{1}}{{{b}^{{{n}}}}}"])
    return form.format(b=base, n=power), form.format(b=base, n=changed)


def _change_scientific(drawn: random.Random) -> tuple[str, str]:
    mantissa, exponent = _draw_integer(drawn, 6), drawn.randint(-MAX_POWER, MAX_POWER - 6)
    step = drawn.choice([1, -1])
    return _write_scientific(mantissa, exponent), _write_scientific(mantissa, exponent + step)


def _change_last_digit(drawn: random.Random) -> tuple[str, str]:
    mantissa, exponent = _draw_integer(drawn, 15), -drawn.randint(1, 40)
    other = mantissa + (1 if mantissa % 10 < 9 else -1)
    write = drawn.choice([_write_decimal, _write_scientific])
    return write(mantissa, exponent), write(other, exponent)


def _change_decimal_point(drawn: random.Random) -> tuple[str, str]:
    mantissa, exponent = _draw_integer(drawn, 8), -drawn.randint(2, 60)
    return _write_decimal(mantissa, exponent), _write_decimal(mantissa, exponent + drawn.choice([1, -1]))


def _change_mixed_forms(drawn: random.Random) -> tuple[str, str]:
    """A fraction beside a finite decimal that is at least a hundredth of it away."""
    value = Fraction(_draw_integer(drawn, 4), _draw_integer(drawn, 4))
    factor = drawn.choice([Fraction(11, 10), Fraction(9, 10), Fraction(2), Fraction(1, 2), Fraction(102, 100)])
    rounded = f"{float(value * factor):.7g}"
    return _write_fraction(value), _write_decimal(int(Decimal(rounded).scaleb(12)), -12).rstrip("0").rstrip(".")


def _change_sign(drawn: random.Random) -> tuple[str, str]:
    value = Fraction(_draw_integer(drawn, 12), _draw_integer(drawn, 12))
    return _write_fraction(value), _write_fraction(-value)


def _change_factorial(drawn: random.Random) -> tuple[str, str]:
    number = drawn.randint(3, 150)
    form = drawn.choice([r"\frac{{1}}{{{n}!}}", "{n}!", r"1-\frac{{1}}{{{n}!}}", r"\frac{{{n}!}}{{2}}"])
    return form.format(n=number), form.format(n=number + 1)


_Term = tuple[int, str, int]
"""Coefficient, letter, exponent."""


def _draw_terms(drawn: random.Random, letters: str = _LETTERS) -> list[_Term]:
    count = drawn.randint(2, 4)
    chosen = drawn.sample(letters, count)
    return [(drawn.choice([-1, 1]) * drawn.randint(1, 12), letter, drawn.randint(1, 5)) for letter in chosen]


def _write_terms(terms: list[_Term]) -> str:
    parts = []
    for coefficient, letter, exponent in terms:
        size = "" if abs(coefficient) == 1 else str(abs(coefficient))
        power = "" if exponent == 1 else f"^{{{exponent}}}" if exponent > 9 else f"^{exponent}"
        parts.append(f"{'-' if coefficient < 0 else '+'}{size}{letter}{power}")
    return "".join(parts).removeprefix("+")


_FRAMES = (
    "{}",
    r"\frac{{{}}}{{7}}",
    r"\frac{{5}}{{{}}}",
    r"\sqrt{{{}}}",
    r"3\left({}\right)",
    r"e^{{{}}}",
    r"\pi\left({}\right)",
    r"\frac{{{}}}{{q+1}}",
    r"\ln\left({}\right)",
)


def _change_term(change: Callable[[random.Random, _Term], _Term], letters: str = _LETTERS) -> Draw:
    def draw(drawn: random.Random) -> tuple[str, str]:
        terms = _draw_terms(drawn, letters)
        position = drawn.randrange(len(terms))
        changed = [change(drawn, term) if number == position else term for number, term in enumerate(terms)]
        frame = drawn.choice(_FRAMES)
        return frame.format(_write_terms(terms)), frame.format(_write_terms(changed))

    return draw


def _change_unit(drawn: random.Random) -> tuple[str, str]:
    first, second = drawn.sample(drawn.choice(_UNIT_PAIRS), 2)
    number = drawn.choice(
        [str(drawn.randint(2, 999)), f"{drawn.randint(1, 99)}.5", rf"\frac{{{drawn.randint(1, 9)}}}{{10}}"]
    )
    return rf"{number} \text{{ {first}}}", rf"{number} \text{{ {second}}}"


def _change_order(drawn: random.Random) -> tuple[str, str]:
    """Names of angles, orders, coin tosses; a point's coordinates; an interval's brackets."""
    kind = drawn.randrange(4)
    if kind == 0:
        letters = drawn.sample("ABCDEFPQRS", 3)
        return rf"\angle {''.join(letters)}", rf"\angle {letters[1]}{letters[0]}{letters[2]}"
    if kind == 1:
        tosses = [drawn.choice("HT") for _ in range(drawn.randint(3, 5))]
        tosses[:2] = ["H", "T"]
        return rf"\text{{{''.join(tosses)}}}", rf"\text{{TH{''.join(tosses[2:])}}}"
    first, second = drawn.sample(range(-30, 31), 2)
    if kind == 2:
        return f"({first}, {second})", f"({second}, {first})"
    low, high = sorted((first, second))
    left, right = drawn.sample([("[", "]"), ("(", "]"), ("[", ")")], 2)
    return f"{left[0]}{low}, {high}{left[1]}", f"{right[0]}{low}, {high}{right[1]}"


_UNEQUAL: dict[str, Draw] = {
    "numerator": _change_numerator,
    "sign of a term": _change_term(lambda _, term: (-term[0], term[1], term[2])),
    "denominator": _change_denominator,
    "exponent": _change_term(lambda drawn, term: (term[0], term[1], term[2] + drawn.choice([1, 2]))),
    "power": _change_power,
    "case of a letter": _change_term(lambda _, term: (term[0], term[1].swapcase(), term[2]), _CASED),
    "power of ten": _change_scientific,
    "unit": _change_unit,
    "last digit": _change_last_digit,
    "coefficient": _change_term(lambda _, term: (term[0] + (1 if term[0] > 0 else -1), term[1], term[2])),
    "decimal point": _change_decimal_point,
    "order": _change_order,
    "fraction and decimal": _change_mixed_forms,
    "sign": _change_sign,
    "factorial": _change_factorial,
    "letter": _change_term(lambda _, term: (term[0], "w", term[2])),
}


def _write_ways(drawn: random.Random) -> tuple[str, str]:
    """A rational in two of: fraction, plain fraction, mixed number, decimal, percent sign apart."""
    denominator = drawn.choice([1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 3, 6, 7, 9, 12])
    value = Fraction(drawn.randint(1, 400), denominator)
    top, bottom = value.numerator, value.denominator
    ways = [
        rf"\frac{{{top}}}{{{bottom}}}",
        f"{top}/{bottom}",
        rf"\dfrac{{{3 * top}}}{{{3 * bottom}}}",
        rf"{top} \div {bottom}",
    ]
    if bottom == 1:
        ways += [f"{top}", f"{top}.0", rf"{top}.", rf"\text{{{top}}}"]
    elif top > bottom:
        ways += [rf"{top // bottom}\frac{{{top % bottom}}}{{{bottom}}}", f"{top // bottom} {top % bottom}/{bottom}"]
    if 10**6 % bottom == 0:
        ways += [_write_decimal(top * 10**6 // bottom, -6).rstrip("0").rstrip(".") if bottom > 1 else f"{top}"]
    first, second = drawn.sample(ways, 2)
    sign = drawn.choice(["", "", "-"])
    return sign + first, sign + second


def _write_large(drawn: random.Random) -> tuple[str, str]:
    mantissa, exponent = _draw_integer(drawn, 9), drawn.randint(-40, 40)
    ways = [
        _write_decimal(mantissa, exponent),
        _write_scientific(mantissa, exponent),
        rf"{mantissa} \cdot 10^{{{exponent}}}",
        f"{mantissa}e{exponent}",
        rf"\frac{{{mantissa}}}{{10^{{{-exponent}}}}}" if exponent < 0 else f"{mantissa}*10^{exponent}",
    ]
    first, second = drawn.sample(ways, 2)
    return first, second


def _write_grouped(drawn: random.Random) -> tuple[str, str]:
    number = drawn.randint(1000, 10**9)
    grouped = f"{number:,}"
    ways = [
        str(number),
        grouped,
        grouped.replace(",", "{,}"),
        grouped.replace(",", r",\!"),
        grouped.replace(",", r"\,"),
    ]
    first, second = drawn.sample(ways, 2)
    return first, second


def _reorder_terms(drawn: random.Random) -> tuple[str, str]:
    terms = _draw_terms(drawn)
    frame = drawn.choice(_FRAMES)
    shuffled = drawn.sample(terms, len(terms))
    if shuffled == terms:
        shuffled.reverse()
    return frame.format(_write_terms(terms)), frame.format(_write_terms(shuffled))


def _expand_product(drawn: random.Random) -> tuple[str, str]:
    letter = drawn.choice("xyntab")
    first, second = drawn.randint(1, 9), drawn.randint(-9, -1)
    middle = first + second
    linear = (
        ""
        if middle == 0
        else f"{middle:+d}{letter}".replace("+1" + letter, "+" + letter).replace("-1" + letter, "-" + letter)
    )
    return f"({letter}+{first})({letter}{second})", f"{letter}^2{linear}{first * second:+d}"


def _move_factor(drawn: random.Random) -> tuple[str, str]:
    number, letter = drawn.randint(2, 9), drawn.choice("xynkRS")
    ways = [
        rf"\frac{{{letter}}}{{{number}}}",
        rf"\frac{{1}}{{{number}}}{letter}",
        f"{letter}/{number}",
        rf"{letter} \cdot {number}^{{-1}}",
    ]
    first, second = drawn.sample(ways, 2)
    return first, second


def _simplify_root(drawn: random.Random) -> tuple[str, str]:
    outside, inside = drawn.randint(2, 9), drawn.choice([2, 3, 5, 6, 7, 10])
    ways = [
        rf"{outside}\sqrt{{{inside}}}",
        rf"\sqrt{{{outside**2 * inside}}}",
        rf"{outside} \cdot {inside}^{{1/2}}",
        rf"{outside}√{inside}",
        rf"\frac{{{outside * inside}}}{{\sqrt{{{inside}}}}}",
        f"{outside}*sqrt({inside})",
    ]
    first, second = drawn.sample(ways, 2)
    return first, second


def _write_known(drawn: random.Random) -> tuple[str, str]:
    number = drawn.randint(3, 9)
    low = drawn.randint(1, number - 1)
    return drawn.choice(
        [
            (str(factorial(number)), f"{number}!"),
            (str(comb(number, low)), rf"\binom{{{number}}}{{{low}}}"),
            (str(2**number), f"2^{number}"),
            (str(number), rf"\log_{{2}} {2**number}"),
            (rf"\frac{{\pi}}{{{number}}}", rf"\frac{{{180 // number if 180 % number == 0 else 180}}}{{180}}\pi")
            if 180 % number == 0
            else (rf"{number}\pi", rf"{number}π"),
            (r"\sin^2 x", r"1-\cos^2 x"),
            (rf"x = {number}", str(number)),
            (str(number), rf"\text{{{_ONES[number - 1]}}}"),
            (str(10 * low + 20 if low < 8 else 20), _TENS[low if low < 8 else 0]),
        ]
    )


def _write_set(drawn: random.Random) -> tuple[str, str]:
    values = drawn.sample(range(-20, 21), drawn.randint(2, 4))
    shuffled = drawn.sample(values, len(values))
    gold, other = (", ".join(map(str, one)) for one in (values, shuffled))
    return drawn.choice(
        [(rf"\{{{gold}\}}", rf"\left\{{{other}\right\}}"), (rf"\{{{gold}\}}", rf"\{{ {other} \}}"), (gold, other)]
    )


def _write_point(drawn: random.Random) -> tuple[str, str]:
    first, second = drawn.sample(range(-20, 21), 2)
    return drawn.choice(
        [
            (f"({first}, {second})", rf"\left({first},{second}\right)"),
            (f"({first}, {second})", f"({first}.0, {second})"),
            (f"({first}, {second})", rf"({2 * first}/2, {second})"),
        ]
    )


def _write_interval(drawn: random.Random) -> tuple[str, str]:
    low, high = sorted(drawn.sample(range(-20, 21), 2))
    return drawn.choice(
        [
            (f"[{low}, {high})", rf"\left[{low},{high}\right)"),
            (f"[{low}, {high}]", rf"{low} \le x \le {high}"),
            (f"({low}, {high})", rf"{low} < x < {high}"),
            (rf"({low}, \infty)", rf"x > {low}"),
            (rf"(-\infty, {high}]", rf"x \leq {high}"),
            (rf"(-\infty, {low}) \cup ({high}, \infty)", rf"({high}, +\infty) \cup (-\infty, {low})"),
        ]
    )


def _convert_unit(drawn: random.Random) -> tuple[str, str]:
    large, small, factor = drawn.choice(_CONVERSIONS)
    number = drawn.randint(2, 60)
    return drawn.choice(
        [
            (rf"{number} \text{{ {large}}}", rf"{number * factor} \text{{ {small}}}"),
            (rf"{number} \text{{ {large}}}", f"{number} {large}"),
            (str(number), rf"{number} \text{{ {large}}}"),
        ]
    )


def _write_choice(drawn: random.Random) -> tuple[str, str]:
    letter = drawn.choice("ABCDE")
    ways = [
        letter,
        f"({letter})",
        rf"\text{{{letter}}}",
        rf"\textbf{{({letter})}}",
        rf"\mathrm{{({letter})}}",
        f"{letter}.",
    ]
    first, second = drawn.sample(ways, 2)
    return first, second


def _write_percent(drawn: random.Random) -> tuple[str, str]:
    number = drawn.randint(1, 99)
    ways = [rf"{number}\%", f"{number}%", rf"{number} \%", f"{number} percent", rf"{number}\text{{ percent}}"]
    first, second = drawn.sample(ways, 2)
    return drawn.choice([(first, second), (f"{number}\\%", _write_decimal(number, -2))])


def _write_money(drawn: random.Random) -> tuple[str, str]:
    number = drawn.choice([str(drawn.randint(1, 9999)), f"{drawn.randint(1, 99)}.{drawn.randint(10, 99)}"])
    ways = [rf"\${number}", f"${number}", rf"{number} \text{{ dollars}}", f"{number} dollars", number]
    first, second = drawn.sample(ways, 2)
    return first, second


def _wrap_formula(drawn: random.Random) -> tuple[str, str]:
    text = drawn.choice(
        [
            _write_terms(_draw_terms(drawn)),
            rf"\frac{{{drawn.randint(2, 99)}}}{{101}}",
            rf"{drawn.randint(2, 9)}\sqrt{{2}}",
        ]
    )
    return text, drawn.choice(
        [f"${text}$", rf"\({text}\)", rf"\[{text}\]", rf"\displaystyle {text}", f"{text}.", rf"\mathbf{{{text}}}"]
    )


_EQUAL: dict[str, Draw] = {
    "rational": _write_ways,
    "scientific": _write_large,
    "thousands": _write_grouped,
    "order of terms": _reorder_terms,
    "product": _expand_product,
    "factor": _move_factor,
    "root": _simplify_root,
    "known values": _write_known,
    "set": _write_set,
    "point": _write_point,
    "interval": _write_interval,
    "unit": _convert_unit,
    "choice": _write_choice,
    "percent": _write_percent,
    "money": _write_money,
    "wrapping": _wrap_formula,
}
