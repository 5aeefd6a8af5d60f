"""Gold answers of mathematics: what the last box of a reference solution holds."""

from __future__ import annotations

import re

from stages.common.gold_answers.answer_key import make_comparison_key
from stages.common.gold_answers.boxes import Box, find_boxes
from stages.common.gold_answers.gold_rules import GoldAnswer, GoldRules
from stages.common.gold_answers.no_answers import find_no_answer_reason

_BESIDE = re.compile(
    r"(?:[\s$,;.&]|\\[()\[\],;: \\]|\\q?quad|\\text\s*\{[\s,]*(?:and|or)?[\s,]*\}|\b(?:and|or)\b)*", re.IGNORECASE
)
_WRAPPER = re.compile(r"\\(?:text|textbf|mathbf|mathrm|boldsymbol|boxed|textit|bf|rm)\b\s*\{?|[${}]")
SENTENCE = "answer is a sentence"

_MIN_SENTENCE_WORDS = 6
_CLAUSE = re.compile(
    r"(?!(?:it|there)\b)(?!the answer\b)(?!.*\b(?:no|not|none|never|nothing)\b)(?:[a-z]+ ){1,5}"
    r"(?:is|are|was|were|has|have|does|do|can|will|wins?|(?:con|di)verges?|exists?|holds?)(?: [a-z'-]+){0,5}[.!]?",
    re.IGNORECASE,
)
"""A subject and what is said of it, in words alone. Verifiers compare "It is Monday" and "no solution exists"."""


def group_boxes(text: str) -> list[list[Box]]:
    """Return the boxes of `text`, those with only commas, "and", "or" and spacing between them in one group."""
    groups: list[list[Box]] = []
    for box in find_boxes(text):
        if groups and _BESIDE.fullmatch(text, groups[-1][-1].end, box.start):
            groups[-1].append(box)
        else:
            groups.append([box])
    return groups


def _join(text: str, group: list[Box]) -> str:
    contents = [text[box.inner_start : box.inner_end].strip() for box in reversed(group)]
    different = {make_comparison_key(content): content for content in contents}
    return ", ".join(reversed(different.values()))


def find_boxed_answer(text: str) -> str | None:
    r"""Return what the last box holds, "" if it is empty, None if there is no box; boxes side by side are a list.

    ``so \boxed{2} and \boxed{\frac{1}{2}}.`` gives ``2, \frac{1}{2}``.
    """
    groups = group_boxes(text)
    return _join(text, groups[-1]) if groups else None


def has_different_answers(solution: str) -> bool:
    """Return whether separate boxes hold different answers and none is announced as the final one."""
    groups = group_boxes(solution)
    if len({make_comparison_key(_join(solution, group)) for group in groups}) < 2:
        return False
    last = groups[-1][0].start
    return "final answer" not in solution[max(0, last - 60) : last].lower()


def find_reason_against(answer: str) -> str | None:
    """Return why `answer` cannot be compared: it says nothing, answers several questions, or is a sentence."""
    plain = " ".join(re.sub(r"\\[ ,;:!]", " ", _WRAPPER.sub(" ", answer)).split())
    words = re.findall(r"(?<![\\A-Za-z])[A-Za-z]{2,}", plain)
    is_sentence = len(words) >= _MIN_SENTENCE_WORDS or _CLAUSE.fullmatch(plain) is not None
    return find_no_answer_reason(answer) or (SENTENCE if is_sentence else None)


class MathGoldRules(GoldRules):
    """Takes the answer that a row gives, else what the last box of the reference solution holds."""

    def find_gold(self, solution: str, answer: str | None, require_single: bool = False) -> GoldAnswer:
        """Return the gold answer, or the reason why there is none.

        With `require_single`, boxes with different answers give none: the last need not answer the question asked.
        """
        text = answer if answer is not None else find_boxed_answer(solution)
        if text is None:
            return GoldAnswer(None, "no boxed answer")
        if not text:
            return GoldAnswer(None, "empty box")
        if (reason := find_reason_against(text)) is not None:
            return GoldAnswer(None, reason)
        if require_single and answer is None and has_different_answers(solution):
            return GoldAnswer(None, "several different answers")
        return GoldAnswer(text)

    def find_solution_answer(self, solution: str) -> str | None:
        """Return what the last box of `solution` holds, None for one that holds no answer."""
        boxed = find_boxed_answer(solution)
        return None if not boxed or find_reason_against(boxed) else boxed

    def make_key(self, answer: str) -> str:
        r"""Return `answer` without spacing, ``\text``, ``x =`` and leading zeros."""
        return make_comparison_key(answer)
