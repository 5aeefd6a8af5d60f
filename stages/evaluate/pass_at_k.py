"""Metrics over several samples per problem: Pass@1 averaged over them, Pass@k, and the majority's answer."""

from __future__ import annotations

from math import comb

import numpy as np
import polars as pl

from stages.common.statistics import Counts, count_by_problem
from stages.evaluate.majority import Equality, choose_majority
from stages.evaluate.metrics import IS_CORRECT


def estimate_pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Probability that k of `num_samples` samples, drawn without replacement, include one of the `num_correct`.

    The unbiased estimator of Chen et al. 2021 (arXiv 2107.03374), in integers up to the last division. Raises
    `ValueError` for numbers that do not fit together.
    """
    if not 0 <= num_correct <= num_samples or not 1 <= k <= num_samples:
        raise ValueError(
            f"Pass@{k} of {num_samples} samples, {num_correct} correct: expected 0 <= num_correct <= num_samples and "
            "1 <= k <= num_samples"
        )
    total = comb(num_samples, k)
    return (total - comb(num_samples - num_correct, k)) / total


def list_ks(num_samples: int) -> list[int]:
    """The k of Pass@k for `num_samples` samples per problem: powers of two above 1, and all of them."""
    powers = {2**power for power in range(1, num_samples.bit_length()) if 2**power < num_samples}
    return sorted(powers | {num_samples} - {0, 1})


def count_samples(samples: pl.DataFrame, outcomes: pl.DataFrame, k: int, equality: Equality) -> dict[str, Counts]:
    """Counts over up to `k` samples per problem (SAMPLE and OUTCOME rows of the same samples).

    - ``avg_at_<k>``: correct samples among samples, which is Pass@1 averaged over k if each problem has k.
    - ``pass_at_<j>`` for j up to k: probability that one of j samples is correct; of problems with at least j samples.
    - ``maj_at_<k>``: problems whose majority answer, by `equality`, is correct; see `choose_majority`.
    """
    winners = choose_majority(samples, outcomes, equality)
    attempts = count_by_problem(outcomes, IS_CORRECT, pl.lit(True))
    pass_at = {f"pass_at_{j}": _count_pass_at_k(attempts, j) for j in list_ks(k)}
    return {f"avg_at_{k}": attempts, **pass_at, f"maj_at_{k}": count_by_problem(winners, IS_CORRECT, pl.lit(True))}


def _count_pass_at_k(attempts: Counts, k: int) -> Counts:
    """Pass@k of each problem, from correct samples among samples."""
    has_enough = attempts.denominators >= k
    probabilities = [
        estimate_pass_at_k(int(num_samples), int(num_correct), k) if enough else 0.0
        for num_samples, num_correct, enough in zip(attempts.denominators, attempts.numerators, has_enough, strict=True)
    ]
    return Counts(attempts.problems, np.array(probabilities, dtype=np.float64), has_enough.astype(np.int64))
