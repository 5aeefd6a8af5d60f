"""Answers of one problem that are equal, or conflict: those of two rows, and of a row and the box of its solution."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import closing
from typing import Any

from stages.common.gold_answers import GOLD_RULES
from stages.common.tables import DropLog, content_hash, normalise_text
from stages.common.verifiers import VERIFIERS

Problem = dict[str, Any]
"""A row of table PROBLEM; `split` is null until it is assigned."""


def locate(problem: Problem) -> str:
    """Where `problem` was read."""
    return f"{problem['origin']}, row {problem['origin_row']}"


def get_id(problem: Problem) -> str:
    """The id of `problem`, by which problems are ordered."""
    return str(problem["problem_id"])


def compare_answers(task: str, rows: Iterable[tuple[Problem, str]]) -> list[bool | None]:
    """Whether the answer of each problem and the other answer are equal by the verifier of `task`; None: unknown.

    Answers that differ in layout only are equal without it: it is started for the others alone.
    """
    make_key = GOLD_RULES.get(task)().make_key
    pairs = [(problem["problem"], problem["answer"], other) for problem, other in rows]
    results: list[bool | None] = [make_key(first) == make_key(second) or None for _, first, second in pairs]
    open_pairs = [at for at, is_equal in enumerate(results) if not is_equal]
    if open_pairs:
        with closing(VERIFIERS.get(task)()) as verifier:
            completed = [
                (verifier.complete_answer(text, first), verifier.complete_answer(text, second))
                for text, first, second in map(pairs.__getitem__, open_pairs)
            ]
            for at, is_equal in zip(open_pairs, verifier.equal_many(completed), strict=True):
                results[at] = is_equal
    return results


def drop_conflicts(
    problems: list[Problem], solution_answers: dict[int, str], task: str, drops: DropLog
) -> tuple[list[Problem], dict[str, int]]:
    """`problems` without those whose answer is not equal to the one that their solution states, and the counts.

    `solution_answers`: answers of solutions by the problem's index. An answer that the verifier cannot compare is no
    conflict: the row's own counts, as it does beside a solution without a box.
    """
    results = dict(
        zip(
            solution_answers,
            compare_answers(task, ((problems[at], text) for at, text in solution_answers.items())),
            strict=True,
        )
    )
    for at, is_equal in results.items():
        if is_equal is False:
            text = f"{problems[at]['answer']} | {solution_answers[at]} | {problems[at]['problem']}"
            drops.drop("answer conflicts with the solution's box", locate(problems[at]), text)
    names = {True: "equal", False: "unequal", None: "unknown"}
    counts = Counter(names[is_equal] for is_equal in results.values())
    return [problem for at, problem in enumerate(problems) if results.get(at) is not False], {
        name: counts[name] for name in names.values()
    }


def drop_duplicates(problems: list[Problem], task: str, drops: DropLog) -> list[Problem]:
    """One problem per normalised text, none where its answers are not known to be equal; sorted by id.

    The one with the lowest id is kept; of rows with one id, the first that was read.
    """
    same_text: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        same_text[content_hash(normalise_text(problem["problem"]))].append(problem)
    groups = [sorted(group, key=get_id) for group in same_text.values()]  # stable: of one id the first read
    results = iter(compare_answers(task, ((first, other["answer"]) for first, *others in groups for other in others)))
    kept = []
    for first, *others in groups:
        are_equal = [next(results) for _ in others]
        if all(are_equal):
            kept.append(first)
            for problem in others:
                drops.drop("exact duplicate", locate(problem), f"of {locate(first)} | {problem['problem']}")
        else:
            for problem in (first, *others):
                drops.drop("conflicting answers", locate(problem), f"{problem['answer']} | {problem['problem']}")
    return sorted(kept, key=get_id)
