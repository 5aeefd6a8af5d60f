"""Class weights that level right and wrong."""

from __future__ import annotations


def compute_class_weights(right: int, wrong: int, cap: float) -> dict[str, float]:
    """Weights with ``desirable * right / (undesirable * wrong)`` in [1, 4/3], the KTO paper's rule (2402.01306, eq. 8).

    The scarcer class is raised and the other stays at 1; no weight exceeds `cap`. Both are 1 where a class is empty.
    """
    if right == 0 or wrong == 0:
        return {"desirable": 1.0, "undesirable": 1.0}
    ratio = right / wrong
    if ratio < 1:
        return {"desirable": min(1 / ratio, cap), "undesirable": 1.0}
    return {"desirable": 1.0, "undesirable": min(max(ratio * 3 / 4, 1.0), cap)}
