"""The paper's own figures, to stand beside ours where the recipe is the paper's (arXiv 2501.10799)."""

from __future__ import annotations

from dataclasses import dataclass

from stages.report.sources import Model

NOTE = (
    "The paper's stepwise errors are those of its table; its Pass@1 are as summaries of its text give them. "
    "Its judge's error rates are not corrected for."
)


@dataclass(frozen=True)
class _Key:
    recipe: str
    benchmark: str
    metric: str
    method: str
    """Empty for M0."""
    round: int


def _series(recipe: str, benchmark: str, metric: str, method: str, shares: dict[int, float]) -> dict[_Key, float]:
    """Shares by round; round 0 is the model that training starts from."""
    return {
        _Key(recipe, benchmark, metric, method if number else "", number): share for number, share in shares.items()
    }


_SMALL, _LARGE = "llama-3.1-8b", "llama-3.3-70b"
_FIGURES = {
    **_series(_SMALL, "math500", "pass_at_1", "step_kto", {0: 0.534, 1: 0.594, 3: 0.632}),
    **_series(_SMALL, "amc23", "pass_at_1", "step_kto", {0: 0.350, 3: 0.475}),
    **_series(_SMALL, "math500", "stepwise_error", "step_kto", {0: 0.273, 1: 0.229, 2: 0.208, 3: 0.199}),
    **_series(_SMALL, "math500", "stepwise_error", "kto", {0: 0.273, 1: 0.246, 2: 0.226, 3: 0.211}),
    **_series(_LARGE, "math500", "pass_at_1", "step_kto", {0: 0.758, 3: 0.796}),
}
"""What is known of them. The AMC23 figures of a 70B model, 40.0 to 70.0, are left out: of which one is not clear."""


def paper_figure(recipe: str | None, benchmark: str, metric: str, model: Model, chain: list[Model]) -> float | None:
    """The share that the paper reports where `model` is, null where it says nothing or the model is none of its own.

    `chain` is how `model` came about, M0 first: a model that different methods trained is none of the paper's.
    """
    methods = {it.method for it in chain if it.depth}
    if recipe is None or len(methods) > 1:
        return None
    return _FIGURES.get(_Key(recipe, benchmark, metric, model.method if model.depth else "", model.depth))
