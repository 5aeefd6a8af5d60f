"""The filters of a row: from a candidate to its gold answer, or to the reason why it is dropped."""

from collections.abc import Callable

from stages.common.gold_answers import GoldAnswer, GoldRules
from stages.common.params.problems import FilterParams
from stages.common.text import has_lone_surrogate
from stages.problems.candidate import Candidate
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
    marks = candidate.marks
    filters: tuple[tuple[bool, str, Callable[[], bool]], ...] = (
        (params.drop_invalid, "problem marked as not valid", lambda: "problem_is_valid" in marks),
        (params.drop_invalid, "solution marked as not valid", lambda: "solution_is_valid" in marks),
        (params.drop_synthetic, "marked as synthetic", lambda: "synthetic" in marks),
        (params.drop_proofs, "marked as a proof", lambda: "question_type" in marks),
        (params.drop_non_text, "broken encoding", lambda: any(map(has_broken_encoding, texts))),
        (params.drop_non_text, "not in Latin script", lambda: any(map(is_foreign_script, texts))),
        (params.drop_proofs, "proof only", lambda: asks_for_proof_only(candidate.problem)),
        (params.drop_multiple_questions, "multiple questions", lambda: has_multiple_questions(candidate.problem)),
        (params.drop_figures, "needs a figure", lambda: needs_figure(candidate.problem)),
    )
    return next((reason for enabled, reason, matches in filters if enabled and matches()), None)


def find_gold_answer(candidate: Candidate, params: FilterParams, finder: GoldRules) -> GoldAnswer:
    """The gold answer: the one given, else what the rules find in the solution, or the reason why there is none."""
    return finder.find_gold(candidate.solution, candidate.answer, require_single=params.drop_multiple_questions)
