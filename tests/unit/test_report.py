"""The report over trees of stage reports: complete, with gaps, with variants, and with hostile texts."""

from __future__ import annotations

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.common.params.recipe import read_recipe
from stages.common.runs import record_facts, record_stage
from stages.common.statistics import Bootstrap
from stages.common.text import MAX_SHOWN_CHARS, bound_text
from stages.report import comparisons, report_files, write_page_with_times, write_report
from stages.report.drops import collect_drops
from stages.report.labelled_completions import MAX_STEPS, list_completions, split_formulas
from stages.report.page import render_page
from stages.report.plots import PLOTS
from stages.report.rounds_table import build_rounds_table, collect_metrics, format_csv, format_text
from stages.report.stage_reports import PolicyReports, StageReports, list_majority_ks, list_variants, read_stage_reports
from tests.support.report_fakes import benchmark, evaluation, example, round_reports, write, write_recipe, write_stages

CHAIN = {"M1": {"policy": "M0"}, "M2": {"policy": "M1"}, "M3": {"policy": "M2"}}
VARIANTS = {
    **CHAIN,
    "K1": {"policy": "M0", "train": {"method": "kto"}},
    "K2": {"policy": "K1", "train": {"method": "kto"}},
}
VOID = {"meta", "img", "source", "br"}


class Page(HTMLParser):
    """Checks that a page's elements nest, and keeps its elements and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def build(folder: Path, rounds: dict[str, Any], **report: Any) -> tuple[Path, str]:
    """A report over whatever stage reports lie in `folder`; the out folder and what the console shows."""
    shown = write_report(write_recipe(folder / "params.yaml", rounds, **report), folder / "stages", folder / "out")
    return folder / "out", shown


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("complete")
    write_stages(folder / "stages", list(VARIANTS))
    return build(folder, VARIANTS, title="Rounds & <more>")


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of text alone: plots take most of its time."""
    monkeypatch.setattr(report_files, "PLOTS", ())


@pytest.fixture
def without_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots are drawn, but not made into bytes, which takes most of their time."""
    for name in ("save_png", "save_svg"):
        monkeypatch.setattr(report_files, name, lambda _figure: b"image")


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "rounds.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_rounds_csv_has_a_row_per_model_with_intervals_and_counts(complete: tuple[Path, str]) -> None:
    rows = rows_of(complete[0])
    assert [row["round"] for row in rows] == ["M0", "M1", "K1", "M2", "K2", "M3"]
    assert [row["policy"] for row in rows] == ["", "M0", "M0", "M1", "K1", "M2"]
    assert [row["method"] for row in rows] == ["", "step_kto", "kto", "step_kto", "kto", "step_kto"]
    assert list(rows[0])[:13] == [
        "round", "policy", "method", "pass_at_1", "pass_at_1_low", "pass_at_1_high", "pass_at_1_numerator",
        "pass_at_1_denominator", "maj_at_8", "maj_at_8_low", "maj_at_8_high", "maj_at_8_numerator",
        "maj_at_8_denominator",
    ]  # fmt: skip
    first = rows[0]
    assert float(first["pass_at_1_low"]) < float(first["pass_at_1"]) < float(first["pass_at_1_high"])
    assert (first["pass_at_1_numerator"], first["pass_at_1_denominator"]) == ("303", "500")
    assert (first["stepwise_error_numerator"], first["stepwise_error_denominator"]) == ("122", "303")


def test_metrics_json_is_flat_per_round(complete: tuple[Path, str]) -> None:
    metrics = json.loads((complete[0] / "metrics.json").read_text(encoding="utf-8"))
    assert list(metrics) == sorted(VARIANTS | {"M0": 0})
    assert metrics["M3"]["pass_at_1"] == 0.862
    assert all(isinstance(value, float) for values in metrics.values() for value in values.values())


def test_a_share_written_as_a_whole_number_is_a_metric_still() -> None:
    model = PolicyReports("M0", "", "", 0, {"evaluate": {"metrics": {"pass_at_1": {"value": 1, "numerator": 3}}}})
    assert collect_metrics([model]) == {"M0": {"pass_at_1": 1.0}}


def test_console_shows_the_table_and_the_place(complete: tuple[Path, str]) -> None:
    out, shown = complete
    lines = shown.splitlines()
    assert lines[0].split()[:3] == ["round", "from", "method"]
    assert lines[1].startswith("M0     -     -         60.6% (57.1-64.1)")
    assert lines[-1] == f"report: {out / 'index.html'}"


def test_page_is_whole_and_loads_nothing(complete: tuple[Path, str]) -> None:
    html = (complete[0] / "index.html").read_text(encoding="utf-8")
    page = Page(html)
    assert "Rounds & <more>" in page.text
    assert "script" not in {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        for name in ("src", "srcset", "href"):
            value = attributes.get(name)
            if value is not None:
                assert value.startswith("#" if tag == "a" else "data:image/svg+xml;base64,")
        assert not any(name.startswith("on") for name in attributes)
    assert "url(" not in html
    assert "@import" not in html
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    identities = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    targets = [(a["href"] or "")[1:] for tag, a in page.elements if tag == "a"]
    assert set(targets) == set(identities)


def test_page_shows_what_it_is_for(complete: tuple[Path, str]) -> None:
    page = Page((complete[0] / "index.html").read_text(encoding="utf-8"))
    numbers = ["86.2%", "82.7% to 89.7%", "431 of 500", "9c41" * 8]
    texts = ["step undesirable 6.40", "78 + 8 is 86, not 76", "Prove that $a^2 \\ge 0$.", "cut by the token limit"]
    assert [text for text in [*numbers, *texts, "after_first_error: keep"] if text not in page.text] == []
    assert [text for text in ("workers", "Environment", "Times") if text in page.text] == []


@pytest.mark.usefixtures("without_plots")
def test_times_and_machines_are_on_a_page_of_the_run_alone(complete: tuple[Path, str], tmp_path: Path) -> None:
    out, _ = complete
    before = (out / "index.html").read_bytes()
    with record_stage(tmp_path, "train@M1"):
        record_facts(device="cpu", tokens_per_second=5047.4, usage={"sample M1": {"completions": 4000, "cost": 0.0}})
    page = Page(write_page_with_times(out.parent / "params.yaml", out, tmp_path).read_text(encoding="utf-8"))
    facts = "device cpu, tokens per second 5,047.4, usage (sample M1 (completions 4,000))"
    assert [text for text in ("train@M1", f" s{facts}", "Linux x86_64", "polars 2.") if text not in page.text] == []
    assert (out / "index.html").read_bytes() == before


def llm_usage(money: float | None) -> dict[str, Any]:
    counts = {"completions": 4000, "prompt_tokens": 1_234_567, "completion_tokens": 89_000}
    return {**counts, "cost": money, "currency": None if money is None else "USD", "failures": {"HTTP 503": 3}}


@pytest.mark.usefixtures("without_plots")
def test_llm_usage_is_shown_and_among_the_metrics(tmp_path: Path) -> None:
    reports = round_reports("M1")
    reports["sample"]["llm_usage"] = llm_usage(None)
    reports["judge"]["llm_usage"] = {
        "judge": {"model": "org/<judge>", **llm_usage(1.5)},
        "second judge": llm_usage(2.25),
    }
    reports["evaluate"]["llm_usage"] = {"greedy samples": llm_usage(0.5), "majority samples": llm_usage(4.0)}
    for stage, report in reports.items():
        write(tmp_path / "stages" / stage / "M1.json", report)
    out, _ = build(tmp_path, {"M1": {"policy": "M0"}})
    text = Page((out / "index.html").read_text(encoding="utf-8")).text
    assert "M1sampleM04,00031,234,56789,000–" in text
    assert "M1judgeorg/<judge>4,00031,234,56789,0001.50 USD" in text
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert "M1evaluateM14,000" in text
    assert metrics["M1"]["judge_cost"] == 3.75
    assert metrics["M1"]["evaluate_cost"] == 4.5
    assert metrics["M1"]["judge_prompt_tokens"] == 2 * 1_234_567
    assert "sample_cost" not in metrics["M1"]
    assert not [name for name in metrics["M0"] if "tokens" in name]


@pytest.mark.usefixtures("without_plots")
def test_an_interval_without_width_is_called_so(tmp_path: Path) -> None:
    report = evaluation("M0")
    report["metrics"]["stepwise_error"] = {"value": 0.0, "low": 0.0, "high": 0.0, "numerator": 0, "denominator": 303}
    write(tmp_path / "stages" / "evaluate" / "M0.json", report)
    out, _ = build(tmp_path, {})
    assert "0.0%no spread0 of 303" in Page((out / "index.html").read_text(encoding="utf-8")).text


def test_the_judge_s_agreement_with_human_labels_is_shown(complete: tuple[Path, str]) -> None:
    html = (complete[0] / "index.html").read_text(encoding="utf-8")
    assert "Judge and human labels" in html
    assert "0.802" in html
    assert "0.651 to 0.931" in html


def test_steps_are_marked_by_colour_and_by_symbol(complete: tuple[Path, str]) -> None:
    html = (complete[0] / "index.html").read_text(encoding="utf-8")
    marks = set(re.findall(r'<li class="(\w+)"><span class="mark" role="img" aria-label="(\w+)">(.)</span>', html))
    assert marks == {("correct", "correct", "✓"), ("incorrect", "incorrect", "✗"), ("unknown", "unknown", "?")}


def test_every_plot_is_drawn_and_the_same_bytes_come_again(complete: tuple[Path, str], tmp_path: Path) -> None:
    out, _ = complete
    assert sorted(path.name for path in (out / "plots").iterdir()) == sorted(f"{plot.name}.png" for plot in PLOTS)
    write_stages(tmp_path / "stages", list(VARIANTS))
    again, _ = build(tmp_path, VARIANTS, title="Rounds & <more>")
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        assert path.read_bytes() == (again / path.relative_to(out)).read_bytes(), path.name
    for path in (out / "plots").iterdir():
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG")
        assert b"Software" not in data
        assert b"tIME" not in data


@pytest.mark.usefixtures("without_plots")
def test_leftovers_of_removed_rounds_do_not_show(tmp_path: Path) -> None:
    write_stages(tmp_path / "stages", [*CHAIN, "K1"])
    out, shown = build(tmp_path, {"M1": {"policy": "M0"}})
    assert [row["round"] for row in rows_of(out)] == ["M0", "M1"]
    assert not {"K1", "M2"} & set(
        re.findall(r"\w+", shown + Page((out / "index.html").read_text(encoding="utf-8")).text)
    )


def test_nothing_reported_yet(tmp_path: Path) -> None:
    out, shown = build(tmp_path, CHAIN)
    assert rows_of(out)[0]["pass_at_1"] == ""
    assert "maj_at_8" in rows_of(out)[0]
    assert json.loads((out / "metrics.json").read_text(encoding="utf-8")) == {name: {} for name in ("M0", *CHAIN)}
    assert list((out / "plots").iterdir()) == []
    assert "no stage has reported" in Page((out / "index.html").read_text(encoding="utf-8")).text
    assert shown.splitlines()[1].split() == ["M0", *["-"] * 5]


@pytest.mark.usefixtures("without_images")
@pytest.mark.parametrize("stage", ["problems", "seed_model", *round_reports("M1")])
def test_a_stage_that_did_not_run_is_absent(tmp_path: Path, stage: str) -> None:
    write_stages(tmp_path / "stages", ["M1"])
    shutil.rmtree(tmp_path / "stages" / stage)
    recipe = write_recipe(tmp_path / "params.yaml", {"M1": {"policy": "M0"}})
    sources = read_stage_reports(recipe, tmp_path / "stages")
    assert all(stage not in model.reports for model in sources.policies)
    assert write_report(recipe, tmp_path / "stages", tmp_path / "out").endswith("index.html")


@pytest.mark.parametrize("content", ["", "[1]", "{", "\x00", '{"a": 1'])
def test_a_file_that_is_no_report_is_named(tmp_path: Path, content: str) -> None:
    write_stages(tmp_path / "stages", ["M1"])
    (tmp_path / "stages" / "judge" / "M1.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"judge/M1\.json: not a stage's report"):
        build(tmp_path, {"M1": {"policy": "M0"}})


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _replaced(value: Any, place: int, junk: Any) -> Any:
    """`value` with its `place`-th part (depth first, from 0) replaced by `junk`."""
    seen = -1

    def walk(part: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == place:
            return junk
        if isinstance(part, dict):
            return {key: walk(inner) for key, inner in part.items()}
        return [walk(inner) for inner in part] if isinstance(part, list) else part

    return walk(value)


@pytest.mark.slow
@settings(deadline=None)
@given(stage=st.sampled_from(sorted(round_reports("M1"))), place=st.integers(1, 250), junk=JUNK)
def test_any_part_of_a_report_may_be_something_else(stage: str, place: int, junk: Any) -> None:
    recipe = read_recipe(Path(__file__).parents[2] / "params.yaml")
    reports = round_reports("M1")
    reports["evaluate"]["benchmarks"] = {"math500": benchmark("M1", 500)}
    reports[stage] = _replaced(reports[stage], place, junk)
    models = [
        PolicyReports("M0", "", "", 0, {"evaluate": evaluation("M0")}),
        PolicyReports("M1", "M0", "step_kto", 1, reports),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparisons, "BOOTSTRAP", Bootstrap(100, 1))
        Page(render_page(StageReports(recipe, {}, models, []), []))
        format_text(models)
        format_csv(build_rounds_table(models))


HARM = [
    "<script>alert(1)</script>",
    "</pre></td></table><img src=x onerror=alert(1)>",
    "\"'><svg/onload=alert(1)>",
    "[x](javascript:alert(1))",
    "{{ 7 * 7 }}{% raw %}",
    "\\end{document} $\\undefined$ $",
    "\u202egnirts\u0000\u001b[31m",
]


@pytest.mark.usefixtures("without_plots")
@pytest.mark.parametrize("text", HARM)
def test_text_of_a_model_stays_text(tmp_path: Path, text: str) -> None:
    write_stages(tmp_path / "stages", ["M1"])
    report = evaluation("M1")
    planted = example("correct answer", False, True)
    planted |= {"problem": text, "gold": text, "answer": text, "kind": text, "completion": text,
                "steps": [{"start": 0, "end": len(text), "label": False, "reason": text}]}  # fmt: skip
    report["examples"] = [planted]
    report["policy"] = text
    write(tmp_path / "stages" / "evaluate" / "M1.json", report)
    drops = {text: {"rows": 5, "examples": [{"where": text, "text": text}]}}
    data = round_reports("M1")["dataset"] | {"drops": drops, "weights": {text: text}, "manifest": text}
    write(tmp_path / "stages" / "dataset" / "M1.json", data)
    out, _ = build(tmp_path, {"M1": {"policy": "M0"}}, title=text.replace("\0", "").replace("\x1b", ""))
    html = (out / "index.html").read_text(encoding="utf-8")
    page = Page(html)
    tags = {tag for tag, _ in page.elements}
    assert not {"script", "svg"} & tags
    assert all((a["src"] or "").startswith("data:") for tag, a in page.elements if tag == "img")
    assert all((a["href"] or "").startswith("#") for tag, a in page.elements if tag == "a")
    assert page.text.count(bound_text(text, 60).shown) >= 6
    assert "\0" not in html


@pytest.mark.usefixtures("without_plots")
def test_a_long_step_is_cut_and_says_so(tmp_path: Path) -> None:
    text = "x" * 100_000
    steps = [{"start": 0, "end": 100_000, "label": True, "reason": "r" * 5000}]
    planted = {**example("incorrect answer", True, False), "completion": text, "num_chars": 120_000, "steps": steps}
    write(tmp_path / "stages" / "evaluate" / "M0.json", evaluation("M0") | {"examples": [planted]})
    out, _ = build(tmp_path, {})
    page = Page((out / "index.html").read_text(encoding="utf-8"))
    assert "98,800 more characters are not shown" in page.text
    assert "20,000 more characters are not in the report" in page.text
    assert "x" * (MAX_SHOWN_CHARS + 1) not in page.text


def test_many_steps_are_cut_and_say_so() -> None:
    steps = [{"start": at, "end": at + 1, "label": None, "reason": ""} for at in range(100)]
    (solution,) = list_completions(
        _model({**example("correct answer", False, True), "completion": "y" * 100, "steps": steps}), 6
    )
    assert (len(solution.steps), solution.num_omitted_steps) == (MAX_STEPS, 60)


def _model(shown: Any) -> PolicyReports:
    return PolicyReports("M1", "M0", "step_kto", 1, {"evaluate": {"examples": [shown]}})


@settings(deadline=None)
@given(text=st.text(max_size=60), spans=st.lists(st.tuples(st.integers(-5, 70), st.integers(-5, 70)), max_size=8))
def test_no_visible_character_is_lost_whatever_the_spans(text: str, spans: list[tuple[int, int]]) -> None:
    steps = [{"start": start, "end": end, "label": True, "reason": ""} for start, end in spans]
    (solution,) = list_completions(
        _model({**example("correct answer", False, True), "completion": text, "steps": steps}), 1
    )
    joined = "".join(step.text.shown for step in solution.steps)
    assert "".join(joined.split()) == "".join(bound_text(text).shown.split())


@settings(deadline=None)
@given(st.text(alphabet=st.characters(), max_size=50), st.integers(0, 60))
def test_bounded_text_can_always_be_written(text: str, limit: int) -> None:
    it = bound_text(text, limit)
    it.shown.encode("utf-8")
    assert len(it.shown) + it.num_omitted == len(text)


def test_variants_are_chains_that_begin_where_they_branch(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "params.yaml", {**VARIANTS, "K3": {"policy": "M2"}})
    chains = list_variants(read_stage_reports(recipe, tmp_path).policies)
    assert [[model.name for model in chain] for chain in chains] == [
        ["M0", "M1", "M2", "M3"],
        ["M0", "K1", "K2"],
        ["M2", "K3"],
    ]


def test_another_k_names_its_own_columns(tmp_path: Path) -> None:
    write(tmp_path / "stages" / "evaluate" / "M0.json", evaluation("M0", k=4))
    write(tmp_path / "stages" / "evaluate" / "M1.json", evaluation("M1", k=16))
    out, shown = build(tmp_path, {"M1": {"policy": "M0"}})
    rows = rows_of(out)
    assert rows[0]["maj_at_4"]
    assert rows[0]["maj_at_16"] == ""
    assert rows[1]["maj_at_16"]
    assert "maj_at_8" not in rows[0]
    assert "Maj@4" in shown
    assert "Maj@16" in shown


def test_most_used_k_comes_first() -> None:
    models = [PolicyReports(str(at), "", "", 0, {"evaluate": evaluation("M0", k)}) for at, k in enumerate((4, 16, 16))]
    assert list_majority_ks(models) == [16, 4]


def test_drops_are_summed_over_rounds_and_keep_few_examples(tmp_path: Path) -> None:
    write_stages(tmp_path / "stages", list(CHAIN))
    drops = collect_drops(read_stage_reports(write_recipe(tmp_path / "params.yaml", CHAIN), tmp_path / "stages"))
    assert [(drop.stage, drop.reason, drop.num_rows) for drop in drops] == [
        ("problems", "proof without an answer", 14),
        ("problems", "source orca_math", 31),
        ("select", "outcome unknown", 60),
        ("select", "cut by the token limit", 9),
        ("train", "too long", 6),
    ]
    assert drops[3].by_round == {"M1": 3, "M2": 3, "M3": 3}
    assert len(drops[3].examples) == 3


@pytest.mark.usefixtures("without_images")
def test_many_rounds_and_variants_can_be_drawn(tmp_path: Path) -> None:
    rounds = {f"R{at}": {"policy": f"R{at - 1}" if at else "M0"} for at in range(14)}
    rounds |= {f"A{at}": {"policy": "M0"} for at in range(9)}
    for name in ("M0", *rounds):
        write(tmp_path / "stages" / "evaluate" / f"{name}.json", evaluation("M0"))
    out, _ = build(tmp_path, rounds)
    assert {path.stem for path in (out / "plots").iterdir()} == {"pass_at_1", "stepwise_error", "tokens"}


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        (r"If \(x\) is $2$, then $$x = 2$$ and \[ y \]", [r"\(x\)", "$2$", "$$x = 2$$", r"\[ y \]"]),
        ("\\[\n  a\n  + b\n\\]", [r"\[ a + b \]"]),
        (r"costs $5; an open \( stays text", []),
        ("$ over\nlines $", []),
        ("", []),
    ],
)
def test_formulas_are_told_from_text(text: str, formulas: list[str]) -> None:
    assert [part for is_formula, part in split_formulas(text) if is_formula] == formulas


@given(st.text(alphabet="$\\[]() \nab", max_size=60))
def test_no_character_but_white_space_is_lost_beside_formulas(text: str) -> None:
    parts = "".join(part for _, part in split_formulas(text))
    assert "".join(parts.split()) == "".join(text.split())
