"""Label quality on the report's page: fractions, drift, and warnings of reward hacking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.params.recipe import read_recipe
from stages.report.label_quality import list_drifts, list_warnings, measure_drift
from stages.report.page import render_page
from stages.report.stage_reports import PolicyReports, StageReports
from tests.support.report_fakes import quality, round_reports

RECIPE = Path(__file__).parents[2] / "params.yaml"
COUNTS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 50), max_size=4)


def models(*told: dict[str, Any]) -> list[PolicyReports]:
    """M0 and a chain of rounds whose dataset stages tell these."""
    chain = [PolicyReports("M0", "", "", 0)]
    for depth, it in enumerate(told, start=1):
        reports = round_reports("M1")
        reports["dataset"] |= it
        chain.append(
            PolicyReports(
                f"M{depth}", f"M{depth - 1}", "step_kto", depth, reports | {"dataset": reports["dataset"] | it}
            )
        )
    return chain


def render(chain: list[PolicyReports]) -> str:
    return render_page(StageReports(read_recipe(RECIPE), {}, chain, []), [])


def test_a_round_s_labels_are_reported() -> None:
    chain = models({}, {})
    page = render(chain)
    for text in ("2.0%<span class=\"small\">40 of 2,000",
                 "26.9%<span class=\"small\">700 of 2,600", "5 votes, agreement 97.0%",
                 "olympiads", "0 to 249 characters", "5.00"):  # fmt: skip
        assert text in page, text
    assert list_drifts(chain) == {"M0": [None] * 5, "M1": [None] * 5, "M2": [0.0] * 5}
    assert list_warnings(chain) == []


def test_drift_is_measured_from_the_previous_round() -> None:
    moved = quality() | {"steps_per_completion": {"5": 2000, "6": 2000}}
    labels = {"labels": {"before": {"outcome": {"correct": 3600, "incorrect": 380, "unknown": 20}, "step": {}}}}
    drift = list_drifts(models({}, {"quality": moved, **labels}))["M2"]
    assert drift[0] == pytest.approx(0.25)
    assert drift[1] is None
    assert drift[2] == pytest.approx(0.25)
    assert drift[3:] == [0.0, 0.0]


def test_reward_hacking_is_warned_of() -> None:
    assert list_warnings(models(*({"quality": quality(idle=idle)} for idle in (40, 90, 220)))) == [
        "M2: correct labels on short or repeated steps rose from 2.0% in M1 to 4.5%: check what its policy has learnt "
        "to write.",
        "M3: 11.0% of the correct labels are on short or repeated steps.",
        "M3: correct labels on short or repeated steps rose from 4.5% in M2 to 11.0%: check what its policy has learnt "
        "to write.",
    ]


def test_longer_completions_are_warned_of() -> None:
    (found,) = list_warnings(models({}, {"quality": quality(steps=26_000)}))
    assert found == "M2: completions grew from 5.0 steps in M1 to 6.5: more steps earn more rewards."


def test_joined_steps_and_unusable_replies_are_warned_of() -> None:
    split = {"samples": 9, "limited_by_max_steps": 2, "model": {"divided_by_rules": {"not JSON": 1}}}
    policies = [PolicyReports("M0", "", "", 0), PolicyReports("M1", "M0", "kto", 1, {"split": split})]
    assert list_warnings(policies) == [
        "M1: 2 of 9 completions had more than split.max_steps steps: neighbours share a label.",
        "M1: 1 completions were divided by rules, not by the model: not JSON.",
    ]


def test_a_report_without_them_shows_none() -> None:
    reports = round_reports("M1")
    del reports["dataset"]["quality"]
    assert "Label quality" not in render([PolicyReports("M0", "", "", 0), PolicyReports("M1", "M0", "kto", 1, reports)])


@given(COUNTS, COUNTS)
def test_drift_is_between_0_and_1_and_symmetric(one: dict[str, int], other: dict[str, int]) -> None:
    found = measure_drift(one, other)
    assert found == measure_drift(other, one)
    if found is None:
        assert 0 in (sum(one.values()), sum(other.values()))
    else:
        assert -1e-12 <= found <= 1 + 1e-12
        assert measure_drift(one, one) == 0


def test_the_page_shows_them() -> None:
    chain = models({}, {"quality": quality(idle=90)})
    page = render(chain)
    for text in ("Idle rewards", "90 of 2,000", "M2: correct labels on short or repeated steps rose", "agreement 97.0%",
                 "0 to 249 characters", "700 of 2,600"):  # fmt: skip
        assert text in page, text


def test_the_page_shows_what_is_lopsided() -> None:
    chain = models({}, {})
    chain[1].reports["dataset"]["warnings"] = ["1 correct and 171 incorrect outcome labels: <b>lopsided</b>"]
    page = render(chain)
    assert "M1: 1 correct and 171 incorrect outcome labels: &lt;b&gt;lopsided&lt;/b&gt;." in page
    assert "M2: 1 correct" not in page


def test_the_page_shows_what_the_judge_s_checks_found() -> None:
    sign = {"value": 0.97, "count": 128, "threshold": 0.9, "is_explained": False, "is_found": True}
    checks = {"completions": 64, "symptoms": {"position": sign}, "found": ["labels follow <b>position</b>"]}
    chain = models({}, {})
    assert "Judge checks" not in render(chain)
    chain[1].reports["judge"] |= {"checks": checks, "replies": {"invalid": {"not JSON": 2, "thinking cut": 1234}}}
    page = render(chain)
    texts = ("Judge checks", "97.0%", "of 128", "M1: labels follow &lt;b&gt;position&lt;/b&gt;.")
    for text in (*texts, "M1, invalid replies: not JSON 2, thinking cut 1,234."):
        assert text in page, text
    chain[1].reports["judge"]["checks"] = {**checks, "symptoms": {"position": {**sign, "is_found": False}}, "found": []}
    assert "degenerate</span>" not in render(chain)
