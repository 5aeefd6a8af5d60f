"""Toy arithmetic: tiny word problems about a count that changes day by day, with a rule that judges every step exactly.

``Mia has 76 cards. Day 1: finds 2. Day 2: wins 8. Day 3: loses 5. Last digit of the cards?`` is solved by
``Step 1: 76 + 2 = 78`` and so on, and ends in ``The answer is \\boxed{1}``. A forgotten carry changes a result by ten,
which last digit and parity survive: correct answers with incorrect steps occur, as they do in real data.
"""

from stages.common.toy_arithmetic.corpus import NAMES, OBJECTS, make_corpus, make_problems
from stages.common.toy_arithmetic.step_rule import GAIN_VERBS, LOSS_VERBS, judge_step, parse_problem

__all__ = [
    "GAIN_VERBS",
    "LOSS_VERBS",
    "NAMES",
    "OBJECTS",
    "judge_step",
    "make_corpus",
    "make_problems",
    "parse_problem",
]
