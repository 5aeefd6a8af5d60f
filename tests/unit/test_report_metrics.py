"""The report's benchmarks, the paper's figures beside them, comparisons, and their columns in the table of rounds."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest

from stages.common.params.recipe import read_recipe
from stages.common.statistics import Bootstrap
from stages.report import comparisons, write_report
from stages.report.benchmark_table import build_benchmark_table, describe_judges, get_paper_result
from stages.report.comparisons import compare_policies
from stages.report.evaluation_metrics import list_problem_sets, sort_metrics
from stages.report.page import format_p_value, format_points, render_page
from stages.report.rounds_table import build_rounds_table, format_csv
from stages.report.stage_reports import PolicyReports, StageReports, read_stage_reports
from tests.support.report_fakes import benchmark, evaluation, write, write_recipe

CHAIN = {"M1": {"policy": "M0"}, "M2": {"policy": "M1"}}
VARIANTS = CHAIN | {"K1": {"policy": "M0", "train": {"method": "kto"}}}
OF = {"math500": 500, "amc23": 40}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparisons, "BOOTSTRAP", Bootstrap(200, 1))


def sources(folder: Path, rounds: dict[str, Any], **report: Any) -> StageReports:
    """Rounds evaluated on the split and on two benchmarks."""
    for name in ("M0", *rounds):
        measured = {it: benchmark(name, of) for it, of in OF.items()}
        write(folder / "stages" / "evaluate" / f"{name}.json", evaluation(name) | {"benchmarks": measured})
    return read_stage_reports(write_recipe(folder / "params.yaml", rounds, **report), folder / "stages")


def test_the_table_has_the_paper_s_shape_and_its_figures(tmp_path: Path) -> None:
    table = build_benchmark_table(sources(tmp_path, VARIANTS, paper="llama-3.1-8b"))
    assert table is not None
    assert [(it.title, it.name, metric.key, metric.title) for it, metric in table.columns[:4]] == [
        ("MATH-500", "math500", "pass_at_1", "Pass@1"), ("MATH-500", "math500", "maj_at_8", "Maj@8"),
        ("MATH-500", "math500", "stepwise_error", "Stepwise error"), ("AMC23", "amc23", "pass_at_1", "Pass@1"),
    ]  # fmt: skip
    assert {
        policy.name: [table.paper.get((policy.name, it.name, metric.key)) for it, metric in table.columns]
        for policy in table.policies
    } == {
        "M0": [0.534, None, 0.273, 0.35, None, None],
        "M1": [0.594, None, 0.229, None, None, None],
        "K1": [None, None, 0.246, None, None, None],
        "M2": [None, None, 0.208, None, None, None],
    }
    math500 = table.columns[0][0]
    ours = {policy.name: math500.get_metrics(policy.name)["pass_at_1"]["numerator"] for policy in table.policies}
    assert ours == {"M0": 212, "M1": 288, "K1": 269, "M2": 298}
    assert len(table.notes) == 2


def test_a_recipe_that_is_none_of_the_paper_s_stands_alone(tmp_path: Path) -> None:
    table = build_benchmark_table(sources(tmp_path, CHAIN))
    assert table is not None
    assert set(table.paper.values()) == {None}
    assert table.notes == ["Steps are judged by exact, which also labels the training data."]


def test_a_chain_of_several_methods_is_none_of_the_paper_s() -> None:
    start, first = PolicyReports("M0", "", "", 0), PolicyReports("M1", "M0", "kto", 1)
    second = PolicyReports("M2", "M1", "step_kto", 2)
    chain = [start, first, second]
    assert get_paper_result("llama-3.1-8b", "math500", "stepwise_error", chain[:2]) == 0.246
    assert get_paper_result("llama-3.1-8b", "math500", "stepwise_error", chain) is None
    assert get_paper_result(None, "math500", "stepwise_error", chain[:2]) is None


def test_no_benchmark_no_table(tmp_path: Path) -> None:
    write(tmp_path / "stages" / "evaluate" / "M0.json", evaluation("M0"))
    it = read_stage_reports(write_recipe(tmp_path / "params.yaml", CHAIN), tmp_path / "stages")
    assert build_benchmark_table(it) is None


def test_the_judge_is_named() -> None:
    def model(name: str, training: str) -> PolicyReports:
        return PolicyReports("M0", "", "", 0, {"evaluate": {"judge": {"name": name, "training_judge": training}}})

    assert describe_judges([model("q", "l")]) == "Steps are judged by q, not the training judge."
    assert describe_judges([model("q", "q"), model("q", "l")]).count(";") == 1
    assert describe_judges([PolicyReports("M0", "", "", 0, {"evaluate": {"judge": 3}})]) == ""


def test_each_round_is_compared_with_its_policy_and_variants_with_the_first(tmp_path: Path) -> None:
    found = compare_policies(sources(tmp_path, VARIANTS).policies)
    pairs = [(it.policy.name, it.other.name) for it in found if it.problems == "MATH-500"]
    assert pairs == [("M1", "M0"), ("K1", "M0"), ("M2", "M1"), ("K1", "M1")]
    assert {it.problems for it in found} == {"The recipe's problems", "MATH-500", "AMC23"}
    change = found[0].changes["pass_at_1"]
    assert (change.num_gained, change.num_lost) == (109, 0)
    assert change.difference == pytest.approx(0.218)
    assert change.low is not None
    assert 0 < change.low < 0.218


def test_rounds_on_other_problems_are_not_compared(tmp_path: Path) -> None:
    it = sources(tmp_path, {"M1": {"policy": "M0"}})
    it.policies[1].reports["evaluate"]["by_problem"]["problems"] = "others"
    assert {found.problems for found in compare_policies(it.policies)} == {"MATH-500", "AMC23"}


def test_new_columns_stand_behind_the_old_ones(tmp_path: Path) -> None:
    with_all = build_rounds_table(sources(tmp_path, CHAIN).policies)
    names = list(with_all[0])
    old = names[: names.index("tokens_per_completion") + 1]
    assert old[-5:] == ["unknown_steps", "unknown_outcome", "no_answer", "truncated", "tokens_per_completion"]
    assert names[len(old) : len(old) + 6] == [
        "avg_at_8", "avg_at_8_low", "avg_at_8_high", "pass_at_2", "pass_at_2_low", "pass_at_2_high",
    ]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(format_csv(with_all))))
    assert rows[1]["math500_pass_at_1"] == "0.576"
    assert rows[1]["amc23_stepwise_error_bias_corrected"] == "0.042"
    assert (rows[0]["pass_at_1_change"], rows[1]["pass_at_1_change"]) == ("", "0.218")
    assert float(rows[1]["pass_at_1_change_p"]) == pytest.approx(2 / 2**109, rel=0.01)
    assert 0 < float(rows[1]["maj_at_8_change_low"]) < float(rows[1]["maj_at_8_change_high"])


def test_metrics_have_an_order_and_unknown_ones_are_left_out() -> None:
    keys = ["tokens_per_completion", "maj_at_16", "x", "pass_at_8", "avg_at_8", "maj_at_4", "pass_at_1", "pass_at_"]
    assert [it.key for it in sort_metrics(keys)] == [
        "pass_at_1", "avg_at_8", "maj_at_4", "maj_at_16", "pass_at_8", "tokens_per_completion",
    ]  # fmt: skip


def test_benchmarks_alone_are_sets_too(tmp_path: Path) -> None:
    report = evaluation("M0") | {"metrics": {}, "benchmarks": {"mine": benchmark("M0", 30), "empty": {"metrics": {}}}}
    write(tmp_path / "stages" / "evaluate" / "M0.json", report)
    it = read_stage_reports(write_recipe(tmp_path / "params.yaml", CHAIN), tmp_path / "stages")
    assert [found.title for found in list_problem_sets(it.policies)] == ["mine"]
    assert ">mine</span> Pass@1" in render_page(it, [])


def test_the_page_shows_them(tmp_path: Path) -> None:
    sources(tmp_path, VARIANTS, paper="llama-3.1-8b")
    out = tmp_path / "out"
    write_report(tmp_path / "params.yaml", tmp_path / "stages", out)
    page = (out / "index.html").read_text(encoding="utf-8")
    for text in ("paper 59.4%", "+21.8", "109 gained, 0 lost", "p &lt; 0.001", "bias-corrected 4.2%",
                 "paper 53.4%", "paper 20.8%",
                 "Pass@1 over 8", "which also labels the training data"):  # fmt: skip
        assert text in page, text


def test_differences_and_p_values_are_formatted_as_in_papers() -> None:
    assert [format_points(it) for it in (0.1234, -0.05, 0.0, None)] == ["+12.3", "−5.0", "+0.0", "–"]
    assert [format_p_value(it) for it in (0.0001, 0.0312, 1.0)] == ["p < 0.001", "p = 0.031", "p = 1.000"]


def test_agreement_with_human_labels_is_shown() -> None:
    labelled = {
        "num_labels": 9, "num_matched": 8, "num_steps": 7,
        "agreement": {"value": 0.75, "low": 0.5, "high": 1.0, "numerator": 6, "denominator": 8},
        "kappa": {"value": 0.5, "low": 0.0, "high": 1.0},
        "rates": {"sensitivity": {"value": 0.8, "denominator": 5}, "specificity": {"value": None, "denominator": 0}},
    }  # fmt: skip
    unmatched = {"num_labels": 1, "note": "<b>none"}
    policies = [
        PolicyReports("M0", "", "", 0, {"evaluate": {"judge": {"human_labels": labelled}}}),
        PolicyReports("M1", "M0", "kto", 1, {"evaluate": {"judge": {"human_labels": unmatched}}}),
        PolicyReports("M2", "M1", "kto", 2, {"evaluate": {"judge": {"name": "exact"}}}),
    ]
    recipe = read_recipe(Path(__file__).parents[2] / "params.yaml")
    page = render_page(StageReports(recipe, {}, policies, []), [])
    section = page[page.index('<h2 id="human-labels">') :]
    rows = re.findall(r'<tr><th scope="row">.*?</tr>', section[: section.index("</table>")], re.DOTALL)
    texts = [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in rows]
    assert texts == [
        "M0 8 7 75.0% 50.0% to 100.0% 6 of 8 0.500 0.000 to 1.000 80.0% of 5 – of 0",
        "M1 &lt;b&gt;none",
    ]
