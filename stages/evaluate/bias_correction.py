"""Correction of the measured rate of stepwise errors for the judge's own error rates."""

import numpy as np

from stages.common.params.evaluate import JudgeRatesParams, RateParams
from stages.common.statistics import Bootstrap, Counts, Estimate, Floats, compute_interval


def correct_bias(apparent: Counts, rates: JudgeRatesParams, bootstrap: Bootstrap) -> Estimate:
    """The true rate behind the apparent rate that the judge measures (Rogan and Gladen 1978), clipped to [0, 1].

    ``(apparent - (1 - specificity)) / (sensitivity - (1 - specificity))``. The interval is a bootstrap: each draw
    takes the apparent rate of resampled problems, and a sensitivity and a specificity from their posteriors under
    Jeffreys' prior (so a judge that made no error in few completions still has some uncertainty). Draws in which the
    judge is no better than chance are left out. The estimate assumes that the judge errs on these completions as
    often as on those where its rates were measured.
    """
    raw = apparent.estimate(bootstrap)
    if raw.value is None:
        return raw
    generator = np.random.default_rng([bootstrap.seed, 1])
    sensitivity = _sample_rate(rates.sensitivity, bootstrap.num_samples, generator)
    specificity = _sample_rate(rates.specificity, bootstrap.num_samples, generator)
    resampled = bootstrap.resample_ratio(apparent.numerators, apparent.denominators)
    low, high = compute_interval(_compute_true_rate(resampled, sensitivity, specificity))
    exact = [np.array([value]) for value in (raw.value, rates.sensitivity.value, rates.specificity.value)]
    # The counts stay those of the completions: a corrected count of completions does not exist.
    return Estimate(float(_compute_true_rate(*exact)[0]), low, high, raw.numerator, raw.denominator)


def _sample_rate(rate: RateParams, num_samples: int, generator: np.random.Generator) -> Floats:
    """Draws of a measured rate, shape (num_samples,); all the same if it is known exactly."""
    if rate.denominator is None:
        return np.full(num_samples, rate.value)
    hits = rate.value * rate.denominator
    return generator.beta(hits + 0.5, rate.denominator - hits + 0.5, size=num_samples)


def _compute_true_rate(apparent: Floats, sensitivity: Floats, specificity: Floats) -> Floats:
    """The corrected rates; NaN where the judge is no better than chance."""
    gain = sensitivity - (1 - specificity)
    rates = np.full(apparent.shape, np.nan)
    np.divide(apparent - (1 - specificity), gain, out=rates, where=gain > 0)
    clipped: Floats = np.clip(rates, 0.0, 1.0)
    return clipped
