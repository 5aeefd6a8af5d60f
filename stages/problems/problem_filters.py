"""The filters of a row: from a candidate to its gold answer, or to the reason why it is dropped."""

from __future__ import annotations

from collections.abc import Callable

from stages.common.params.problems import FilterParams
from stages.common.text import has_lone_surrogate
from stages.problems.candidate import Candidate
from stages.problems.gold import answers_differ, last_boxed, no_result
from stages.problems.question_filters import asks_for_proof_only, has_multiple_questions, needs_figure
from stages.problems.text_filters import has_broken_encoding, is_foreign_script


def find_drop_reason(candidate: Candidate, params: FilterParams) -> str | None:
    """Why `candidate` is dropped before its answer is looked for; None if it is kept."""
    texts = (candidate.source, candidate.problem, candidate.solution, candidate.answer or "")
    if any(map(has_lone_surrogate, texts)):
        return "lone surrogate"
    if candidate.source in params.drop_sources:
        return "source left out"
    if max(map(len, texts)) > params.max_chars:
        return "too long"
    filters: tuple[tuple[bool, str, Callable[[], bool]], ...] = (
        (params.drop_non_text, "broken encoding", lambda: any(map(has_broken_encoding, texts))),
        (params.drop_non_text, "not in Latin script", lambda: any(map(is_foreign_script, texts))),
        (params.drop_proofs, "proof only", lambda: asks_for_proof_only(candidate.problem)),
        (params.drop_multiple_questions, "multiple questions", lambda: has_multiple_questions(candidate.problem)),
        (params.drop_figures, "needs a figure", lambda: needs_figure(candidate.problem)),
    )
    return next((reason for enabled, reason, matches in filters if enabled and matches()), None)


def find_gold_answer(candidate: Candidate, params: FilterParams) -> tuple[str | None, str]:
    """The gold answer and "", or None and the reason why there is none.

    A given answer takes precedence over the box. Boxes with different answers mean that the solution answers several
    questions, and the last need not be the one asked.
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
