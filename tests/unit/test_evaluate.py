"""Evaluation: intervals, votes, metrics and examples, and a whole evaluation with the earlier stages replaced."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.common.console import run_stage
from stages.common.human_labels import hash_step_text
from stages.common.params.evaluate import JudgeRatesParams
from stages.common.params.judge import JudgeParams
from stages.common.params.sample import SampleParams
from stages.common.policies import read_policy, write_manifest
from stages.common.provenance import compute_sha256
from stages.common.statistics import Bootstrap, Estimate, compare_evaluations
from stages.common.tables import LABEL, OUTCOME, PROBLEM, REPLY, SAMPLE, STEP, read_table, write_table
from stages.evaluate import __main__ as command
from stages.evaluate import choose_majority, evaluate_policy
from stages.evaluate import problem_set as problem_set_module
from stages.evaluate.evaluation_params import load_params
from stages.evaluate.examples import EXAMPLE_KINDS, MAX_EXAMPLES, MAX_EXCERPT_CHARS, choose_examples
from stages.evaluate.metrics import count_greedy, summarize_samples
from stages.evaluate.problem_set import compare_answers
from stages.judge import Labels
from tests.support.human_labels import CELLS
from tests.support.llm_params import JUDGE, LLM_JUDGE

RECIPE = Path(__file__).parents[2] / "params.yaml"
BOOTSTRAP = Bootstrap(400, 7)


# Votes


def votes(answers: dict[str, list[str | None]], right: Sequence[str] = ()) -> tuple[pl.DataFrame, pl.DataFrame]:
    """SAMPLE and OUTCOME rows of each problem's answers, in reverse order, which must not matter."""
    samples, outcomes = [], []
    for problem, given_answers in answers.items():
        for index, answer in enumerate(given_answers):
            name = f"{problem}-{index}"
            samples.append((name, problem, "p", "s", index, 0, "text", "stop", 1, 1, None, None))
            outcomes.append((name, problem, answer, None, answer in right, "", "g"))
    return (
        pl.DataFrame(samples[::-1], schema=SAMPLE.schema, orient="row"),
        pl.DataFrame(outcomes[::-1], schema=OUTCOME.schema, orient="row"),
    )


def same_number(pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
    """Equality of decimal numbers; cannot tell of anything else."""

    def value(text: str) -> float | None:
        try:
            return float(text)
        except ValueError:
            return None

    return [None if value(a) is None or value(b) is None else value(a) == value(b) for a, b in pairs]


@pytest.mark.parametrize(
    ("answers", "winner", "count"),
    [
        (["1", "2", "2"], 1, 2),
        (["1", "2", "2.0", "2.00"], 1, 3),  # equal by the grader though not by text
        (["1", "2", "1", "2"], 0, 2),  # of equal groups the one with the earliest sample
        (["2", "1", "1.0", "2.0"], 0, 2),
        ([None, None, None, "5"], 3, 1),  # no answer has no vote
        ([None, None], 0, 2),  # unless nobody has an answer
        (["x", "y", "y", "x", "x"], 0, 3),  # what cannot be compared is grouped by text
        (["", "", "1"], 0, 2),
    ],
)
def test_majority(answers: list[str | None], winner: int, count: int) -> None:
    it = choose_majority(*votes({"a": answers}), same_number)
    assert it.row(0, named=True) == {
        "problem_id": "a",
        "sample_id": f"a-{winner}",
        "answer": answers[winner],
        "is_correct": False,
        "num_votes": count,
    }


def test_answers_of_different_problems_are_never_compared_and_pairs_asked_once() -> None:
    calls: list[tuple[str, str]] = []

    def equality(pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        calls.extend(pairs)
        return same_number(pairs)

    samples, outcomes = votes({"a": ["1", "2", "1"], "b": ["1", "2"], "c": ["3", "3"], "d": ["4"]}, right=["2", "3"])
    winners = choose_majority(samples, outcomes, equality)
    assert calls == [("1", "2")]
    assert winners["is_correct"].to_list() == [False, False, True, False]


def test_the_verifier_is_not_called_where_all_agree() -> None:
    def equality(pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        raise AssertionError(pairs)

    assert choose_majority(*votes({"a": ["1", "1"]}), equality).height == 1


@settings(deadline=None)
@given(st.lists(st.sampled_from(["1", "1.0", "01", "2", "2.0", "x", None]), min_size=1, max_size=9))
def test_majority_is_what_counting_by_hand_says(answers: list[str | None]) -> None:
    value = {"1": 1, "1.0": 1, "01": 1, "2": 2, "2.0": 2, "x": "x", None: None}
    classes = [value[answer] for answer in answers]
    told = [it for it in classes if it is not None] or classes
    best = max(told, key=lambda it: (told.count(it), -classes.index(it)))
    (row,) = choose_majority(*votes({"a": answers}), same_number).iter_rows(named=True)
    assert row["sample_id"] == f"a-{classes.index(best)}"
    assert row["num_votes"] == classes.count(best)


# Metrics


def greedy_metrics(solutions: pl.DataFrame, resampling: Bootstrap) -> dict[str, Estimate]:
    return {name: counts.estimate(resampling) for name, counts in count_greedy(solutions).items()}


def solutions(*rows: tuple[bool | None, str | None, str, list[bool | None], int | None]) -> pl.DataFrame:
    """`summarize_samples` of one sample per problem: value, answer, finish reason, step labels, tokens."""
    samples, judged, outcomes = [], [], []
    for at, (value, answer, finish, labels, tokens) in enumerate(rows):
        problem, sample = f"p{at:02d}", f"s{at:02d}"
        samples.append((sample, problem, "p", "s", 0, 0, "text", finish, 1, tokens, None, None))
        judged += [(sample, problem, step, label, "", 1, 1.0, None, "j") for step, label in enumerate(labels)]
        outcomes.append((sample, problem, answer, None, value, "", "g"))
    return summarize_samples(
        pl.DataFrame(samples, schema=SAMPLE.schema, orient="row"),
        pl.DataFrame(judged, schema=LABEL.schema, orient="row"),
        pl.DataFrame(outcomes, schema=OUTCOME.schema, orient="row"),
    )


def test_every_metric_counts_what_it_says() -> None:
    metrics = greedy_metrics(
        solutions(
            (True, "1", "stop", [True, True], 10),
            (True, "1", "stop", [True, False], 20),
            (True, "1", "stop", [None, None], 30),  # says nothing about steps
            (True, "1", "stop", [None, True], None),
            (False, "2", "stop", [True, True], 10),
            (False, "2", "stop", [True, None], 10),
            (False, "2", "stop", [False], 10),
            (False, None, "length", [], 10),
            (None, "3", "stop", [True], 0),
        ),
        BOOTSTRAP,
    )
    counts = {name: (it.numerator, it.denominator) for name, it in metrics.items()}
    assert counts == {
        "pass_at_1": (4, 9),
        "stepwise_error": (1, 3),
        "incorrect_answer_correct_steps": (1, 3),
        "unknown_steps": (4, 14),
        "unknown_outcome": (1, 9),
        "no_answer": (1, 9),
        "truncated": (1, 9),
        "tokens_per_completion": (100, 8),
    }
    assert metrics["tokens_per_completion"].value == 12.5


def test_ratios_of_nothing_are_null() -> None:
    metrics = greedy_metrics(solutions((False, None, "stop", [], None)), BOOTSTRAP)
    assert metrics["pass_at_1"].value == 0
    for name in ("stepwise_error", "incorrect_answer_correct_steps", "unknown_steps", "tokens_per_completion"):
        assert metrics[name] == Estimate(None, None, None, 0, 0)


# A whole evaluation, with the earlier stages replaced by ones that follow a script.

LINES = ["2 + 2 = 4\n", "4 + 1 = 6\n", "so 6"]


def problems(count: int, split: str = "test") -> pl.DataFrame:
    rows = [(f"{at:032x}", split, "fake", f"problem {at}", "", "6", "fake", at, "math") for at in range(count)]
    return pl.DataFrame(rows, schema=PROBLEM.schema, orient="row")


class Stages:
    """Stand-ins for sampling, splitting, judging and verifying; `calls` keeps the params of each call.

    Of four problems, one is correct, one correct with an incorrect step, one incorrect, and one without an answer.
    """

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.engines: list[Any] = []

    def sample_problems(self, problems: pl.DataFrame, policy: Any, params: SampleParams, *rest: Any) -> pl.DataFrame:
        self.calls.append(params)
        self.engines += rest[-1:]
        rest_of_row = ("stop", 5, 12, None, None)
        rows = [
            (f"{problem[-8:]}-{params.temperature}-{k}", problem, policy.hash, "s", k, 0, "".join(LINES), *rest_of_row)
            for problem in problems["problem_id"]
            for k in range(params.num_samples)
        ]
        return pl.DataFrame(rows[::-1], schema=SAMPLE.schema, orient="row")

    def split_samples(self, samples: pl.DataFrame, *_: Any) -> pl.DataFrame:
        ends = [sum(map(len, LINES[: at + 1])) for at in range(3)]
        rows = [
            (sample, problem, at, ends[at] - len(LINES[at]), ends[at])
            for sample, problem in samples.select("sample_id", "problem_id").iter_rows()
            for at in range(3)
        ]
        return pl.DataFrame(rows, schema=STEP.schema, orient="row")

    def judge_samples(self, problems: Any, samples: Any, steps: pl.DataFrame, params: JudgeParams, *_: Any) -> Labels:
        self.calls.append(params)
        rows = []
        for sample, problem, step in steps.select("sample_id", "problem_id", "step").iter_rows():
            label = None if step == 2 else not (step == 1 and int(problem, 16) % 4 == 1)
            rows.append((sample, problem, step, label, f"reason {step}", 1, 1.0, None, "j"))
        table = pl.DataFrame(rows, schema=LABEL.schema, orient="row")
        return Labels(table, pl.DataFrame(schema=REPLY.schema), Counter(), Counter())

    def verify_samples(self, problems: Any, samples: pl.DataFrame, *_: Any) -> pl.DataFrame:
        answers = ["6", "6.0", "7", None]
        rows = []
        for sample, problem, index in samples.select("sample_id", "problem_id", "sample_index").iter_rows():
            answer = answers[(int(problem, 16) + index // 2) % 4]
            rows.append((sample, problem, answer, None, answer in ("6", "6.0"), "", "g"))
        return pl.DataFrame(rows, schema=OUTCOME.schema, orient="row")

    def compare_answers(self, pairs: Sequence[tuple[str, str]], **_: Any) -> list[Any]:
        return list(same_number(pairs))


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    mocks = Stages()
    for name in ("sample_problems", "split_samples", "judge_samples", "verify_samples", "compare_answers"):
        monkeypatch.setattr(problem_set_module, name, getattr(mocks, name))
    return mocks


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "M1"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    write_manifest(folder, {})
    return folder


def recipe(folder: Path, **blocks: dict[str, Any]) -> Path:
    """The project's recipe with `blocks` changed."""
    value = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    for name, changes in blocks.items():
        value[name] = (value.get(name) or {}) | changes
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    return path


def run_command(monkeypatch: pytest.MonkeyPatch, folder: Path, recipe_path: Path, policy: Path) -> dict[str, Any]:
    """Run the stage's command in `folder`; its report."""
    monkeypatch.chdir(RECIPE.parent)
    arguments = {"recipe": recipe_path, "problems": folder / "problems", "policy": policy,
                 "out": folder / "out", "report": folder / "report.json"}  # fmt: skip
    run_stage(command.evaluate, [part for k, v in arguments.items() for part in (f"--{k}", str(v))])
    value = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def test_a_whole_evaluation(stages: Stages, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path / "problems", PROBLEM, pl.concat([problems(8), problems(20, "train").tail(12)]), 1)
    changes = {"tables": {"shard_digits": 1}, "judge": {"label_noise": 0.25}, "evaluate": {"num_majority_samples": 4}}
    changed = recipe(tmp_path, **changes)
    report = run_command(monkeypatch, tmp_path, changed, policy)

    greedy, majority, judge = stages.calls
    assert (greedy.temperature, greedy.num_samples, greedy.num_problems) == (0.0, 1, None)
    assert (majority.temperature, majority.num_samples, majority.num_problems) == (0.7, 4, None)
    assert judge.label_noise == 0

    counts = {name: (it["numerator"], it["denominator"]) for name, it in report["metrics"].items()}
    assert counts["pass_at_1"] == (4, 8)
    assert counts["stepwise_error"] == (2, 4)
    assert counts["incorrect_answer_correct_steps"] == (0, 4)
    assert counts["unknown_steps"] == (8, 24)
    # By problem modulo 4 the votes are 6 6 6.0 6.0, then 6.0 6.0 7 7, then 7 7 and none, then none and 6 6.
    assert counts["maj_at_4"] == (6, 8)
    assert report["policy"] == read_policy(policy).hash
    assert report["num_rows"]["problems"] == 8
    assert report["completion_tokens"] == 12 * (8 + 32)

    greedy_tables = {"samples": (SAMPLE, 8), "steps": (STEP, 24), "labels": (LABEL, 24), "outcomes": (OUTCOME, 8)}
    majority_tables = {"majority/samples": (SAMPLE, 32), "majority/outcomes": (OUTCOME, 32)}
    for place, (table, rows) in {**greedy_tables, **majority_tables}.items():
        assert read_table(tmp_path / "out" / place, table, 1).height == rows


def test_the_same_bytes_come_again(
    stages: Stages, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(tmp_path / "problems", PROBLEM, problems(6), 0)
    results = []
    for _ in range(2):
        report = run_command(monkeypatch, tmp_path, recipe(tmp_path), policy)
        files = {
            path.relative_to(tmp_path): path.read_bytes() for path in sorted((tmp_path / "out").rglob("*.parquet"))
        }
        results.append((report, files))
    assert results[0] == results[1]
    assert len(results[0][1]) == 6


def test_votes_are_compared_by_the_real_verifier() -> None:
    chosen = load_params(RECIPE)
    answers = ["\\frac{1}{2}", "0.5", "the answer is 3", "(1, 2)", "(1,2)", "x\ny", "5\\"]
    samples, outcomes = votes({"a": [answers[2], *answers], "b": ["2", "\\frac12", "1/2"]}, right=["0.5"])
    winners = choose_majority(samples, outcomes, lambda pairs: compare_answers(pairs, chosen, "math"))
    assert winners["answer"].to_list() == ["the answer is 3", "\\frac12"]
    assert winners["num_votes"].to_list() == [2, 2]
    assert compare_answers([(answers[0], answers[1]), (answers[3], answers[4])], chosen, "math") == [True, True]


def test_majority_may_be_left_out_and_problems_limited(stages: Stages, policy: Path, tmp_path: Path) -> None:
    chosen = load_params(recipe(tmp_path, evaluate={"num_majority_samples": 0, "num_problems": 3}))
    it = evaluate_policy(problems(8), read_policy(policy), chosen, "label")
    assert set(it.tables) == {"samples", "steps", "labels", "outcomes"}
    assert it.report["metrics"]["pass_at_1"]["denominator"] == 3
    assert not any(name.startswith("maj") for name in it.report["metrics"])


def test_one_engine_draws_all_samples_and_is_closed_before_the_judge_s_starts(
    stages: Stages, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Engine:
        def close(self) -> None:
            stages.calls.append("closed")

    monkeypatch.setattr("stages.sample.from_engine.make_engine", lambda *_: Engine())
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"question": "q", "answer": 6}) + "\n", "utf-8")
    mine = {"hub": None, "file": {"path": str(path), "sha256": compute_sha256(path)}}
    chosen = load_params(recipe(tmp_path, evaluate={"benchmarks": {"mine": mine}}))
    evaluate_policy(problems(8), read_policy(policy), chosen, "label")
    assert [type(call).__name__ for call in stages.calls] == [*["SampleParams"] * 4, "str", *["JudgeParams"] * 2]
    assert len({id(engine) for engine in stages.engines}) == 1
    stages.engines[0].close()
    assert stages.calls.count("closed") == 1, "a user of the engine leaves it open for the next"


def test_a_policy_without_weights_is_refused(stages: Stages, tmp_path: Path) -> None:
    write_manifest(tmp_path, {})
    with pytest.raises(ValueError, match="no weights"):
        evaluate_policy(problems(2), read_policy(tmp_path), load_params(RECIPE), "label")
    assert stages.calls == []


def test_a_policy_of_the_hub_has_its_weights_there(stages: Stages, tmp_path: Path) -> None:
    write_manifest(tmp_path, {}, hub=("owner/name", "0" * 40, {"model.safetensors": "0"}))
    assert evaluate_policy(problems(2), read_policy(tmp_path), load_params(RECIPE), "label").report["examples"]


def test_recorded_completions_are_refused(stages: Stages, policy: Path, tmp_path: Path) -> None:
    chosen = load_params(recipe(tmp_path, sample={"engine": {"kind": "recorded", "recorded": {"path": "x"}}}))
    with pytest.raises(ValueError, match=r"sample\.engine"):
        evaluate_policy(problems(2), read_policy(policy), chosen, "label")


def test_an_empty_split_is_named(stages: Stages, policy: Path) -> None:
    with pytest.raises(ValueError, match=r"evaluate\.split: no problem is in split test"):
        evaluate_policy(problems(2, "train"), read_policy(policy), load_params(RECIPE), "label")


def test_benchmarks_are_measured_beside_the_split(
    stages: Stages, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(tmp_path / "problems", PROBLEM, problems(4), 0)
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps({"question": f"q {at}", "answer": 6}) + "\n" for at in range(3)), "utf-8")
    mine = {"hub": None, "file": {"path": str(path), "sha256": compute_sha256(path)}}
    both = recipe(tmp_path, evaluate={"num_majority_samples": 2, "benchmarks": {"mine": mine}})
    report = run_command(monkeypatch, tmp_path, both, policy)
    assert report["metrics"]["pass_at_1"]["denominator"] == 4
    (name,) = report["benchmarks"]
    assert name == "mine"
    measured = report["benchmarks"]["mine"]
    assert measured["origin"] == f"mine.jsonl sha256:{compute_sha256(path)}"
    assert {it: measured["metrics"][it]["denominator"] for it in ("pass_at_1", "maj_at_2", "avg_at_2")} == {
        "pass_at_1": 3, "maj_at_2": 3, "avg_at_2": 6,
    }  # fmt: skip
    assert "examples" not in measured
    assert report["completion_tokens"] == 12 * (4 + 8 + 3 + 6)
    folder = tmp_path / "out" / "benchmarks" / "mine"
    assert read_table(folder / "problems", PROBLEM, 0)["answer"].to_list() == ["6"] * 3
    assert read_table(folder / "majority" / "samples", SAMPLE, 0).height == 6

    alone = recipe(tmp_path, evaluate={"num_majority_samples": 0, "split": None, "benchmarks": {"mine": mine}})
    report = run_command(monkeypatch, tmp_path, alone, policy)
    assert (report["metrics"], report["split"]) == ({}, None)
    assert report["benchmarks"]["mine"]["metrics"]["pass_at_1"]["denominator"] == 3
    assert len(report["examples"]) == 3
    assert not (tmp_path / "out" / "samples").exists()


def test_nothing_to_measure_is_an_empty_report(
    stages: Stages, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = run_command(monkeypatch, tmp_path, recipe(tmp_path, evaluate={"split": None}), policy)
    assert report == {"policy": read_policy(policy).hash, "split": None, "metrics": {}}
    assert stages.calls == []


def test_another_judge_measures_and_its_errors_are_corrected(stages: Stages, policy: Path, tmp_path: Path) -> None:
    judge = {**JUDGE, "llm": {**LLM_JUDGE, "model": "owner/judge"}}
    rates = {"sensitivity": {"value": 0.9, "denominator": 500}, "specificity": {"value": 0.8, "denominator": 500}}
    changes = {"num_majority_samples": 0, "judge": judge, "judge_rates": rates}
    report = evaluate_policy(
        problems(8), read_policy(policy), load_params(recipe(tmp_path, evaluate=changes)), "label"
    ).report
    assert stages.calls[1].llm.model == "owner/judge"
    assert report["judge"] == {"name": "owner/judge", "training_judge": "toy_arithmetic", "rates": rates}
    metrics = report["metrics"]
    apparent, corrected = metrics["stepwise_error_apparent"], metrics["stepwise_error_bias_corrected"]
    assert (apparent["numerator"], apparent["denominator"]) == (2, 4)
    assert corrected["value"] == pytest.approx((0.5 - 0.2) / 0.7)
    assert corrected["low"] < (0.5 - 0.2) / 0.7 < corrected["high"]


def test_evaluations_can_be_compared_problem_by_problem(stages: Stages, policy: Path, tmp_path: Path) -> None:
    chosen = load_params(recipe(tmp_path, evaluate={"num_majority_samples": 4}))
    report = evaluate_policy(problems(8), read_policy(policy), chosen, "label").report
    assert set(report["by_problem"]) == {"problems", "pass_at_1", "stepwise_error", "avg_at_4", "maj_at_4"}
    for name, counts in report["by_problem"].items():
        if name != "problems":
            for part in ("numerator", "denominator"):
                assert sum(map(int, counts[f"{part}s"].split())) == report["metrics"][name][part]
    found = compare_evaluations(report, report, BOOTSTRAP)
    assert found["pass_at_1"].difference == 0
    assert found["pass_at_1"].p_value == 1
    fewer = evaluate_policy(problems(7), read_policy(policy), chosen, "label").report
    assert compare_evaluations(report, fewer, BOOTSTRAP) == {}


# Examples


def examples_of(count: int, mocks: Stages) -> list[dict[str, Any]]:
    calls = problems(count)
    params = SampleParams.model_validate(
        yaml.safe_load(RECIPE.read_text(encoding="utf-8"))["sample"] | {"num_samples": 1}
    )
    samples = mocks.sample_problems(calls, SimpleNamespace(hash="h"), params)
    steps = mocks.split_samples(samples, None)
    judged = mocks.judge_samples(calls, samples, steps, None).labels  # type: ignore[arg-type]
    return choose_examples(
        calls, samples, steps, judged, summarize_samples(samples, judged, mocks.verify_samples(calls, samples))
    )


def test_examples_are_mixed_complete_and_the_same_again() -> None:
    examples = examples_of(40, Stages())
    assert len(examples) == MAX_EXAMPLES
    assert [it["kind"] for it in examples[:6]] == [*EXAMPLE_KINDS[:3], *EXAMPLE_KINDS[:3]]
    assert examples == examples_of(40, Stages())
    first = examples[0]
    assert first["completion"] == "".join(LINES)
    assert [first["completion"][step["start"] : step["end"]] for step in first["steps"]] == LINES
    assert [step["label"] for step in first["steps"]] == [True, False, None]
    assert [step["reason"] for step in first["steps"]] == ["reason 0", "reason 1", "reason 2"]
    assert (first["gold"], first["answer"], first["is_correct"]) == ("6", "6.0", True)


def test_fewer_problems_give_fewer_examples() -> None:
    assert {it["problem"] for it in examples_of(3, Stages())} == {"problem 0", "problem 1", "problem 2"}


def test_a_huge_completion_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "LINES", ["a" * 3000, "b" * 100_000, "c" * 10])
    it = examples_of(1, Stages())[0]
    assert (len(it["completion"]), it["num_chars"], it["num_steps"]) == (MAX_EXCERPT_CHARS, 103_010, 3)
    assert [(step["start"], step["end"]) for step in it["steps"]] == [(0, 3000), (3000, MAX_EXCERPT_CHARS)]


# The judge and human labels


def human_line(sample: str, step: int, is_correct: bool, annotator: str = "a", **cells: Any) -> str:
    keys = {
        "annotator": annotator,
        "sample_id": sample,
        "step": step,
        "label": "correct" if is_correct else "incorrect",
        "text_hash": hash_step_text(LINES[step] if step < len(LINES) else ""),
    }
    return json.dumps(CELLS | keys | cells) + "\n"


def write_human_labels(folder: Path, lines: list[str]) -> dict[str, str]:
    path = folder / "said.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return {"path": str(path), "sha256": compute_sha256(path)}


def greedy(problem: int) -> str:
    return f"{problem:08x}-0.0-0"


def test_human_labels_score_the_judge(stages: Stages, policy: Path, tmp_path: Path) -> None:
    # The judge's labels are correct, correct, unknown, for problems 1 and 5 correct, incorrect, unknown; answers 0, 1,
    # 4 and 5 are correct.
    lines = [human_line(greedy(0), step, True) for step in range(3)]
    lines += [
        human_line(greedy(1), 0, False),
        human_line(greedy(1), 0, True),
        human_line(greedy(1), 1, False),
    ]  # the last one counts
    lines += [human_line(greedy(4), 1, False), human_line(greedy(2), 0, True), human_line(greedy(2), 1, False)]
    lines += [human_line(greedy(5), 1, False, person) for person in "ab"] + [human_line(greedy(5), 1, True, "c")]
    lines += [human_line(greedy(5), 1, False, "chair", kind="adjudicated")]
    lines += [human_line(greedy(5), 2, person != "c", person) for person in "abc"]  # two of three settle nothing
    lines += [human_line(greedy(5), 0, True, "a"), human_line(greedy(5), 0, False, "b")]  # a tie
    lines += [human_line("elsewhere", 0, True), human_line(greedy(0), 7, True)]
    lines += [human_line(greedy(2), 2, True, label="cannot_tell")]
    left_out: list[dict[str, Any]] = [{"is_blind": False}, {"queue": "value"}, {"queue": "browsing"}, {"kind": "gold"}]
    left_out.append({"text_hash": hash_step_text("This text was cut otherwise.")})
    lines += [human_line(greedy(1), 1, True, f"other {at}", **cells) for at, cells in enumerate(left_out)]
    lines += [human_line(greedy(0), 1, True, "judge", kind="adjudicated"), human_line(greedy(0), 1, False, "b")]
    changes = {"num_majority_samples": 2, "human_labels": write_human_labels(tmp_path, lines)}
    report = evaluate_policy(
        problems(8), read_policy(policy), load_params(recipe(tmp_path, evaluate=changes)), "label"
    ).report
    found = report["judge"]["human_labels"]
    # 0 agrees twice, 1 twice, 4 not, 2 once of two, 5 once: both correct 4, both incorrect 2, only the judge correct 2.
    assert (found["num_labels"], found["num_matched"], found["num_steps"]) == (27, 20, 9)
    assert found["num_left_out"] == {
        "answer to a gold item": 1,
        "judge's label was shown": 1,
        "labelled another text of this step": 1,
        "not drawn at random": 2,
    }
    assert found["num_unknown"] == 3  # where people differ, or cannot tell
    assert found["confusion"] == {
        "correct": {"correct": 4, "incorrect": 0, "unknown": 1},
        "incorrect": {"correct": 2, "incorrect": 2, "unknown": 0},
    }
    assert (found["agreement"]["numerator"], found["agreement"]["denominator"]) == (6, 8)
    expected = (0.75 - (6 / 8 * 4 / 8 + 2 / 8 * 4 / 8)) / 0.5
    assert found["kappa"]["value"] == pytest.approx(expected)
    assert found["kappa"]["low"] <= expected <= found["kappa"]["high"] <= 1
    assert found["rates"] == {
        "sensitivity": {"value": 0.666667, "denominator": 3}, "specificity": {"value": 1.0, "denominator": 1},
    }  # fmt: skip
    assert JudgeRatesParams.model_validate(found["rates"]).sensitivity.denominator == 3


def test_labels_of_other_steps_are_reported_as_such(stages: Stages, policy: Path, tmp_path: Path) -> None:
    changes = {
        "num_majority_samples": 0,
        "human_labels": write_human_labels(tmp_path, [human_line("elsewhere", 0, True)]),
    }
    report = evaluate_policy(
        problems(4), read_policy(policy), load_params(recipe(tmp_path, evaluate=changes)), "label"
    ).report
    note = "none of the 1 human labels that count is on an evaluated step; 0 do not count"
    expected = {"num_labels": 1, "num_left_out": {}, "num_matched": 0, "note": note}
    assert report["judge"]["human_labels"] == expected


def test_human_labels_score_the_judge_on_benchmarks_too(stages: Stages, policy: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"question": "q", "answer": 6}) + "\n", "utf-8")
    mine = {"hub": None, "file": {"path": str(path), "sha256": compute_sha256(path)}}
    changes = {
        "num_majority_samples": 2,
        "split": None,
        "benchmarks": {"majority": mine},
    }  # a benchmark may be called so
    evaluated = evaluate_policy(
        problems(2), read_policy(policy), load_params(recipe(tmp_path, evaluate=changes)), "label"
    )
    sample, problem = evaluated.tables["benchmarks/majority/samples"].row(0)[:2]
    wrong = int(problem, 16) % 4 == 1
    lines = [human_line(sample, 0, True), human_line(sample, 1, not wrong), human_line(sample, 2**31 - 1, True)]
    chosen = load_params(recipe(tmp_path, evaluate={**changes, "human_labels": write_human_labels(tmp_path, lines)}))
    found = evaluate_policy(problems(2), read_policy(policy), chosen, "label").report["judge"]["human_labels"]
    assert (found["num_labels"], found["num_matched"], found["num_steps"]) == (3, 2, 2)
    assert found["agreement"]["value"] == 1
    assert found["rates"]["specificity"]["denominator"] == 0


def test_a_file_of_labels_that_grew_is_refused_before_anything_is_sampled(
    stages: Stages, policy: Path, tmp_path: Path
) -> None:
    settings_of = {"human_labels": write_human_labels(tmp_path, [human_line(greedy(0), 0, True)])}
    chosen = load_params(recipe(tmp_path, evaluate=settings_of))
    write_human_labels(tmp_path, [human_line(greedy(0), 0, True), human_line(greedy(0), 1, True)])
    with pytest.raises(ValueError, match=r"said\.jsonl: sha256: expected [0-9a-f]{64}, found [0-9a-f]{64}"):
        evaluate_policy(problems(4), read_policy(policy), chosen, "label")
    assert stages.calls == []
