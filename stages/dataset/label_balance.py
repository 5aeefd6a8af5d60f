"""The balance of a data set's labels: the weights that level it, warnings, and what is too few to train on."""

from stages.common.errors import UserError

LabelsByLevel = dict[str, dict[str, int]]
"""Numbers of rows or steps by level ("outcome", "step") and label ("correct", "incorrect", "unknown")."""

LOPSIDED_RATIO = 10
"""Labels of one kind for each of the other from which a level is called lopsided: ours, the paper names none."""


def compute_class_weights(correct: int, incorrect: int, cap: float) -> dict[str, float]:
    """Weights with ``desirable * correct / (undesirable * incorrect)`` in [1, 4/3] (KTO, arXiv 2402.01306, eq. 8).

    The scarcer class is raised and the other stays at 1; no weight exceeds `cap`. Both are 1 where a class is empty.
    """
    weights = _compute_uncapped_weights(correct, incorrect)
    return {name: min(weight, cap) for name, weight in weights.items()}


def _compute_uncapped_weights(correct: int, incorrect: int) -> dict[str, float]:
    if correct == 0 or incorrect == 0:
        return {"desirable": 1.0, "undesirable": 1.0}
    ratio = correct / incorrect
    if ratio < 1:
        return {"desirable": 1 / ratio, "undesirable": 1.0}
    return {"desirable": 1.0, "undesirable": max(ratio * 3 / 4, 1.0)}


def list_balance_warnings(labels: LabelsByLevel, cap: float) -> list[str]:
    """What a person should know of `labels`: which levels are lopsided, and which weights `cap` cuts.

    A level whose labels are all unknown has none: nothing is trained on it.
    """
    warnings = []
    for level, counts in labels.items():
        correct, incorrect = counts["correct"], counts["incorrect"]
        described = f"{correct:,} correct and {incorrect:,} incorrect {level} labels"
        if max(correct, incorrect) >= max(LOPSIDED_RATIO * min(correct, incorrect), 1):
            warnings.append(f"{described}: lopsided")
        for name, weight in _compute_uncapped_weights(correct, incorrect).items():
            if weight > cap:
                warnings.append(
                    f"{described}: dataset.max_weight caps the {name} weight at {cap:g}, {weight:.1f} levels them"
                )
    return warnings


def check_label_counts(labels: LabelsByLevel, minimum: int, folder: str) -> None:
    """Raise `UserError` for a level of the rows for `folder` with fewer than `minimum` correct or incorrect labels.

    A level whose labels are all unknown is not checked.
    """
    for level, counts in labels.items():
        known = {name: counts[name] for name in ("correct", "incorrect")}
        if any(known.values()) and min(known.values()) < minimum:
            raise UserError(
                f"{folder}: dataset.min_per_label: expected at least {minimum:,} correct and {minimum:,} incorrect "
                f"{level} labels, found {known['correct']:,} and {known['incorrect']:,}; sample more "
                "(sample.num_problems, sample.num_samples), select less strictly, or lower dataset.min_per_label"
            )
