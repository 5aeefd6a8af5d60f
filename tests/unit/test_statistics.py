"""Statistics: intervals, counts by problem, and two models compared on the same problems."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.statistics import (
    Counts,
    Estimate,
    Resampling,
    compare,
    compare_reports,
    count,
    from_report,
    mcnemar_exact,
    to_report,
)
from stages.common.statistics import estimate as estimate_module

RESAMPLING = Resampling(400, 7)


# Intervals


def test_a_ratio_is_the_sums_ratio_with_its_counts() -> None:
    it = RESAMPLING.ratio([1, 0, 3], [2, 1, 5])
    assert (it.value, it.numerator, it.denominator) == (0.5, 4, 8)
    assert it.low is not None
    assert it.high is not None
    assert 0 <= it.low <= 0.5 <= it.high <= 0.6


@pytest.mark.parametrize("counts", [[], [0], [0, 0, 0]])
def test_nothing_counted_is_null(counts: list[int]) -> None:
    assert RESAMPLING.ratio(counts, counts) == Estimate(None, None, None, 0, 0)


def test_resamples_that_count_nothing_are_left_out() -> None:
    it = RESAMPLING.ratio([1] + [0] * 9, [1] + [0] * 9)
    assert (it.value, it.low, it.high) == (1.0, 1.0, 1.0)


def test_arrays_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="one numerator and denominator per problem"):
        RESAMPLING.ratio([1, 2], [1])


def test_the_interval_of_a_share_is_that_of_the_normal_approximation() -> None:
    right = np.arange(1000) % 5 == 0
    it = Resampling(4000, 3).ratio(right, np.ones(1000))
    half = 1.96 * (0.2 * 0.8 / 1000) ** 0.5
    assert it.low == pytest.approx(0.2 - half, abs=0.002)
    assert it.high == pytest.approx(0.2 + half, abs=0.002)


def test_the_seed_decides_and_the_block_size_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    right = np.arange(50) % 3 == 0
    first = Resampling(300, 1).ratio(right, np.ones(50))
    assert Resampling(300, 2).ratio(right, np.ones(50)) != first
    monkeypatch.setattr(estimate_module, "_CELLS", 7 * 50)
    assert Resampling(300, 1).ratio(right, np.ones(50)) == first


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_an_interval_lies_within_the_problems_ratios(counts: list[tuple[int, int]]) -> None:
    pairs = [(min(pair), max(pair)) for pair in counts]
    it = Resampling(100, 5).ratio([top for top, _ in pairs], [bottom for _, bottom in pairs])
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
    frame = pl.DataFrame({"problem_id": ["b", "a", "b", "a"], "right": [True, False, True, True], "n": [1, 2, 3, 4]})
    it = count(frame, pl.col("right"), pl.col("n"))
    assert it.problems == ("a", "b")
    assert it.numerators.tolist() == [1, 2]
    assert it.denominators.tolist() == [6, 4]


def test_chances_are_summed_as_they_are() -> None:
    it = RESAMPLING.ratio([0.25, 0.5], [1, 1])
    assert (it.value, it.numerator, it.denominator) == (0.375, 0.75, 2)
    assert it.low == 0.25
    assert it.high == 0.5


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=20))
def test_a_report_gives_its_counts_back(pairs: list[tuple[int, int]]) -> None:
    it = counts([top for top, _ in pairs], [bottom for _, bottom in pairs])
    again = from_report(to_report(it))
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
    assert from_report(junk) is None


# Comparisons


@pytest.mark.parametrize(
    ("gained", "lost", "p_value"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 0, 2 / 32),
        (0, 10, 2 / 1024),
        (8, 2, 2 * (1 + 10 + 45) / 1024),
        (3000, 3000, 1.0),  # no overflow where the chances underflow
    ],
)
def test_mcnemar_by_hand(gained: int, lost: int, p_value: float) -> None:
    assert mcnemar_exact(gained, lost) == pytest.approx(p_value, rel=1e-12)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_chance_of_a_split_at_least_as_uneven(gained: int, lost: int) -> None:
    changes = gained + lost
    uneven = [comb(changes, k) for k in range(changes + 1) if abs(2 * k - changes) >= abs(gained - lost)]
    assert mcnemar_exact(gained, lost) == pytest.approx(sum(uneven) / 2**changes, rel=1e-12)


def test_a_negative_number_of_changes_is_refused() -> None:
    with pytest.raises(ValueError, match="none below 0"):
        mcnemar_exact(-1, 3)


def test_a_comparison_pairs_the_problems() -> None:
    before = counts([1, 1, 0, 0, 0, 0, 1, 0, 0, 0], [1] * 10)
    after = counts([1, 0, 1, 1, 1, 0, 1, 0, 0, 0], [1] * 10)
    it = compare(before, after, RESAMPLING)
    assert it is not None
    assert (it.problems, it.before, it.after, it.gained, it.lost) == (10, 0.3, 0.5, 3, 1)
    assert it.difference == pytest.approx(0.2)
    assert it.p_value == pytest.approx(2 * (1 + 4) / 16)
    assert it.low is not None
    assert it.high is not None
    assert it.low < 0.2 < it.high


def test_pairing_narrows_the_interval() -> None:
    """Two models that differ on one problem in fifty: the interval knows, whatever the share that both solve."""
    before = counts([at % 2 for at in range(100)], [1] * 100)
    after = counts([1 if at in (0, 2) else at % 2 for at in range(100)], [1] * 100)
    it = compare(before, after, Resampling(2000, 1))
    assert it is not None
    assert it.low is not None
    assert it.high is not None
    assert it.low >= 0
    assert it.high <= 0.06


def test_the_interval_of_a_difference_is_that_of_the_normal_approximation() -> None:
    before = counts([1] * 500 + [0] * 500, [1] * 1000)
    after = counts([1] * 460 + [0] * 40 + [1] * 140 + [0] * 360, [1] * 1000)
    it = compare(before, after, Resampling(4000, 3))
    assert it is not None
    half = 1.96 * (0.18 - 0.1**2) ** 0.5 / 1000**0.5
    assert it.low == pytest.approx(0.1 - half, abs=0.003)
    assert it.high == pytest.approx(0.1 + half, abs=0.003)


def test_a_ratio_of_counts_has_no_mcnemar() -> None:
    it = compare(counts([1, 2], [2, 2]), counts([2, 2], [2, 2]), RESAMPLING)
    assert it is not None
    assert it.difference == 0.25
    assert (it.gained, it.lost, it.p_value) == (None, None, None)


def test_nothing_counted_on_one_side_is_no_comparison() -> None:
    assert compare(counts([0, 0], [0, 0]), counts([1, 1], [1, 1]), RESAMPLING) is None


def test_other_numbers_of_problems_are_refused() -> None:
    with pytest.raises(ValueError, match="2 before, 1 after"):
        compare(counts([1, 0], [1, 1]), counts([1], [1]), RESAMPLING)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_turning_a_comparison_round_turns_its_signs(pairs: list[tuple[int, int]]) -> None:
    ones = [1] * len(pairs)
    before, after = counts([a for a, _ in pairs], ones), counts([b for _, b in pairs], ones)
    there, back = compare(before, after, Resampling(100, 2)), compare(after, before, Resampling(100, 2))
    assert there is not None
    assert back is not None
    assert there.difference == -back.difference
    assert there.low is not None
    assert back.high is not None
    assert there.low == pytest.approx(-back.high)
    assert (there.gained, there.lost, there.p_value) == (back.lost, back.gained, back.p_value)
    assert there.low <= there.difference + 1e-12


def kept(problems: str, **metrics: Counts) -> dict[str, Any]:
    return {"by_problem": {"problems": problems, **{name: to_report(it) for name, it in metrics.items()}}}


def test_reports_are_compared_by_the_metrics_they_share() -> None:
    one, two = counts([1, 0, 0], [1, 1, 1]), counts([1, 1, 0], [1, 1, 1])
    found = compare_reports(kept("h", pass_at_1=one, maj_at_8=one), kept("h", pass_at_1=two, maj_at_4=two), RESAMPLING)
    assert list(found) == ["pass_at_1"]
    assert found["pass_at_1"].gained == 1


def test_reports_on_other_problems_are_not_compared() -> None:
    one = counts([1, 0, 0], [1, 1, 1])
    assert compare_reports(kept("h", pass_at_1=one), kept("g", pass_at_1=one), RESAMPLING) == {}


@pytest.mark.parametrize("junk", [None, 1, {}, {"by_problem": 3}, {"by_problem": {"problems": "h", "pass_at_1": 2}}])
def test_a_report_without_counts_is_not_compared(junk: Any) -> None:
    good = kept("h", pass_at_1=counts([1, 0], [1, 1]))
    assert compare_reports(junk, good, RESAMPLING) == {}
    assert compare_reports(good, junk, RESAMPLING) == {}
