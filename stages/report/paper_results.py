"""The paper's published results, shown beside ours if the recipe is the paper's (arXiv 2501.10799)."""

from __future__ import annotations

from stages.report.stage_reports import PolicyReports

NOTE = (
    "The paper's stepwise errors are those of its table; its Pass@1 are taken from summaries of its text. "
    "They are not corrected for the error rates of its judge."
)

_SMALL, _LARGE = "llama-3.1-8b", "llama-3.3-70b"
_RESULTS = {
    (_SMALL, "math500", "pass_at_1", "step_kto"): {0: 0.534, 1: 0.594, 3: 0.632},
    (_SMALL, "amc23", "pass_at_1", "step_kto"): {0: 0.350, 3: 0.475},
    (_SMALL, "math500", "stepwise_error", "step_kto"): {0: 0.273, 1: 0.229, 2: 0.208, 3: 0.199},
    (_SMALL, "math500", "stepwise_error", "kto"): {0: 0.273, 1: 0.246, 2: 0.226, 3: 0.211},
    (_LARGE, "math500", "pass_at_1", "step_kto"): {0: 0.758, 3: 0.796},
}
"""By model, benchmark, metric and method: fractions by round; round 0 is M0, the same for every method.

AMC23 results of a 70B model, 40.0 to 70.0, are left out: which model they belong to is not clear.
"""


def get_paper_result(model: str | None, benchmark: str, metric: str, chain: list[PolicyReports]) -> float | None:
    """The paper's result for the last policy of `chain`, None if it has none or does not have this policy.

    `chain` is how the policy was trained, M0 first: the paper has no policy trained by several methods.
    """
    methods = {policy.method for policy in chain if policy.depth} or {"step_kto"}
    if model is None or len(methods) > 1:
        return None
    return _RESULTS.get((model, benchmark, metric, methods.pop()), {}).get(chain[-1].depth)
