"""The report's benchmarks, the paper's figures beside them, comparisons, and their columns in the table of rounds."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from stages.common.statistics import Resampling
from stages.report import build_report, comparisons
from stages.report.benchmarks import benchmark_table, judge_note
from stages.report.comparisons import contests
from stages.report.measures import Measure, problem_sets
from stages.report.page import chance, points, render_page
from stages.report.paper import paper_figure
from stages.report.people import Rate, agreements
from stages.report.sources import Model, Sources, read_sources
from stages.report.table import rounds_table, to_csv
from tests.support.report_fakes import benchmark, evaluation, write, write_recipe

CHAIN = {"M1": {"policy": "M0"}, "M2": {"policy": "M1"}}
ARMS = CHAIN | {"K1": {"policy": "M0", "train": {"method": "kto"}}}
OF = {"math500": 500, "amc23": 40}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparisons, "RESAMPLING", Resampling(200, 1))


def sources(folder: Path, rounds: dict[str, Any], **report: Any) -> Sources:
    """Rounds evaluated on the split and on two benchmarks."""
    for name in ("M0", *rounds):
        measured = {it: benchmark(name, of) for it, of in OF.items()}
        write(folder / "stages" / "evaluate" / f"{name}.json", evaluation(name) | {"benchmarks": measured})
    return read_sources(write_recipe(folder / "params.yaml", rounds, **report), folder / "stages")


def test_the_table_has_the_paper_s_shape_and_its_figures(tmp_path: Path) -> None:
    table = benchmark_table(sources(tmp_path, ARMS, paper="llama-3.1-8b"))
    assert table is not None
    assert [(it.title, it.benchmark, it.metric, it.figure) for it in table.columns[:4]] == [
        ("MATH-500", "math500", "pass_at_1", "Pass@1"), ("MATH-500", "math500", "maj_at_8", "Maj@8"),
        ("MATH-500", "math500", "stepwise_error", "stepwise error"), ("AMC23", "amc23", "pass_at_1", "Pass@1"),
    ]  # fmt: skip
    assert {row.model.name: [cell.paper for cell in row.cells] for row in table.rows} == {
        "M0": [0.534, None, 0.273, 0.35, None, None],
        "M1": [0.594, None, 0.229, None, None, None],
        "K1": [None, None, 0.246, None, None, None],
        "M2": [None, None, 0.208, None, None, None],
    }
    ours = {row.model.name: row.cells[0].measured["numerator"] for row in table.rows}
    assert ours == {"M0": 212, "M1": 288, "K1": 269, "M2": 298}
    corrected = [cell.corrected["value"] for cell in table.rows[1].cells]
    assert corrected == [None, None, 0.042, None, None, 0.042]
    assert len(table.notes) == 2


def test_a_recipe_that_is_none_of_the_paper_s_stands_alone(tmp_path: Path) -> None:
    table = benchmark_table(sources(tmp_path, CHAIN))
    assert table is not None
    assert {cell.paper for row in table.rows for cell in row.cells} == {None}
    assert table.notes == ["Steps are judged by exact, which also makes the training labels."]


def test_a_chain_of_several_methods_is_none_of_the_paper_s() -> None:
    start, first = Model("M0", "", "", 0), Model("M1", "M0", "kto", 1)
    second = Model("M2", "M1", "step_kto", 2)
    chain = [start, first, second]
    assert paper_figure("llama-3.1-8b", "math500", "stepwise_error", first, chain[:2]) == 0.246
    assert paper_figure("llama-3.1-8b", "math500", "stepwise_error", second, chain) is None
    assert paper_figure(None, "math500", "stepwise_error", first, chain[:2]) is None


def test_no_benchmark_no_table(tmp_path: Path) -> None:
    write(tmp_path / "stages" / "evaluate" / "M0.json", evaluation("M0"))
    it = read_sources(write_recipe(tmp_path / "params.yaml", CHAIN), tmp_path / "stages")
    assert benchmark_table(it) is None


def test_who_judges_is_said() -> None:
    def model(name: str, training: str) -> Model:
        return Model("M0", "", "", 0, {"evaluate": {"judge": {"name": name, "of_training": training}}})

    assert judge_note([model("q", "l")]) == "Steps are judged by q, not the training judge."
    assert judge_note([model("q", "q"), model("q", "l")]).count(";") == 1
    assert judge_note([Model("M0", "", "", 0, {"evaluate": {"judge": 3}})]) == ""


def test_each_round_is_held_against_its_policy_and_arms_against_the_first(tmp_path: Path) -> None:
    found = contests(sources(tmp_path, ARMS).models)
    pairs = [(it.model.name, it.other.name) for it in found if it.problems == "MATH-500"]
    assert pairs == [("M1", "M0"), ("K1", "M0"), ("M2", "M1"), ("K1", "M1")]
    assert {it.problems for it in found} == {"The recipe's problems", "MATH-500", "AMC23"}
    change = found[0].changes["pass_at_1"]
    assert (change.gained, change.lost) == (109, 0)
    assert change.difference == pytest.approx(0.218)
    assert change.low is not None
    assert 0 < change.low < 0.218


def test_rounds_on_other_problems_are_not_compared(tmp_path: Path) -> None:
    it = sources(tmp_path, {"M1": {"policy": "M0"}})
    it.models[1].reports["evaluate"]["by_problem"]["problems"] = "others"
    assert {found.problems for found in contests(it.models)} == {"MATH-500", "AMC23"}


def test_new_columns_stand_behind_the_old_ones(tmp_path: Path) -> None:
    with_all = rounds_table(sources(tmp_path, CHAIN).models)
    names = list(with_all[0])
    old = names[: names.index("tokens_per_solution") + 1]
    assert old[-5:] == ["unknown_steps", "unknown_outcome", "no_answer", "length_cut", "tokens_per_solution"]
    assert names[len(old) : len(old) + 6] == [
        "avg_at_8", "avg_at_8_low", "avg_at_8_high", "pass_at_2", "pass_at_2_low", "pass_at_2_high",
    ]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(to_csv(with_all))))
    assert rows[1]["math500_pass_at_1"] == "0.576"
    assert rows[1]["amc23_stepwise_error_corrected"] == "0.042"
    assert (rows[0]["pass_at_1_change"], rows[1]["pass_at_1_change"]) == ("", "0.218")
    assert float(rows[1]["pass_at_1_change_p"]) == pytest.approx(2 / 2**109, rel=0.01)
    assert 0 < float(rows[1]["maj_at_8_change_low"]) < float(rows[1]["maj_at_8_change_high"])


def test_measures_have_an_order_and_strangers_are_left_out() -> None:
    keys = ["tokens_per_solution", "maj_at_16", "x", "pass_at_8", "avg_at_8", "maj_at_4", "pass_at_1", "pass_at_"]
    assert [it.key for it in Measure.known(keys)] == [
        "pass_at_1", "avg_at_8", "maj_at_4", "maj_at_16", "pass_at_8", "tokens_per_solution",
    ]  # fmt: skip


def test_benchmarks_alone_are_sets_too(tmp_path: Path) -> None:
    report = evaluation("M0") | {"metrics": {}, "benchmarks": {"mine": benchmark("M0", 30), "empty": {"metrics": {}}}}
    write(tmp_path / "stages" / "evaluate" / "M0.json", report)
    it = read_sources(write_recipe(tmp_path / "params.yaml", CHAIN), tmp_path / "stages")
    assert [found.title for found in problem_sets(it.models)] == ["mine"]
    assert ">mine</span> Pass@1" in render_page(it, [])


def test_the_page_shows_them(tmp_path: Path) -> None:
    sources(tmp_path, ARMS, paper="llama-3.1-8b")
    out = tmp_path / "out"
    build_report(tmp_path / "params.yaml", tmp_path / "stages", out)
    page = (out / "index.html").read_text(encoding="utf-8")
    for text in ("paper 59.4%", "+21.8", "109 gained, 0 lost", "p &lt; 0.001", "corrected 4.2%",
                 "Pass@1 over 8", "which also makes the training labels"):  # fmt: skip
        assert text in page, text


def test_differences_and_chances_as_they_are_written() -> None:
    assert [points(it) for it in (0.1234, -0.05, 0.0, None)] == ["+12.3", "−5.0", "+0.0", "–"]
    assert [chance(it) for it in (0.0001, 0.0312, 1.0)] == ["p < 0.001", "p = 0.031", "p = 1.000"]


def test_people_against_the_judge_are_shown() -> None:
    told = {
        "verdicts": 9, "concerned": 8, "steps": 8,
        "agreement": {"value": 0.75, "low": 0.5, "high": 1.0, "numerator": 6, "denominator": 8},
        "kappa": {"value": 0.5, "low": 0.0, "high": 1.0},
        "rates": {"sensitivity": {"value": 0.8, "denominator": 5}, "specificity": {"value": None, "denominator": 0}},
    }  # fmt: skip
    models = [
        Model("M0", "", "", 0, {"evaluate": {"judge": {"people": told}}}),
        Model("M1", "M0", "kto", 1, {"evaluate": {"judge": {"people": {"verdicts": 1, "note": "<b>none"}}}}),
        Model("M2", "M1", "kto", 2, {"evaluate": {"judge": {"name": "exact"}}}),
    ]
    first, second = agreements(models)
    assert (first.verdicts, first.steps, first.kappa["value"], first.note) == (8, 8, 0.5, "")
    assert (first.sensitivity, first.specificity) == (Rate(0.8, 5), Rate(None, 0))
    assert (second.model, second.note) == ("M1", "<b>none")
