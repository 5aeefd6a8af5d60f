"""Quantities in several units: 5 hours 30 minutes, 5 feet 6 inches."""

from __future__ import annotations

import re
from fractions import Fraction

from stages.outcome.units import conversion, split_unit
from stages.outcome.words import Decision

_QUANTITY = re.compile(
    r"(?P<number>\d{1,12}(?:\.\d{1,12})?) ?(?:\\text\{ ?)?(?P<unit>[a-z]{1,12})\.? ?\}?"
    r"(?:,? ?(?:\\text\{ ?)?\band ?\}? ?|, ?| )?"
)
_MOST = 4


def compare_compound(left: str, right: str) -> Decision | None:
    """Whether both are the same amount; None unless one is in several units and both can be added up."""
    first, second = _quantities(left), _quantities(right)
    if first is None or second is None or max(len(first), len(second)) < 2:
        return None
    unit = first[0][1]
    totals = [_total(quantities, unit) for quantities in (first, second)]
    return None if None in totals else (totals[0] == totals[1], f"amounts in {unit}")


def _quantities(text: str) -> list[tuple[Fraction, str]] | None:
    quantities: list[tuple[Fraction, str]] = []
    position = 0
    while position < len(text):
        match = _QUANTITY.match(text, position)
        unit = None if match is None else split_unit(f"1 {match['unit']}")[1]
        if match is None or not unit or len(quantities) >= _MOST:
            return None
        quantities.append((Fraction(match["number"]), unit))
        position = match.end()
    return quantities or None


def _total(quantities: list[tuple[Fraction, str]], unit: str) -> Fraction | None:
    """All quantities in `unit`, None where one measures something else."""
    factors = [Fraction(1) if own == unit else conversion(own, unit) for _, own in quantities]
    if None in factors:
        return None
    return sum((number * (factor or 0) for (number, _), factor in zip(quantities, factors, strict=True)), Fraction(0))
