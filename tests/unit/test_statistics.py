"""Statistics: intervals, counts by problem, and two policies compared on the same problems."""

from __future__ import annotations

import json
from itertools import permutations
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from stages.common.statistics import (
    CONTINGENCY_CELLS,
    Bootstrap,
    Counts,
    Estimate,
    compare_counts,
    compare_evaluations,
    compute_alphas,
    compute_mcnemar,
    count_by_problem,
    count_coincidences,
    estimate_alpha,
    estimate_kappa,
    format_counts,
    parse_counts,
)
from stages.common.statistics import bootstrap as bootstrap_module

BOOTSTRAP = Bootstrap(400, 7)


# Intervals


def test_a_ratio_is_the_sums_ratio_with_its_counts() -> None:
    it = BOOTSTRAP.estimate_ratio([1, 0, 3], [2, 1, 5])
    assert (it.value, it.numerator, it.denominator) == (0.5, 4, 8)
    assert it.low is not None
    assert it.high is not None
    assert 0 <= it.low <= 0.5 <= it.high <= 0.6


@pytest.mark.parametrize("counts", [[], [0], [0, 0, 0]])
def test_nothing_counted_is_null(counts: list[int]) -> None:
    assert BOOTSTRAP.estimate_ratio(counts, counts) == Estimate(None, None, None, 0, 0)


def test_resamples_that_count_nothing_are_left_out() -> None:
    it = BOOTSTRAP.estimate_ratio([1] + [0] * 9, [1] + [0] * 9)
    assert (it.value, it.low, it.high) == (1.0, 1.0, 1.0)


def test_arrays_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="one numerator and one denominator per problem"):
        BOOTSTRAP.estimate_ratio([1, 2], [1])


def test_the_interval_of_a_fraction_is_that_of_the_normal_approximation() -> None:
    correct = np.arange(1000) % 5 == 0
    it = Bootstrap(4000, 3).estimate_ratio(correct, np.ones(1000))
    half = 1.96 * (0.2 * 0.8 / 1000) ** 0.5
    assert it.low == pytest.approx(0.2 - half, abs=0.002)
    assert it.high == pytest.approx(0.2 + half, abs=0.002)


def test_the_seed_decides_and_the_block_size_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    correct = np.arange(50) % 3 == 0
    first = Bootstrap(300, 1).estimate_ratio(correct, np.ones(50))
    assert Bootstrap(300, 2).estimate_ratio(correct, np.ones(50)) != first
    monkeypatch.setattr(bootstrap_module, "MAX_BLOCK_SIZE", 7 * 50)
    assert Bootstrap(300, 1).estimate_ratio(correct, np.ones(50)) == first


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_an_interval_lies_within_the_problems_ratios(counts: list[tuple[int, int]]) -> None:
    pairs = [(min(pair), max(pair)) for pair in counts]
    it = Bootstrap(100, 5).estimate_ratio([top for top, _ in pairs], [bottom for _, bottom in pairs])
    ratios = [top / bottom for top, bottom in pairs if bottom]
    if not ratios:
        assert it.value is None
        return
    assert it.value is not None
    assert it.low is not None
    assert it.high is not None
    assert min(ratios) - 1e-12 <= it.low <= it.high <= max(ratios) + 1e-12


# Counts


def counts(numerators: list[Any], denominators: list[int]) -> Counts:
    names = tuple(f"p{at}" for at in range(len(numerators)))
    return Counts(names, np.array(numerators), np.array(denominators, dtype=np.int64))


def test_counting_sums_each_problem_s_rows_in_the_order_of_ids() -> None:
    frame = pl.DataFrame({"problem_id": ["b", "a", "b", "a"], "correct": [True, False, True, True], "n": [1, 2, 3, 4]})
    it = count_by_problem(frame, pl.col("correct"), pl.col("n"))
    assert it.problems == ("a", "b")
    assert it.numerators.tolist() == [1, 2]
    assert it.denominators.tolist() == [6, 4]


def test_probabilities_are_summed_as_they_are() -> None:
    it = BOOTSTRAP.estimate_ratio([0.25, 0.5], [1, 1])
    assert (it.value, it.numerator, it.denominator) == (0.375, 0.75, 2)
    assert it.low == 0.25
    assert it.high == 0.5


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=20))
def test_a_report_gives_its_counts_back(pairs: list[tuple[int, int]]) -> None:
    it = counts([top for top, _ in pairs], [bottom for _, bottom in pairs])
    again = parse_counts(format_counts(it))
    assert again is not None
    assert again.numerators.tolist() == it.numerators.tolist()
    assert again.denominators.tolist() == it.denominators.tolist()


@pytest.mark.parametrize(
    "junk",
    [None, 3, [], {}, {"numerators": "1 2"}, {"numerators": "1 2", "denominators": "1"},
     {"numerators": "", "denominators": ""}, {"numerators": "1 x", "denominators": "1 1"},
     {"numerators": [1], "denominators": [1]}, {"numerators": "9" * 30, "denominators": "1"}],
)  # fmt: skip
def test_what_is_no_report_of_counts_is_null(junk: Any) -> None:
    assert parse_counts(junk) is None


# Comparisons


@pytest.mark.parametrize(
    ("gained", "lost", "p_value"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 0, 2 / 32),
        (0, 10, 2 / 1024),
        (8, 2, 2 * (1 + 10 + 45) / 1024),
        (3000, 3000, 1.0),  # no overflow where the probabilities underflow
    ],
)
def test_mcnemar_by_hand(gained: int, lost: int, p_value: float) -> None:
    assert compute_mcnemar(gained, lost) == pytest.approx(p_value, rel=1e-12)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_probability_of_a_split_at_least_as_uneven(gained: int, lost: int) -> None:
    changes = gained + lost
    uneven = [comb(changes, k) for k in range(changes + 1) if abs(2 * k - changes) >= abs(gained - lost)]
    assert compute_mcnemar(gained, lost) == pytest.approx(sum(uneven) / 2**changes, rel=1e-12)


def test_a_negative_number_of_changes_is_refused() -> None:
    with pytest.raises(ValueError, match="none below 0"):
        compute_mcnemar(-1, 3)


def test_a_comparison_pairs_the_problems() -> None:
    before = counts([1, 1, 0, 0, 0, 0, 1, 0, 0, 0], [1] * 10)
    after = counts([1, 0, 1, 1, 1, 0, 1, 0, 0, 0], [1] * 10)
    it = compare_counts(before, after, BOOTSTRAP)
    assert it is not None
    assert (it.num_problems, it.before, it.after, it.num_gained, it.num_lost) == (10, 0.3, 0.5, 3, 1)
    assert it.difference == pytest.approx(0.2)
    assert it.p_value == pytest.approx(2 * (1 + 4) / 16)
    assert it.low is not None
    assert it.high is not None
    assert it.low < 0.2 < it.high


def test_pairing_narrows_the_interval() -> None:
    """Two policies that differ on one problem in fifty have a narrow interval, whatever fraction both solve."""
    before = counts([at % 2 for at in range(100)], [1] * 100)
    after = counts([1 if at in (0, 2) else at % 2 for at in range(100)], [1] * 100)
    it = compare_counts(before, after, Bootstrap(2000, 1))
    assert it is not None
    assert it.low is not None
    assert it.high is not None
    assert it.low >= 0
    assert it.high <= 0.06


def test_the_interval_of_a_difference_is_that_of_the_normal_approximation() -> None:
    before = counts([1] * 500 + [0] * 500, [1] * 1000)
    after = counts([1] * 460 + [0] * 40 + [1] * 140 + [0] * 360, [1] * 1000)
    it = compare_counts(before, after, Bootstrap(4000, 3))
    assert it is not None
    half = 1.96 * (0.18 - 0.1**2) ** 0.5 / 1000**0.5
    assert it.low == pytest.approx(0.1 - half, abs=0.003)
    assert it.high == pytest.approx(0.1 + half, abs=0.003)


def test_a_ratio_of_counts_has_no_mcnemar() -> None:
    it = compare_counts(counts([1, 2], [2, 2]), counts([2, 2], [2, 2]), BOOTSTRAP)
    assert it is not None
    assert it.difference == 0.25
    assert (it.num_gained, it.num_lost, it.p_value) == (None, None, None)


def test_nothing_counted_on_one_side_is_no_comparison() -> None:
    assert compare_counts(counts([0, 0], [0, 0]), counts([1, 1], [1, 1]), BOOTSTRAP) is None


def test_other_numbers_of_problems_are_refused() -> None:
    with pytest.raises(ValueError, match="2 before, 1 after"):
        compare_counts(counts([1, 0], [1, 1]), counts([1], [1]), BOOTSTRAP)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_turning_a_comparison_round_turns_its_signs(pairs: list[tuple[int, int]]) -> None:
    ones = [1] * len(pairs)
    before, after = counts([a for a, _ in pairs], ones), counts([b for _, b in pairs], ones)
    there, back = compare_counts(before, after, Bootstrap(100, 2)), compare_counts(after, before, Bootstrap(100, 2))
    assert there is not None
    assert back is not None
    assert there.difference == -back.difference
    assert there.low is not None
    assert back.high is not None
    assert there.low == pytest.approx(-back.high)
    assert (there.num_gained, there.num_lost, there.p_value) == (back.num_lost, back.num_gained, back.p_value)
    assert there.low <= there.difference + 1e-12


def kept(problems: str, **metrics: Counts) -> dict[str, Any]:
    return {"by_problem": {"problems": problems, **{name: format_counts(it) for name, it in metrics.items()}}}


def test_reports_are_compared_by_the_metrics_they_share() -> None:
    one, two = counts([1, 0, 0], [1, 1, 1]), counts([1, 1, 0], [1, 1, 1])
    found = compare_evaluations(
        kept("h", pass_at_1=one, maj_at_8=one), kept("h", pass_at_1=two, maj_at_4=two), BOOTSTRAP
    )
    assert list(found) == ["pass_at_1"]
    assert found["pass_at_1"].num_gained == 1


def test_reports_on_other_problems_are_not_compared() -> None:
    one = counts([1, 0, 0], [1, 1, 1])
    assert compare_evaluations(kept("h", pass_at_1=one), kept("g", pass_at_1=one), BOOTSTRAP) == {}


@pytest.mark.parametrize("junk", [None, 1, {}, {"by_problem": 3}, {"by_problem": {"problems": "h", "pass_at_1": 2}}])
def test_a_report_without_counts_is_not_compared(junk: Any) -> None:
    good = kept("h", pass_at_1=counts([1, 0], [1, 1]))
    assert compare_evaluations(junk, good, BOOTSTRAP) == {}
    assert compare_evaluations(good, junk, BOOTSTRAP) == {}


# Against SciPy and scikit-learn

RATIOS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=2, max_size=30)


@given(RATIOS, st.integers(0, 2**32 - 1))
def test_the_bootstrap_is_scipy_s_on_the_same_draws(pairs: list[tuple[int, int]], seed: int) -> None:
    """SciPy draws positions by `Generator.integers` too, so the same generator gives both the same resamples."""
    numerators, denominators = (np.array(column) for column in zip(*pairs, strict=True))
    ours = Bootstrap(200, seed).estimate_ratio(numerators, denominators)
    theirs = stats.bootstrap(
        (numerators, denominators),
        lambda top, bottom, axis: top.sum(axis=axis) / bottom.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=200,
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    assert (ours.low, ours.high) == (pytest.approx(theirs.low, abs=1e-12), pytest.approx(theirs.high, abs=1e-12))


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_scipy_s_binomial_test(num_gained: int, num_lost: int) -> None:
    changes = num_gained + num_lost
    expected = stats.binomtest(num_gained, changes, 0.5).pvalue if changes else 1.0
    assert compute_mcnemar(num_gained, num_lost) == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_kappa_is_scikit_learn_s(pairs: list[tuple[bool, bool]]) -> None:
    first, second = zip(*pairs, strict=True)
    kappa = compute_kappa(pairs)
    if kappa is None:  # chance alone would agree on everything
        assert len({*first, *second}) == 1
    else:
        assert kappa == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)


# Cohen's kappa


def compute_kappa(pairs: list[tuple[bool, bool]]) -> float | None:
    return estimate_kappa([[pairs.count(cell) for cell in CONTINGENCY_CELLS]], BOOTSTRAP)["value"]


def test_kappa_of_a_known_table() -> None:
    # Two readers of 50 proposals: kappa is 0.4 (en.wikipedia.org/wiki/Cohen's_kappa, "Simple example").
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert compute_kappa(pairs) == pytest.approx(0.4)
    assert compute_kappa([(True, True)] * 3) is None
    assert compute_kappa([]) is None


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_kappa_is_one_for_the_same_labels_and_never_more(pairs: list[tuple[bool, bool]]) -> None:
    kappa = compute_kappa(pairs)
    assert kappa is None or -1 <= kappa <= 1
    assert compute_kappa([(a, a) for a, _ in pairs]) in (None, 1.0)


# Krippendorff's alpha

EXAMPLES = json.loads((Path(__file__).parents[1] / "data" / "krippendorff_examples.json").read_text(encoding="utf-8"))


def to_units(raters: list[str]) -> list[list[int]]:
    """The labels of each unit, from a row of text per rater in which a dot is a missing label."""
    columns = zip(*(rater.split() for rater in raters), strict=True)
    return [[int(label) for label in column if label != "."] for column in columns]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["source"])
def test_alpha_is_that_of_published_examples(example: dict[str, Any]) -> None:
    table = count_coincidences(to_units(example["raters"]), 6)
    assert round(compute_alphas(table[None]).item(), 3) == example["alpha"]
    assert table.sum() == pytest.approx(sum(len(unit) for unit in to_units(example["raters"]) if len(unit) > 1))


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=12))
def test_alpha_is_one_minus_the_ratio_of_disagreements_over_all_pairs(units: list[list[int]]) -> None:
    kept = [unit for unit in units if len(unit) > 1]
    labels = [label for unit in kept for label in unit]
    observed = sum(sum(a != b for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in kept)
    expected = sum(a != b for a, b in permutations(labels, 2)) / max(len(labels) - 1, 1)
    value = compute_alphas(count_coincidences(units, 4)[None]).item()
    assert np.isnan(value) if expected == 0 else value == pytest.approx(1 - observed / expected)


@given(st.permutations(range(4)), st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=12))
def test_alpha_does_not_change_when_values_are_renamed_or_raters_swapped(
    names: list[int], units: list[list[int]]
) -> None:
    renamed = [[names[label] for label in reversed(unit)] for unit in units]
    both = [compute_alphas(count_coincidences(each, 4)[None]).item() for each in (units, renamed)]
    assert both[0] == pytest.approx(both[1], nan_ok=True)


def test_the_intervals_of_alpha_and_kappa_are_over_problems() -> None:
    generator = np.random.default_rng(3)
    first = generator.integers(0, 2, size=(60, 5))
    second = np.where(generator.random((60, 5)) < 0.2, 1 - first, first)
    tables = [count_coincidences(zip(a, b, strict=True), 2) for a, b in zip(first, second, strict=True)]
    cells = [[((a == x) & (b == y)).sum() for x, y in CONTINGENCY_CELLS] for a, b in zip(first, second, strict=True)]
    alpha, kappa = estimate_alpha(tables, BOOTSTRAP), estimate_kappa(cells, BOOTSTRAP)
    assert kappa["value"] == pytest.approx(cohen_kappa_score(first.ravel(), second.ravel()))
    for it in (alpha, kappa):
        assert it["low"] < it["value"] < it["high"]
        assert 0.1 < it["high"] - it["low"] < 0.4
    assert estimate_alpha(tables, BOOTSTRAP) == alpha
    assert estimate_alpha(tables * 4, BOOTSTRAP)["low"] > alpha["low"]


def test_alpha_and_kappa_of_nothing_are_null() -> None:
    nothing = {"value": None, "low": None, "high": None}
    assert estimate_alpha([], BOOTSTRAP) == nothing
    assert estimate_alpha([count_coincidences([[1, 1], [1]], 2)], BOOTSTRAP) == nothing
    assert estimate_kappa([], BOOTSTRAP) == nothing
