"""A template of word problems, as plain data: numbers, sentences of the story, steps of the solution, questions."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

_NAME = re.compile(r"\b[a-z]\w*\b")
_EQUATION = re.compile(r"\[(?P<name>\w+) = (?P<expression>[^\]]+)\]")


@dataclass(frozen=True)
class Template:
    """Word problems that differ in their numbers and words.

    Texts hold ``{a}`` for a number, ``{things}`` for words of `wording.WORDS`, and ``{buys|gets}`` for one of these;
    steps hold ``[t = a * b]``, which is written ``4 * 6 = 24`` and names the result. Every number in a step stands in
    its equation, so that a rule that checks equations checks all of it.
    """

    name: str
    numbers: str
    """In order: ``a``, a factor; ``c=2..a*b``, from a range; ``m=a*b+c``, computed."""
    story: tuple[str | tuple[str, ...], ...]
    """Sentences; those of an inner tuple come in any order."""
    steps: tuple[str, ...]
    """Sentences with an equation each; the last result is the quantity of the question."""
    ask: str = ""
    """Question for the quantity itself."""
    count: str = ""
    """What is counted, for ``the number of ...``: questions for its parity and its last digit."""
    enough: str = ""
    """A question that is answered by yes if the quantity is at most ``{k}``: whether {k} dollars are enough."""
    at_least: str = ""
    """One that is answered by yes if it is at least ``{k}``."""
    pack: str = ""
    """How many parts of size ``{k}`` are full."""
    versus: str = ""
    """Whether {name} or {other} has more: the results u and v of the steps."""
    held_out: bool = False
    """Whether it occurs in the test split alone."""


def evaluate_expression(text: str, values: Mapping[str, int]) -> Fraction:
    """The value of an expression of numbers, names, + - * / and brackets; nothing else is evaluated."""
    return _evaluate(_parse(text), values)


@cache
def _parse(text: str) -> ast.expr:
    return ast.parse(text.strip(), mode="eval").body


def _evaluate(node: ast.expr, values: Mapping[str, int]) -> Fraction:
    match node:
        case ast.Constant(value=int(number)):
            return Fraction(number)
        case ast.Name(id=name):
            return Fraction(values[name])
        case ast.BinOp(left=left, op=operator, right=right):
            first, second = _evaluate(left, values), _evaluate(right, values)
            match operator:
                case ast.Add():
                    return first + second
                case ast.Sub():
                    return first - second
                case ast.Mult():
                    return first * second
                case ast.Div():
                    return first / second
    raise ValueError(f"{ast.unparse(node)}: expected numbers, names, + - * / and brackets")


def write_step(step: str, values: dict[str, int]) -> str | None:
    """`step` with its equation in numbers, whose result is added to `values`; None if that is not a whole number >= 2.

    A result of 1 would need its words in the singular, and nobody counts less.
    """
    equation = _EQUATION.search(step)
    if equation is None:
        raise ValueError(f"{step}: expected an equation such as [t = a * b]")
    expression = equation["expression"]
    result = evaluate_expression(expression, values)
    if result.denominator != 1 or result < 2:
        return None
    values[equation["name"]] = int(result)
    numbers = _NAME.sub(lambda name: str(values[name.group()]), expression)
    return f"{step[: equation.start()]}{numbers} = {result}{step[equation.end() :]}"
