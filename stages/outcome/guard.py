"""What stands in the place of SymPy's evaluation of text in a grading process: numbers are read, all else is refused.

SymPy and math-verify have one way each from text to evaluated Python. math-verify's is never taken, since only its
LaTeX parser is asked for; SymPy's is taken for every number in a formula.
"""

from __future__ import annotations

import re
from typing import Any

_NUMBER = re.compile(r"(?P<integer>\d{1,4000})|(?:\d{1,4000}\.\d{0,4000}|\.\d{1,4000})(?:[eE][-+]?\d{1,3})?", re.ASCII)


def read_number(text: str, *_: object, **__: object) -> Any:
    """The SymPy number that `text` is; raises `ValueError` for any other text."""
    import sympy

    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError("text is never evaluated here")
    return sympy.Integer(int(text)) if match["integer"] else sympy.Float(text)


def install() -> None:
    """Have this process evaluate no text any more."""
    import math_verify.parser
    import sympy.parsing.sympy_parser
    import sympy.physics.units  # it evaluates the names of its own prefixes

    math_verify.parser.parse_expr = read_number
    sympy.parsing.sympy_parser.parse_expr = read_number
    sympy.parsing.sympy_parser.eval_expr = read_number
