"""Replaces SymPy's evaluation of text by a reader of numbers that refuses everything else.

SymPy and math-verify each evaluate text as Python in one place. math-verify's is never reached, since only its LaTeX
parser is used; SymPy's is reached for every number in a formula.
"""

from __future__ import annotations

import re
from typing import Any

_NUMBER = re.compile(r"(?P<integer>\d{1,4000})|(?:\d{1,4000}\.\d{0,4000}|\.\d{1,4000})(?:[eE][-+]?\d{1,3})?", re.ASCII)


def parse_sympy_number(text: str, *_: object, **__: object) -> Any:
    """Return the SymPy number that `text` is; raise `ValueError` for any other text."""
    import sympy

    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError("text is never evaluated here")
    return sympy.Integer(int(text)) if match["integer"] else sympy.Float(text)


def install_sandbox() -> None:
    """Replace the functions of this process that evaluate text."""
    import math_verify.parser
    import sympy.parsing.sympy_parser
    import sympy.physics.units  # must be loaded first: it evaluates names of its own

    math_verify.parser.parse_expr = parse_sympy_number
    sympy.parsing.sympy_parser.parse_expr = parse_sympy_number
    sympy.parsing.sympy_parser.eval_expr = parse_sympy_number
