"""The judge as a stage: labels by models that err on purpose, what is sent when something changes, kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pytest
import yaml

from stages.common.engines import EngineError
from stages.common.errors import UserError
from stages.common.journal import ROOT
from stages.common.params.block import ParamsBlock, ParamsError, validate
from stages.common.params.judge import FREE_REASONING, JudgeParams, ReasoningMode
from stages.common.params.split import SplitParams
from stages.common.runs import record_stage
from stages.common.tables import (
    LABEL,
    PROBLEM,
    REPLY,
    SAMPLE,
    STEP,
    make_problem_id,
    make_sample_id,
    read_table,
    write_table,
)
from stages.common.toy_arithmetic import make_problems
from stages.judge import (
    JUDGES,
    CompletionSteps,
    Judge,
    Judgement,
    LabelEvidence,
    Labels,
    StepLabel,
    judge_samples,
    make_judge,
    open_judge,
)
from stages.judge.__main__ import label
from stages.judge.label_stats import LabelStats
from stages.judge.llm import count_kept_votes, judge_prompts, llm_judge
from stages.judge.llm.votes import VoteRequest
from stages.split import split_samples
from tests.support.clones import read_facts
from tests.support.llm_params import ENGINE, JUDGE, LLM_JUDGE

Tables = tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]
"""Problems, samples, steps."""


def tables(count: int) -> Tables:
    """`count` problems, each with a right solution and one whose second step slips by one."""
    problems, samples = [], []
    for at, row in enumerate(make_problems("train", count, 1)):
        text = row["solution"]
        key = make_problem_id(row["problem"], "1")
        problems.append((key, "train", "toy_arithmetic", row["problem"], text, "1", "made", at, "math"))
        for index, said in enumerate((text, slip(text))):
            name = make_sample_id(key, "p", "s", index, said)
            samples.append((name, key, "p", "s", index, None, said, "stop", *[None] * 4))
    sampled = pl.DataFrame(samples, schema=SAMPLE.schema, orient="row")
    steps = split_samples(sampled, SplitParams(shape="auto", max_steps=64))
    return pl.DataFrame(problems, schema=PROBLEM.schema, orient="row"), sampled, steps


def slip(text: str) -> str:
    lines = text.splitlines(keepends=True)
    left, right = lines[1].rsplit("= ", 1)
    return "".join([lines[0], f"{left}= {int(right) + 1}\n", *lines[2:]])


def judge(asked: Tables, **changes: Any) -> tuple[Labels, dict[str, Any]]:
    """The labels, and the stage's report of them."""
    params = JudgeParams.model_validate({**JUDGE, **changes})
    tally = LabelStats()
    with record_stage(Path("run"), "judge") as record, open_judge(params, 1, "judge") as opened:
        labels = opened.label(*asked)
        tally.add(labels)
        usage = opened.report_usage()
    return labels, {**tally.report(), "llm_usage": usage, "run": record.facts.get("usage")}


def served(**changes: Any) -> dict[str, Any]:
    return {**LLM_JUDGE, **changes}


def weak(wrong: float = 0.0, useless: float = 0.0, **changes: Any) -> dict[str, Any]:
    return served(mock={"error_rate": wrong, "invalid_rate": useless}, temperature=1.0, **changes)


def sent(report: dict[str, Any]) -> int:
    answers = report["run"]["judge, judge"]["completions"]
    assert isinstance(answers, int)
    return answers


def wrong_share(labels: Labels, asked: Tables) -> float:
    """Share of labels that are not the rule's."""
    truth = judge_samples(*asked, JudgeParams.model_validate({**JUDGE, "kind": "toy_arithmetic"}), 1).labels
    both = labels.labels.join(truth, on=["sample_id", "step"], suffix="_true").drop_nulls("label")
    assert both.height
    return float((both["label"] != both["label_true"]).mean())  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("mode", ["completion", "step"])
def test_a_judge_that_never_errs_says_what_the_rule_says(mode: str) -> None:
    asked = tables(20)
    labels, report = judge(asked, llm=served(mode=mode, prompt=mode))
    assert wrong_share(labels, asked) == 0
    assert labels.labels.height == asked[2].height == report["steps"]
    assert {True, False} == set(labels.labels["label"])
    assert sent(report) == labels.replies.height == (40 if mode == "completion" else asked[2].height)
    REPLY.check(labels.replies)


@pytest.mark.parametrize("mode", ["completion", "step", "critique"])
def test_every_way_to_reason_gives_the_same_labels(mode: str) -> None:
    """The mock judge replies in every form; errors and invalid replies are drawn alike."""
    asked = tables(20)
    by_reasoning = {}
    for reasoning in get_args(ReasoningMode):
        params = {"llm": weak(wrong=0.2, useless=0.2, mode=mode, reasoning=reasoning), "num_votes": 3}
        labels, report = judge(asked, **params)
        by_reasoning[reasoning] = labels.labels.select("sample_id", "step", "label", "agreement", "first_error")
        has_thinking = reasoning in FREE_REASONING
        assert labels.replies["reasoning"].null_count() == (0 if has_thinking else labels.replies.height)
        assert not labels.replies["text"].str.contains("think").any()
        assert sum(report["replies"]["invalid"].values()) == labels.replies["error"].drop_nulls().len() > 0
        turns = 2 if reasoning == "two_turns" else 1
        assert sent(report) == turns * labels.replies.height
        tokens = report["llm_usage"]["judge"]
        for name in ("prompt_tokens", "completion_tokens"):
            assert tokens[name] == labels.replies[name].sum()
        recounted = make_judge(JudgeParams.model_validate({**JUDGE, **params}), 1).recount(
            LabelEvidence(*asked, labels.labels, labels.replies)
        )
        assert recounted is not None
        assert recounted.equals(labels.labels.select(recounted.columns).sort("problem_id", "sample_id", "step")) or (
            recounted.sort("sample_id", "step").equals(
                labels.labels.select(recounted.columns).sort("sample_id", "step")
            )
        )
    first = by_reasoning["before_verdict"]
    assert all(labels.equals(first) for labels in by_reasoning.values())
    assert {True, False} <= set(first["label"])


def test_a_critique_says_nothing_of_steps_after_the_first_error() -> None:
    asked = tables(20)
    labels, report = judge(asked, llm=served(mode="critique"))
    after = labels.labels.filter(pl.col("step") > pl.col("first_error"))
    assert after.height
    assert after["label"].null_count() == after.height == report["unknown"]["reasons"]["after the first error"]
    assert wrong_share(labels, asked) == 0
    llm = JudgeParams.model_validate({**JUDGE, "llm": served(mode="critique")}).llm
    assert llm is not None
    counts = count_kept_votes(labels.replies, asked[2], 1, [llm])
    assert counts["votes_invalid"].sum() == after.height
    assert set(counts.select(pl.sum_horizontal("^votes_.*$")).to_series()) == {1}


@pytest.mark.parametrize("reasoning", ["tags", "field", "two_turns"])
def test_cut_thinking_is_counted_apart(reasoning: str) -> None:
    engine = {**ENGINE, "mock": {"truncation_rate": 0.3}}
    labels, report = judge(tables(20), llm=weak(reasoning=reasoning, engine=engine), num_votes=3)
    cut = labels.replies.filter(pl.col("finish_reason") == "length")
    assert 0 < report["replies"]["invalid"]["thinking cut"] <= cut.height
    thought = cut.filter(pl.col("text") == "")
    assert thought.height == report["replies"]["invalid"]["thinking cut"]
    assert thought["reasoning"].str.len_chars().min() > 0  # type: ignore[operator]


def test_votes_are_better_than_one_of_them() -> None:
    asked = tables(60)
    shares = {}
    for votes in (1, 5):
        labels, report = judge(asked, llm=weak(wrong=0.25), num_votes=votes)
        shares[votes] = wrong_share(labels, asked)
    assert 0.15 < shares[1] < 0.35
    assert shares[5] < 0.6 * shares[1]
    assert report["agreement"]["mean"] < 0.95
    assert 0 < report["agreement"]["unanimous"] < 0.6
    assert labels.labels["num_votes"].unique().to_list() == [5]


def test_a_second_judge_must_say_the_same() -> None:
    asked = tables(60)
    alone, _ = judge(asked, llm=weak(wrong=0.25))
    both, report = judge(asked, llm=weak(wrong=0.25), second_judge=weak(wrong=0.25, model="other"))
    assert 0.2 < report["unknown"]["rate"] < 0.55
    assert set(report["unknown"]["reasons"]) == {"judges disagree"}
    assert wrong_share(both, asked) < 0.6 * wrong_share(alone, asked)
    assert set(report["llm_usage"]) == {"judge", "second judge"}
    assert report["run"]["judge, judge"]["from_journal"] == 120
    assert set(both.replies["judge_index"]) == {0, 1}


def test_tries_turn_unknown_into_labels_and_every_reply_is_kept() -> None:
    asked = tables(40)
    once, first = judge(asked, llm=weak(useless=0.3, max_attempts=1))
    assert 0.1 < first["unknown"]["rate"] < 0.5
    assert first["unknown"]["reasons"]
    assert set(first["unknown"]["reasons"]) <= {"not JSON", "wrong number of verdicts"}
    assert set(once.labels.filter(pl.col("label").is_null())["agreement"]) == {0.0}
    more, report = judge(asked, llm=weak(useless=0.3, max_attempts=6))
    assert report["unknown"]["rate"] < 0.02
    assert report["run"]["judge, judge"]["from_journal"] == 80, "another budget of tries repeats none that was made"
    tried = report["replies"]["by_attempt"]
    assert tried["1"] == 80
    assert tried["2"] == more.replies.filter((pl.col("attempt") == 0) & pl.col("error").is_not_null()).height
    assert more.replies.filter(pl.col("error").is_not_null())["text"].null_count() == 0
    assert wrong_share(more, asked) == 0


def test_a_judge_of_no_use_is_stopped_before_the_rest_is_asked() -> None:
    with pytest.raises(EngineError, match="pre-flight: 8 of 8 replies are unusable"):
        judge(tables(40), llm=weak(useless=1.0))
    (journal,) = (ROOT / "judge").iterdir()
    assert len(journal.read_bytes().splitlines()) == 8


def test_only_what_is_new_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tables(100)
    first, report = judge(asked)
    assert sent(report) == 200
    elsewhere = served(engine={**ENGINE, "concurrency": 64, "attempt_timeout_s": 1.0, "prices": None})
    again, report = judge(asked, llm=elsewhere, min_agreement=1.0)
    assert sent(report) == 0
    assert again.labels.drop("judge").equals(first.labels.drop("judge"))
    _, report = judge(tables(101))
    assert sent(report) == 2, "one problem more in a hundred"
    _, report = judge(asked, num_votes=2, llm=served(temperature=0.5))
    assert sent(report) == 400

    folder = Path("prompts")
    folder.mkdir()
    for file in judge_prompts.PROMPT_FOLDER.glob("*.jinja"):
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "twin.jinja").write_bytes((folder / "completion.jinja").read_bytes())
    (folder / "strict.jinja").write_text((folder / "completion.jinja").read_text(encoding="utf-8") + "\nBe strict.")
    monkeypatch.setattr(judge_prompts, "PROMPT_FOLDER", folder)
    same, report = judge(asked, llm=served(prompt="twin"))
    assert sent(report) == 0
    assert same.labels.equals(first.labels)
    strict, report = judge(asked, llm=served(prompt="strict"))
    assert sent(report) == 200
    assert set(strict.labels["judge"]).isdisjoint(first.labels["judge"])


class WordCountParams(ParamsBlock):
    """Params of a judge from outside."""

    min_words: int = 3


class WordCountJudge(Judge):
    """Calls a step correct if it has enough words."""

    description = "a count of words"

    def identify(self) -> Any:
        return self.params.kind_params.model_dump()

    def label_steps(self, completions: Sequence[CompletionSteps]) -> Judgement:
        least = self.params.kind_params.min_words
        counts = {each.sample_id: [len(step.split()) for step in each.steps] for each in completions}
        return Judgement({
            sample_id: [StepLabel(count >= least, f"{count} words", 1.0) for count in of_sample]
            for sample_id, of_sample in counts.items()
        })  # fmt: skip


def test_a_judge_from_outside_labels_by_its_own_params() -> None:
    JUDGES.register("word_count", WordCountJudge, WordCountParams)
    asked = tables(3)
    identities = set()
    for least, expected in ((1, {True}), (1000, {False})):
        params = validate(JudgeParams, {"kind": "word_count", "word_count": {"min_words": least}}, "judge")
        labels = judge_samples(*asked, params, 1).labels
        assert set(labels["label"]) == expected
        assert labels.height == asked[2].height
        identities |= set(labels["judge"])
    assert len(identities) == 2
    judge = make_judge(validate(JudgeParams, {"kind": "word_count"}, "judge"), 1)
    assert (judge.description, judge.model, judge.llms, judge.has_replies) == ("a count of words", None, [], False)
    assert judge.recount(LabelEvidence(*asked, labels, None)) is None
    with pytest.raises(ParamsError, match=r"judge\.word_count\.min_word: unknown key"):
        validate(JudgeParams, {"kind": "word_count", "word_count": {"min_word": 1}}, "judge")
    with pytest.raises(ParamsError, match="no judge of kind 'word_cont'; did you mean word_count"):
        validate(JudgeParams, {"kind": "word_cont"}, "judge")


@pytest.mark.parametrize(
    "changes",
    [
        {"llm": LLM_JUDGE | {"temperature": 1.0, "mock": {"error_rate": 0.3, "invalid_rate": 0.3}}, "num_votes": 3},
        {"kind": "toy_arithmetic", "llm": None, "label_noise": 0.5},
        {"kind": "none", "llm": None},
    ],
    ids=["llm", "toy_arithmetic", "none"],
)
def test_labels_are_recounted_from_what_is_kept(changes: dict[str, Any]) -> None:
    asked = tables(30)
    params = JudgeParams.model_validate({**JUDGE, **changes})
    with open_judge(params, 1, "judge") as judge:
        labels = judge.label(*asked)
    judge = make_judge(params, 1)
    recounted = judge.recount(LabelEvidence(*asked, labels.labels, labels.replies if judge.has_replies else None))
    assert recounted is not None
    order = ["sample_id", "step"]
    assert recounted.sort(order).equals(labels.labels.select(recounted.columns).sort(order))


def test_flips_on_purpose_are_a_judge_of_their_own() -> None:
    asked = tables(30)
    plain, _ = judge(asked)
    flipped, report = judge(asked, label_noise=0.3)
    assert sent(report) == 0
    assert 0.15 < wrong_share(flipped, asked) < 0.45
    assert set(plain.labels["judge"]).isdisjoint(flipped.labels["judge"])


def test_a_degenerate_judge_stops_the_stage_and_its_replies_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that calls the first step correct and all others incorrect, whatever they say, for the same reason."""

    def reply(vote: VoteRequest, *_: object) -> str:
        entries = [
            {"step": number, "analysis": "one sentence", "verdict": "correct" if number == 1 else "incorrect"}
            for number in vote.numbers
        ]
        return json.dumps({"verdicts": entries})

    monkeypatch.setattr(llm_judge, "make_mock_reply", reply)
    for folder, table, frame in zip(("problems", "samples", "steps"), (PROBLEM, SAMPLE, STEP), tables(50), strict=True):
        write_table(tmp_path / folder, table, frame, 0)
    recipe = {"seed": 1, "tables": {"shard_digits": 0}, "judge": JUDGE}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    paths = [Path(name) for name in ("params.yaml", "problems", "samples", "steps", "out", "report.json")]
    with pytest.raises(UserError, match="looks degenerate: labels follow the position") as caught:
        label(*paths)
    assert "nothing is labelled" in str(caught.value)
    assert not Path("out").exists()
    (journal,) = (ROOT / "judge").iterdir()
    size = journal.stat().st_size
    assert len(journal.read_bytes().splitlines()) <= 128
    report = json.loads(Path("report.json").read_text(encoding="utf-8"))
    assert report["checks"]["symptoms"]["position"]["is_found"]

    with pytest.raises(UserError, match="looks degenerate"):
        label(*paths)
    assert journal.stat().st_size == size, "nothing is sent twice"
    (tmp_path / "params.yaml").write_text(
        yaml.safe_dump({**recipe, "judge": {**JUDGE, "checks": {"stop": False}}}), encoding="utf-8"
    )
    label(*paths)
    report = json.loads(Path("report.json").read_text(encoding="utf-8"))
    assert report["checks"]["symptoms"]["position"]["is_found"]
    assert report["steps"] == read_table(Path("out"), LABEL, 0).height


@pytest.mark.parametrize("kills", [1, 3])
def test_killed_and_run_again_gives_the_same_bytes(tmp_path: Path, repository: Path, kills: int) -> None:
    """kill -9 as soon as the journal has grown; no answer that was kept is asked for again."""
    slow = {**ENGINE, "concurrency": 4, "mock": {"latency_s": 0.005}}
    block = {**JUDGE, "llm": weak(wrong=0.1, useless=0.1, engine=slow), "num_votes": 3}
    outs = []
    for name, planned in (("whole", 0), ("killed", kills)):
        place = tmp_path / name
        place.mkdir()
        for folder, table, frame in zip(
            ("problems", "samples", "steps"), (PROBLEM, SAMPLE, STEP), tables(30), strict=True
        ):
            write_table(place / folder, table, frame, 0)
        recipe = {"seed": 1, "tables": {"shard_digits": 0}, "judge": block}
        (place / "params.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        folders = [f"--{name}={name}" for name in ("problems", "samples", "steps", "out")]
        command = [sys.executable, "-m", "stages.judge", "--recipe=params.yaml", "--report=report.json", *folders]
        environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
        for _ in range(planned):
            size = journal_size(place)
            child = subprocess.Popen(command, cwd=place, env=environment)
            while child.poll() is None:
                if journal_size(place) > size:
                    child.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.001)
            child.wait()
        subprocess.run(command, cwd=place, env=environment, check=True)
        outs.append({path.relative_to(place): path.read_bytes() for path in sorted((place / "out").rglob("*.parquet"))})
        replies = read_table(place / "out" / "replies", REPLY, 0)
        (journal,) = place.glob("work/journal/judge/*")
        keys = [key for line in journal.read_text().splitlines() for key in json.loads(line.split(" ", 1)[1])]
        assert len(keys) == len(set(keys))
        assert set(keys) > set(replies["request_hash"]), "the checks' probes are in the journal besides"
        costs = read_facts(place, "judge")["usage"]["judge out, judge"]
        assert costs["completions"] + costs["from_journal"] == len(keys)
        assert json.loads((place / "report.json").read_text())["checks"]["found"] == []
        assert (costs["from_journal"] > 0) is bool(planned)
    assert outs[0] == outs[1]
    assert len(outs[0]) == 2
    assert read_table(tmp_path / "whole" / "out", LABEL, 0).height


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> Path:
    return request.config.rootpath


def journal_size(place: Path) -> int:
    return sum(path.stat().st_size for path in place.glob("work/journal/judge/*"))
