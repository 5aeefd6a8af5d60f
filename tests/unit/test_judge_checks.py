"""Degenerate judges are found on the first completions; a good judge never is, whatever its errors and the data."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.params.judge import JudgeParams
from stages.common.tables import content_hash, hash_to_unit
from stages.common.toy_arithmetic import make_problems
from stages.judge import CompletionSteps, Judge, Judgement, StepLabel, open_judge
from stages.judge.checks import check_judge, raise_degenerate
from stages.judge.checks.probes import mismatch_problems, rotate_steps
from stages.judge.llm import read_template
from stages.judge.rules import judge_toy_arithmetic
from tests.support.llm_params import JUDGE, LLM_JUDGE, openai

SMOLLM2 = json.loads((Path(__file__).parents[1] / "data" / "smollm2_judge.json").read_text(encoding="utf-8"))
Rule = Callable[[CompletionSteps], list[StepLabel]]
STEPS_PER_COMPLETION = (2, 3, 3, 4, 4, 4, 5, 5, 6, 7, 8, 10, 13)
"""As in ProcessBench, in which 801 of 1,400 solutions have an error."""


class FakeJudge(Judge):
    """A language model's stand-in: labels by a function, and one reply per vote that the function's labels make."""

    has_replies = True
    is_model = True

    def __init__(self, params: JudgeParams, rule: Rule, vote_texts: Callable[[int], str] = str) -> None:
        super().__init__(params, 1)
        assert params.llm is not None
        self.llms = [params.llm]
        self.rule, self.vote_texts = rule, vote_texts
        self.labelled: list[str] = []

    def identify(self) -> Any:
        return "fake"

    def label_steps(self, completions: Sequence[CompletionSteps]) -> Judgement:
        self.labelled += [each.sample_id for each in completions]
        replies = [
            {"sample_id": each.sample_id, "judge_index": 0, "step": -1, "error": None, "text": self.vote_texts(vote)}
            for each in completions
            for vote in range(self.params.num_votes)
        ]
        return Judgement({each.sample_id: self.rule(each) for each in completions}, replies)


def llm_params(votes: int = 1, **checks: Any) -> JudgeParams:
    llm = {**LLM_JUDGE, "engine": openai(), "mock": None, "temperature": 1.0}
    return JudgeParams.model_validate({**JUDGE, "llm": llm, "num_votes": votes, "checks": checks})


def toy_completions(seed: int, count: int = 64, slips: float = 0.5) -> list[CompletionSteps]:
    """Toy solutions, of which a fraction `slips` has one false result, on which what follows builds."""
    draws, made = Random(seed), []
    for at, row in enumerate(make_problems("train", count, seed)):
        steps = row["solution"].splitlines(keepends=True)
        if draws.random() < slips:
            slip = draws.choice([at for at, step in enumerate(steps) if step.split("= ")[-1].strip().isdecimal()])
            left, right = steps[slip].rsplit("= ", 1)
            steps[slip] = f"{left}= {int(right) + 1}\n"
        made.append(CompletionSteps(f"s{at}", f"p{at}", row["problem"], row["solution"], tuple(steps)))
    return made


def bench_completions(seed: int, count: int = 64) -> tuple[list[CompletionSteps], dict[str, bool]]:
    """Solutions with the lengths and first errors of ProcessBench, and whether each text of a step is correct."""
    draws, made, truth = Random(seed), [], {}
    for at in range(count):
        num = draws.choice(STEPS_PER_COMPLETION)
        error = draws.randrange(num) if draws.random() < 0.572 else None
        steps = tuple(f"{seed} {at} {step}: {draws.random()}" for step in range(num))
        for step, text in enumerate(steps):
            is_after = error is not None and step > error
            truth[text] = step != error and (not is_after or draws.random() < 0.5)
        made.append(CompletionSteps(f"s{at}", f"p{at}", f"problem {at}", "", steps))
    return made, truth


def make_good_judge(seed: int, error_rate: float, truth: dict[str, bool] | None) -> Rule:
    """The toy's rule, or `truth` by text, with errors; it finds half of all steps wrong that are out of order."""

    def label(completion: CompletionSteps) -> list[StepLabel]:
        steps, labels = completion.steps, []
        verdicts = judge_toy_arithmetic(completion.problem, list(steps))
        is_altered = not completion.sample_id.startswith("s")
        for step, text in enumerate(steps):
            is_correct, reason = verdicts[step]
            if truth is not None:
                is_lost = is_altered and hash_to_unit("lost", seed, text) < 0.5
                is_correct, reason = truth[text] and not is_lost, f"on {text}"
            if hash_to_unit("flip", seed, completion.sample_id, step) < error_rate:
                is_correct, reason = not is_correct, f"{reason} (flipped)"
            labels.append(StepLabel(is_correct, reason, 1.0))
        return labels

    return label


def check(judge: Judge, completions: Sequence[CompletionSteps], calibration: Any = None) -> dict[str, Any]:
    found = check_judge(judge, completions, calibration)
    assert found is not None
    return found


def list_found(checks: dict[str, Any]) -> set[str]:
    return {name for name, sign in checks["symptoms"].items() if sign["is_found"]}


def copy_the_example(completion: CompletionSteps) -> list[StepLabel]:
    """What SmolLM2-135M replied to a prompt whose example could be copied, in 172 of 172 replies."""
    return [StepLabel(step == 0, "one sentence", 1.0) for step in range(len(completion.steps))]


@pytest.mark.parametrize("data", ["toy", "bench"])
def test_a_judge_that_copies_the_example_is_stopped(data: str) -> None:
    completions = toy_completions(1) if data == "toy" else bench_completions(1)[0]
    judge = FakeJudge(llm_params(votes=3), copy_the_example, lambda vote: "always the same")
    checks = check(judge, completions)
    assert {"position", "repeated_rationale", "identical_votes"} <= list_found(checks)
    assert checks["completions"] == 64
    assert checks["probes"]["rotated"] <= 64
    with pytest.raises(UserError) as caught:
        raise_degenerate(checks, Path("report.json"))
    message = str(caught.value)
    assert message.startswith("judge.checks: on 64 completions the judge looks degenerate: labels follow the position")
    assert "judge.checks.position is 0.85" in message
    assert "judge.checks.stop: false" in message
    assert "\n" not in message


def test_the_replies_of_a_small_model_are_stopped() -> None:
    """Recorded ones, in the form in which a rationale follows the verdict."""
    recorded = {(each["id"], each["shift"]): each["text"] for each in SMOLLM2["replies"]}
    lengths = {each["id"]: each["steps"] for each in SMOLLM2["replies"]}
    completions = [
        CompletionSteps(key, key, f"problem {key}", "", tuple(f"{key} step {step}" for step in range(num)))
        for key, num in lengths.items()
    ]

    def replay(completion: CompletionSteps) -> list[StepLabel]:
        key, _, first = completion.steps[0].rpartition(" step ")
        try:
            entries = json.loads(recorded[key, int(first)])["verdicts"]
            assert [entry["step"] for entry in entries] == list(range(1, len(completion.steps) + 1))
        except (ValueError, AssertionError):  # cut by length, or about other steps
            return [StepLabel(None, "", 0.0)] * len(completion.steps)
        return [StepLabel(entry["verdict"] == "correct", entry["rationale"], 1.0) for entry in entries]

    checks = check(FakeJudge(llm_params(), replay), completions)
    assert checks["symptoms"]["position"]["is_found"]
    assert checks["symptoms"]["position"]["value"] == round(31 / 34, 6)
    assert checks["completions"] == 24


@pytest.mark.parametrize(("data", "seeds"), [("toy", 200), ("bench", 200), ("perfect toy", 50)])
def test_a_good_judge_is_never_stopped(data: str, seeds: int) -> None:
    for seed in range(seeds):
        truth = None
        if data == "bench":
            completions, truth = bench_completions(seed)
        else:
            completions = toy_completions(seed, slips=0.0 if data == "perfect toy" else 0.5)
        error_rate = (0.0, 0.05, 0.1, 0.15, 0.2)[seed % 5]
        judge = FakeJudge(llm_params(votes=3), make_good_judge(seed, error_rate, truth))
        checks = check(judge, completions)
        assert checks["found"] == [], (seed, error_rate, checks)
        raise_degenerate(checks, Path("report.json"))


@pytest.mark.parametrize("error_rate", [0.0, 0.1, 0.2])
@pytest.mark.parametrize("mode", ["completion", "step"])
def test_a_good_mock_passes_as_a_served_judge_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error_rate: float, mode: str
) -> None:
    monkeypatch.chdir(tmp_path)
    llm = {**LLM_JUDGE, "mode": mode, "mock": {"error_rate": error_rate, "invalid_rate": 0.05}, "temperature": 1.0}
    params = JudgeParams.model_validate({**JUDGE, "llm": llm, "num_votes": 3})
    completions = toy_completions(7)
    with open_judge(params, 1, "test") as judge:
        first = check(judge, completions)
    assert first["found"] == []
    assert first["symptoms"]["position"]["value"] < 0.8
    assert first["probes"]["rotated"] > 20
    with open_judge(params, 1, "test") as judge:
        size = next((tmp_path / "work/journal/judge").iterdir()).stat().st_size
        assert check(judge, completions) == first
        assert next((tmp_path / "work/journal/judge").iterdir()).stat().st_size == size, "probes are journaled, too"


def list_degenerate_rules() -> dict[str, tuple[Rule, str]]:
    """Each with the one sign that finds it."""
    template = read_template("completion")
    phrase = " ".join(template.split())[20:60]

    def at_random(completion: CompletionSteps, reason: str | None = None) -> list[StepLabel]:
        return [
            StepLabel(hash_to_unit("random", text) < 0.7, reason or content_hash(text), 1.0)
            for text in completion.steps
        ]

    def by_parity(completion: CompletionSteps) -> list[StepLabel]:
        return [StepLabel(step % 2 == 0, content_hash(text), 1.0) for step, text in enumerate(completion.steps)]

    def from_the_end(completion: CompletionSteps) -> list[StepLabel]:
        num = len(completion.steps)
        return [StepLabel(step < num - 1, content_hash(text), 1.0) for step, text in enumerate(completion.steps)]

    def always(is_correct: bool) -> Rule:
        return lambda completion: [StepLabel(is_correct, content_hash(text), 1.0) for text in completion.steps]

    def cascade(completion: CompletionSteps) -> list[StepLabel]:
        """The second step is always the first wrong one, and what follows is unknown."""
        known = [StepLabel(True, "fine", 1.0), StepLabel(False, content_hash(completion.steps[1:2]), 1.0)]
        return [*known, *[StepLabel(None, "", 0.0)] * len(completion.steps)][: len(completion.steps)]

    def quote(completion: CompletionSteps) -> list[StepLabel]:
        labels = at_random(completion)
        return [replace(label, reason=text) for label, text in zip(labels, completion.steps, strict=True)]

    return {
        "by parity": (by_parity, "position"),
        "the last one": (from_the_end, "position"),
        "the second one": (cascade, "position"),
        "always correct": (always(True), "one_label"),
        "always incorrect": (always(False), "one_label"),
        "one rationale": (lambda it: at_random(it, "This step is wrong."), "repeated_rationale"),
        "the prompt's words": (lambda it: at_random(it, phrase), "copied_rationale"),
        "the step's words": (quote, "copied_rationale"),
    }


@pytest.mark.parametrize("name", sorted(list_degenerate_rules()))
@pytest.mark.parametrize("data", ["toy", "bench"])
def test_each_sign_is_found_by_itself(name: str, data: str) -> None:
    rule, sign = list_degenerate_rules()[name]
    for seed in range(10):
        completions = toy_completions(seed) if data == "toy" else bench_completions(seed)[0]
        assert sign in list_found(check(FakeJudge(llm_params(), rule), completions)), seed


def test_votes_that_do_not_depend_on_the_draw_are_one() -> None:
    rule = make_good_judge(1, 0.1, None)
    same = FakeJudge(llm_params(votes=3), rule, lambda vote: "the same")
    assert list_found(check(same, toy_completions(1))) == {"identical_votes"}
    one = FakeJudge(llm_params(votes=1), rule, lambda vote: "the same")
    assert check(one, toy_completions(1))["symptoms"]["identical_votes"] == {
        "value": None, "count": 0, "threshold": 0.98, "is_explained": False, "is_found": False,
    }  # fmt: skip


def test_one_label_is_held_against_what_people_found() -> None:
    """99% correct steps are no sign where people, too, found 1% incorrect, and are one where they found 20%."""
    completions, truth = bench_completions(3)
    wrong = sorted(truth)[::90]
    rule = make_good_judge(1, 0.0, {text: text not in wrong for text in truth})

    def blind(completion: CompletionSteps) -> list[StepLabel]:
        return rule(replace(completion, sample_id="s"))

    for incorrect, found in ((10, False), (200, True)):
        confusion = {"correct": {"correct": 1000 - incorrect}, "incorrect": {"correct": incorrect}}
        checks = check(FakeJudge(llm_params(), blind), completions, {"steps": {"confusion": confusion}})
        assert checks["expected_incorrect"] == incorrect / 1000
        assert checks["symptoms"]["one_label"]["is_found"] is found


def test_few_labels_tell_nothing() -> None:
    checks = check(FakeJudge(llm_params(), copy_the_example), toy_completions(1, count=3))
    assert {sign["value"] for sign in checks["symptoms"].values()} == {None}
    assert checks["found"] == []


def test_thresholds_and_their_absence() -> None:
    completions = toy_completions(1)
    off = dict.fromkeys(["position", "one_label", "repeated_rationale", "copied_rationale", "identical_votes"])
    judge = FakeJudge(llm_params(**off), copy_the_example)
    assert check(judge, completions)["found"] == []
    assert len(judge.labelled) == 64, "no probe is sent for what is not looked for"
    assert check_judge(FakeJudge(llm_params(num_completions=0), copy_the_example), completions, None) is None
    assert check(FakeJudge(llm_params(num_completions=10), copy_the_example), completions)["completions"] == 10
    rule = JudgeParams.model_validate({**JUDGE, "kind": "toy_arithmetic", "llm": None})
    with open_judge(rule, 1, "test") as opened:
        assert check_judge(opened, completions, None) is None, "rules are not checked"


@given(st.lists(st.sampled_from([True, False, None]), max_size=9))
def test_rotation_moves_labels_and_keeps_all_steps(labels: list[bool | None]) -> None:
    steps = tuple(f"step {at}" for at in range(len(labels)))
    probe = rotate_steps(CompletionSteps("s", "p", "problem", "", steps), labels)
    if {True, False} <= set(labels):
        assert probe is not None
        moved = probe.completion
        assert sorted(moved.steps) == sorted(steps)
        assert moved.steps != steps
        assert moved.sample_id != "s"
        followed = [labels[steps.index(text)] for text in moved.steps]
        assert probe.list_telling_labels(labels), "some label tells the two apart"
        assert all(probe.list_telling_labels(labels))
        assert not any(probe.list_telling_labels(followed))
    else:
        assert probe is None


def test_mismatched_completions_have_another_problem() -> None:
    completions = toy_completions(1, count=5)
    for own, other in zip(completions, mismatch_problems(completions), strict=True):
        assert own.steps == other.steps
        assert own.problem != other.problem
        assert own.sample_id != other.sample_id
    assert mismatch_problems([completions[0]] * 2) == []


def test_the_report_is_json() -> None:
    checks = check(FakeJudge(llm_params(votes=2), copy_the_example), toy_completions(1))
    assert json.loads(json.dumps(checks)) == checks
