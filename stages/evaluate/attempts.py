"""Several samples per problem: Pass@1 averaged over them, Pass@k, and the majority's answer."""

from __future__ import annotations

from math import comb

import numpy as np
import polars as pl

from stages.common.statistics import Counts, count
from stages.evaluate.majority import Equality, majority_winners
from stages.evaluate.metrics import RIGHT


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Chance that k of `samples` samples, of which `right` are right, drawn without replacement, hold a right one.

    The unbiased estimator of Chen et al. 2021 (arXiv 2107.03374), in whole numbers up to the last division. Raises
    `ValueError` where the three do not fit together.
    """
    if not 0 <= right <= samples or not 1 <= k <= samples:
        raise ValueError(f"Pass@{k} of {samples} samples, {right} right: expected 0 <= right <= samples, 1 <= k")
    total = comb(samples, k)
    return (total - comb(samples - right, k)) / total


def ks_measured(samples: int) -> list[int]:
    """The k of Pass@k for `samples` samples per problem: powers of two above 1, and all of them."""
    return sorted({2**power for power in range(1, samples.bit_length()) if 2**power < samples} | {samples} - {0, 1})


def attempt_counts(samples: pl.DataFrame, outcomes: pl.DataFrame, k: int, equality: Equality) -> dict[str, Counts]:
    """What is counted of up to `k` samples per problem (SAMPLE and OUTCOME rows of the same samples).

    - ``avg_at_<k>``: right samples among samples, which is Pass@1 averaged over k where each problem has k.
    - ``pass_at_<j>`` for j up to k: chance that one of j samples is right; of problems with at least j samples.
    - ``maj_at_<k>``: problems whose majority answer, by `equality`, is right; see `majority_winners`.
    """
    winners = majority_winners(samples, outcomes, equality)
    tries = count(outcomes, RIGHT, pl.lit(True))
    chances = {f"pass_at_{j}": _chances(tries, j) for j in ks_measured(k)}
    return {f"avg_at_{k}": tries, **chances, f"maj_at_{k}": count(winners, RIGHT, pl.lit(True))}


def _chances(tries: Counts, k: int) -> Counts:
    """Pass@k of each problem, from right samples among samples."""
    enough = tries.denominators >= k
    chances = [
        pass_at_k(int(samples), int(right), k) if told else 0.0
        for samples, right, told in zip(tries.denominators, tries.numerators, enough, strict=True)
    ]
    return Counts(tries.problems, np.array(chances, dtype=np.float64), enough.astype(np.int64))
