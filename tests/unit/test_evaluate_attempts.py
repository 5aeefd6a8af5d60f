"""Several samples per problem, and a share corrected for the judge's own errors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.params.block import ParamsError, validate
from stages.common.params.evaluate import JudgeRatesParams
from stages.common.statistics import Bootstrap, Counts
from stages.common.tables import OUTCOME, SAMPLE
from stages.evaluate.bias_correction import correct_bias
from stages.evaluate.several_samples import count_samples, estimate_pass_at_k, list_ks

BOOTSTRAP = Bootstrap(400, 7)


# Pass@k


@given(st.integers(1, 9), st.data())
def test_pass_at_is_the_fraction_of_draws_with_a_correct_sample(samples: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, samples))
    k = data.draw(st.integers(1, samples))
    draws = list(combinations(range(samples), k))
    hits = sum(any(at < right for at in draw) for draw in draws)
    assert estimate_pass_at_k(samples, right, k) == pytest.approx(hits / len(draws), abs=1e-15)


def test_pass_at_of_many_samples_is_exact() -> None:
    assert estimate_pass_at_k(10_000, 1, 100) == 0.01
    assert estimate_pass_at_k(10_000, 9_999, 2) == 1.0


@pytest.mark.parametrize(("samples", "right", "k"), [(8, 9, 1), (8, -1, 1), (8, 1, 0), (8, 1, 9), (0, 0, 1)])
def test_numbers_that_do_not_fit_are_refused(samples: int, right: int, k: int) -> None:
    with pytest.raises(ValueError, match="expected 0 <= num_correct <= num_samples"):
        estimate_pass_at_k(samples, right, k)


@pytest.mark.parametrize(
    ("samples", "ks"), [(0, []), (1, []), (2, [2]), (3, [2, 3]), (4, [2, 4]), (8, [2, 4, 8]), (12, [2, 4, 8, 12])]
)
def test_the_ks_are_powers_of_two_and_all(samples: int, ks: list[int]) -> None:
    assert list_ks(samples) == ks


def tables(rights: dict[str, list[bool | None]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """SAMPLE and OUTCOME rows of problems whose samples have these verdicts; a wrong sample answers by its index."""
    samples, outcomes = [], []
    for problem, values in rights.items():
        for index, value in enumerate(values):
            name = f"{problem}-{index}"
            samples.append((name, problem, "p", "s", index, 0, "text", "stop", 1, 1, None, None))
            outcomes.append((name, problem, "gold" if value else f"wrong {index}", None, value, "", "g"))
    return (
        pl.DataFrame(samples, schema=SAMPLE.schema, orient="row"),
        pl.DataFrame(outcomes, schema=OUTCOME.schema, orient="row"),
    )


def by_text(pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
    return [False] * len(pairs)


def test_attempts_are_counted_per_problem() -> None:
    rights = {
        "a": [True, True, False, None],
        "b": [False, True, False, False],
        "c": [False] * 4,
        "d": [True, True],  # two samples are missing: it says nothing about four
    }
    counts = count_samples(*tables(rights), 4, by_text)
    assert list(counts) == ["avg_at_4", "pass_at_2", "pass_at_4", "maj_at_4"]
    figures = {name: (it.numerators.tolist(), it.denominators.tolist()) for name, it in counts.items()}
    assert figures["avg_at_4"] == ([2, 1, 0, 2], [4, 4, 4, 2])
    assert figures["pass_at_2"] == ([pytest.approx(5 / 6), 0.5, 0.0, 1.0], [1, 1, 1, 1])
    assert figures["pass_at_4"] == ([1.0, 1.0, 0.0, 0.0], [1, 1, 1, 0])
    assert figures["maj_at_4"] == ([1, 0, 0, 1], [1, 1, 1, 1])
    assert {it.problems for it in counts.values()} == {("a", "b", "c", "d")}


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=6))
def test_more_tries_never_do_worse(verdicts: list[list[bool]]) -> None:
    counts = count_samples(*tables({f"p{at}": list(row) for at, row in enumerate(verdicts)}), 4, by_text)
    avg, two, four, majority = (counts[name].estimate(BOOTSTRAP).value for name in counts)
    assert avg is not None
    assert two is not None
    assert four is not None
    assert majority is not None
    assert avg <= two + 1e-12
    assert two <= four + 1e-12
    assert majority <= four


# The share corrected for the judge's errors


def rates(sensitivity: float, specificity: float, of: int | None = None) -> JudgeRatesParams:
    both = {"sensitivity": sensitivity, "specificity": specificity}
    value = {name: {"value": share, "denominator": of} for name, share in both.items()}
    return validate(JudgeRatesParams, value, "evaluate.judge_rates")


def flags(numerators: Sequence[int]) -> Counts:
    ones = np.ones(len(numerators), dtype=np.int64)
    return Counts(tuple(map(str, range(len(numerators)))), np.array(numerators), ones)


def test_a_judge_that_never_errs_changes_nothing() -> None:
    flagged = flags([1] * 30 + [0] * 70)
    assert correct_bias(flagged, rates(1.0, 1.0), BOOTSTRAP) == flagged.estimate(BOOTSTRAP)


@pytest.mark.parametrize("truth", [0.0, 0.1, 0.25, 0.9, 1.0])
@pytest.mark.parametrize(("sensitivity", "specificity"), [(0.8, 0.9), (0.5, 0.95), (1.0, 0.7), (0.3, 0.8)])
def test_the_truth_comes_back_from_what_the_judge_flags(truth: float, sensitivity: float, specificity: float) -> None:
    flagged = round(10_000 * (truth * sensitivity + (1 - truth) * (1 - specificity)))
    it = correct_bias(
        flags([1] * flagged + [0] * (10_000 - flagged)), rates(sensitivity, specificity), Bootstrap(100, 1)
    )
    assert it.value == pytest.approx(truth, abs=1e-9)
    assert (it.numerator, it.denominator) == (flagged, 10_000)


def test_a_share_is_kept_within_0_and_1() -> None:
    assert correct_bias(flags([0] * 50), rates(0.8, 0.9), BOOTSTRAP).value == 0.0
    assert correct_bias(flags([1] * 50), rates(0.8, 0.9), BOOTSTRAP).value == 1.0


def test_rates_from_few_solutions_widen_the_interval() -> None:
    flagged = flags([1] * 60 + [0] * 140)
    widths = []
    for of in (None, 1000, 50):
        it = correct_bias(flagged, rates(0.8, 0.9, of), Bootstrap(2000, 1))
        assert it.low is not None
        assert it.high is not None
        widths.append(it.high - it.low)
    assert widths[0] < widths[1] < widths[2]


def test_a_judge_never_seen_to_err_may_err_still() -> None:
    flagged = flags([1] * 60 + [0] * 140)
    sure = correct_bias(flagged, rates(1.0, 1.0), Bootstrap(2000, 1))
    seen = correct_bias(flagged, rates(1.0, 1.0, 20), Bootstrap(2000, 1))
    assert seen.value == sure.value
    assert seen.low is not None
    assert sure.low is not None
    assert seen.low < sure.low


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    truth, sensitivity, specificity, of, solutions = 0.2, 0.8, 0.9, 200, 300
    generator = np.random.default_rng(11)
    held = 0
    for seed in range(200):
        measured = rates(
            float(generator.binomial(of, sensitivity) / of), float(generator.binomial(of, specificity) / of), of
        )
        wrong = generator.random(solutions) < truth
        flagged = generator.random(solutions) < np.where(wrong, sensitivity, 1 - specificity)
        it = correct_bias(flags(flagged.astype(int).tolist()), measured, Bootstrap(300, seed))
        assert it.low is not None
        assert it.high is not None
        held += it.low <= truth <= it.high
    assert 0.91 <= held / 200 <= 0.99


def test_nothing_flagged_of_nothing_is_null() -> None:
    zeros = np.zeros(3, dtype=np.int64)
    assert correct_bias(Counts(("a", "b", "c"), zeros, zeros), rates(0.8, 0.9), BOOTSTRAP).value is None


def test_a_judge_no_better_than_chance_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"evaluate\.judge_rates: sensitivity and specificity add up to no more"):
        rates(0.4, 0.6)
