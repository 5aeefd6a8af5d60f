"""Class weights that balance correct and incorrect rows."""

from __future__ import annotations


def compute_class_weights(correct: int, incorrect: int, cap: float) -> dict[str, float]:
    """Weights with ``desirable * correct / (undesirable * incorrect)`` in [1, 4/3] (KTO, arXiv 2402.01306, eq. 8).

    The scarcer class is raised and the other stays at 1; no weight exceeds `cap`. Both are 1 where a class is empty.
    """
    if correct == 0 or incorrect == 0:
        return {"desirable": 1.0, "undesirable": 1.0}
    ratio = correct / incorrect
    if ratio < 1:
        return {"desirable": min(1 / ratio, cap), "undesirable": 1.0}
    return {"desirable": 1.0, "undesirable": min(max(ratio * 3 / 4, 1.0), cap)}
