"""The gate before labelling: the judge is measured on people's labels, and must reach what the recipe requires."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.common.params.judge import JudgeParams, RequireParams
from stages.judge.label import open_judge
from stages.judge.measure import labels_by_sample, measure
from stages.judge.people import Solution, as_tables, read_solutions


def calibration(params: JudgeParams, seed: int, solutions: Sequence[Solution], label: str) -> dict[str, Any]:
    """How the judge of `params` does on `solutions`: see `measure`; with it, what votes gain and what replies cost.

    Labels are not flipped here, whatever the settings say of training labels. Deterministic where the judge is.
    """
    params = params.model_copy(update={"flip": 0.0})
    tables = as_tables(solutions)
    with open_judge(params, seed, label) as judge:
        labels, costs, identity = judge.label(*tables), judge.costs(), judge.identity
    known = labels.judged.drop_nulls("label")
    return {
        **measure(solutions, labels_by_sample(labels.judged)),
        "judge": identity,
        "votes": params.votes,
        "agreement": round(float(known["agreement"].mean() or 0.0), 6) if known.height else None,  # type: ignore[arg-type]
        "f1_of_one_vote": _f1_of_one_vote(params, seed, solutions, label),
        "per_1000_solutions": _per_1000(costs, len(solutions)),
    }


def pass_gate(params: JudgeParams, seed: int, label: str) -> dict[str, Any] | None:
    """The calibration that the settings ask for, None where they ask for none; `refuse` says whether it suffices."""
    if params.require is None:
        return None
    solutions: list[Solution] = []
    for path in map(Path, params.require.files):
        solutions += read_solutions(path)
    chosen = sorted(solutions, key=lambda each: each.sample_id)[: params.require.solutions]
    files = {Path(name).name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in params.require.files}
    return {"files": files, "required": {"f1": params.require.f1}, **calibration(params, seed, chosen, label)}


def refuse(require: RequireParams, found: dict[str, Any], report: Path) -> None:
    """Raise `ValueError` with the reason where the judge does not reach what is required; `report` tells the rest."""
    if found["f1"] is not None and found["f1"] >= require.f1:
        return
    raise ValueError(
        f"judge.require.f1: {require.f1:g} is asked for, and {found['f1']} was measured on {found['solutions']} "
        f"solutions (accuracy on erroneous {found['accuracy_on_erroneous']}, on correct "
        f"{found['accuracy_on_correct']}): nothing is labelled by such a judge. All figures: {report}"
    )


def _f1_of_one_vote(params: JudgeParams, seed: int, solutions: Sequence[Solution], label: str) -> float | None:
    """F1 of the first vote alone; it has been asked for already."""
    with open_judge(params.model_copy(update={"votes": 1}), seed, label) as judge:
        labels = judge.label(*as_tables(solutions))
    f1: float | None = measure(solutions, labels_by_sample(labels.judged))["f1"]
    return f1


def _per_1000(costs: dict[str, Any], solutions: int) -> dict[str, Any]:
    """Tokens and money per 1,000 solutions, by judge, whichever run paid for them; null where nothing is known."""
    return {place: _scaled(of_judge, solutions) for place, of_judge in costs.items()}


def _scaled(costs: dict[str, Any], solutions: int) -> dict[str, Any]:
    every = costs["in_all"]
    scaled = {
        name: round(every[name] * 1000 / solutions, 6) if every[name] is not None and solutions else None
        for name in ("prompt_tokens", "completion_tokens", "money")
    }
    return {"model": costs["model"], "currency": every["currency"], **scaled}
