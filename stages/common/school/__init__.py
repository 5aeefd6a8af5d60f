"""School problems: word problems of two to five steps as in school books, each with a reference solution.

Nothing in them is planted: where a small model gets a step wrong, it is by its own arithmetic. Many questions keep
their answer where a step has an error (is the money enough, how many boxes are full, even or odd), as in real data.
"""

from stages.common.school.generator import draw_problems, make_problems
from stages.common.school.templates import TEMPLATES

__all__ = ["TEMPLATES", "draw_problems", "make_problems"]
