"""The path that every row takes: from a raw row to a problem with its gold answer, or to the reason for its drop."""

from __future__ import annotations

from collections.abc import Callable

from stages.common.params.problems import FilterParams
from stages.problems.encoding import broken_encoding, foreign_script, lone_surrogate
from stages.problems.fields import Candidate
from stages.problems.gold import answers_differ, last_boxed, no_result
from stages.problems.questions import multiple_questions, needs_figure, proof_only


def unfit(candidate: Candidate, params: FilterParams) -> str | None:
    """Why `candidate` is left out before its answer is looked for, None if it is not."""
    texts = (candidate.source, candidate.problem, candidate.solution, candidate.answer or "")
    if any(map(lone_surrogate, texts)):
        return "lone surrogate"
    if candidate.source in params.drop_sources:
        return "source left out"
    if max(map(len, texts)) > params.max_chars:
        return "too long"
    checks: tuple[tuple[bool, str, Callable[[], bool]], ...] = (
        (params.drop_non_text, "broken encoding", lambda: any(map(broken_encoding, texts))),
        (params.drop_non_text, "not in Latin script", lambda: any(map(foreign_script, texts))),
        (params.drop_proofs, "proof only", lambda: proof_only(candidate.problem)),
        (params.drop_multiple_questions, "multiple questions", lambda: multiple_questions(candidate.problem)),
        (params.drop_figures, "needs a figure", lambda: needs_figure(candidate.problem)),
    )
    return next((reason for wanted, reason, found in checks if wanted and found()), None)


def find_gold(candidate: Candidate, params: FilterParams) -> tuple[str | None, str]:
    """The gold answer and "", or None and the reason why there is none.

    A given answer counts before the box. Boxes with differing answers show that the solution answers several
    questions, of which the last is not known to be the one asked.
    """
    answer = candidate.answer if candidate.answer is not None else last_boxed(candidate.solution)
    if answer is None:
        return None, "no boxed answer"
    if not answer:
        return None, "empty box"
    if no_result(answer):
        return None, "answer is no result"
    if params.drop_multiple_questions and candidate.answer is None and answers_differ(candidate.solution):
        return None, "several different answers"
    return answer, ""
