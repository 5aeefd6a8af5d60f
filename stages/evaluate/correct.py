"""What a judge that errs says about the true share of stepwise errors."""

from __future__ import annotations

import numpy as np

from stages.common.params.evaluate import JudgeRatesParams, RateParams
from stages.common.statistics import Counts, Estimate, Floats, Resampling, interval


def correct(flagged: Counts, rates: JudgeRatesParams, resampling: Resampling) -> Estimate:
    """The true share behind the share that the judge flags (Rogan and Gladen 1978), kept within 0 and 1.

    ``(flagged - (1 - specificity)) / (sensitivity - (1 - specificity))``. The interval is a bootstrap: each draw takes
    the flagged share of resampled problems, and a sensitivity and a specificity as likely as their measurements make
    them (the posterior of Jeffreys' prior, which leaves room even where a judge was never seen to err). Draws whose
    judge is no better than chance say nothing and are left out. The estimate holds as far as the judge errs on these
    solutions as it did where it was measured.
    """
    raw = flagged.estimate(resampling)
    if raw.value is None:
        return raw
    generator = np.random.default_rng([resampling.seed, 1])
    sensitivity = _drawn(rates.sensitivity, resampling.resamples, generator)
    specificity = _drawn(rates.specificity, resampling.resamples, generator)
    shares = resampling.resampled(flagged.numerators, flagged.denominators)
    low, high = interval(_true_share(shares, sensitivity, specificity))
    one = _true_share(np.array([raw.value]), *(np.array([r.value]) for r in (rates.sensitivity, rates.specificity)))
    # The counts stay those of the solutions: there is no such thing as a corrected count of one of them.
    return Estimate(float(one[0]), low, high, raw.numerator, raw.denominator)


def _drawn(rate: RateParams, draws: int, generator: np.random.Generator) -> Floats:
    """`draws` of a measured share, all the same where it is taken as exact."""
    if rate.denominator is None:
        return np.full(draws, rate.value)
    hits = rate.value * rate.denominator
    return generator.beta(hits + 0.5, rate.denominator - hits + 0.5, size=draws)


def _true_share(flagged: Floats, sensitivity: Floats, specificity: Floats) -> Floats:
    """The corrected shares; NaN where the judge is no better than chance."""
    gain = sensitivity - (1 - specificity)
    shares = np.full(flagged.shape, np.nan)
    np.divide(flagged - (1 - specificity), gain, out=shares, where=gain > 0)
    clipped: Floats = np.clip(shares, 0.0, 1.0)
    return clipped
