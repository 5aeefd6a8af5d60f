"""Sampling by request: what is kept of an answer, and what is never asked again."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.engines import Completion, Failure, GenerationRequest, ModelId, make_engine
from stages.common.engines.request import Exchange
from stages.common.journal import ROOT
from stages.common.params.engine import EngineParams
from stages.common.params.runtime import RuntimeParams
from stages.common.params.sample import SampleParams
from stages.common.params.split import SplitParams
from stages.common.policies import Policy
from stages.common.tables import PROBLEM, SAMPLE, DropLog, make_problem_id
from stages.common.toy_arithmetic import make_problems
from stages.sample import SampleBatch, draw_samples, from_engine, hash_sampling, sample_problems
from stages.split import split_samples
from tests.support.fault_server import fault_server, stats
from tests.support.llm_params import ENGINE, openai

POLICY = Policy(Path("models/M1"), "a" * 32, None, None)
RUNTIME = RuntimeParams(num_threads=1, num_workers=1, distributed=None, device="cpu")


def make_params(**changes: Any) -> SampleParams:
    base = {"engine": ENGINE, "prompt": {"template": "{problem}\n"}, "num_samples": 4, "max_tokens": 24}
    return SampleParams.model_validate({**base, **changes})


def mock(**changes: Any) -> dict[str, Any]:
    return {**ENGINE, "mock": changes}


def problems(count: int) -> pl.DataFrame:
    rows = [
        (make_problem_id(row["problem"], "1"), "train", "toy", row["problem"], row["solution"], "1", "made", at, "math")
        for at, row in enumerate(make_problems("train", count, 1))
    ]
    return pl.DataFrame(rows, schema=PROBLEM.schema, orient="row")


def draw(params: SampleParams, count: int = 10, drops: DropLog | None = None, policy: Policy = POLICY) -> SampleBatch:
    drawn = draw_samples(problems(count), policy, params, RUNTIME, 1, "sample", drops or DropLog())
    SAMPLE.check(drawn.samples)
    return drawn


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sent(drawn: SampleBatch) -> int:
    assert drawn.llm_usage is not None
    answers = drawn.llm_usage["completions"]
    assert isinstance(answers, int)
    return answers - drawn.from_journal


def test_every_problem_gets_its_samples_with_what_the_engine_said_of_them() -> None:
    drawn = draw(make_params(engine=mock(truncation_rate=0.2)))
    assert drawn.samples.height == 40
    assert drawn.samples.group_by("problem_id").len()["len"].to_list() == [4] * 10
    assert drawn.samples["seed"].n_unique() == 40
    assert set(drawn.samples["finish_reason"]) == {"stop", "length"}
    assert drawn.samples["completion_tokens"].min() > 0  # type: ignore[operator]
    assert drawn.llm_usage is not None
    assert drawn.llm_usage["prompt_tokens"] == drawn.samples["prompt_tokens"].sum()
    assert drawn.llm_usage["cost"] > 0


@pytest.mark.parametrize(
    ("thinking", "apart", "text", "finish", "expected"),
    [
        ("kept", None, "<think>a</think>\n\nb", "stop", "<think>a</think>\n\nb"),
        ("kept", "a", "b", "stop", "<think>\na\n</think>\n\nb"),
        ("kept", "a", "", "length", "<think>\na"),
        ("stripped", None, "<think>a</think>\n\nb\n", "stop", "b\n"),
        ("stripped", "a", "b", "stop", "b"),
        ("stripped", "a", "", "length", ""),
        ("stripped", None, "a</think>b", "length", "b"),
        ("stripped", None, "<think>a", "length", ""),
        ("stripped", None, " b", "stop", "b"),
        ("kept", None, " b", "stop", " b"),
    ],
)
def test_thinking_is_kept_or_stripped_wherever_it_came(
    thinking: str, apart: str | None, text: str, finish: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Thinker:
        def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
            for request in requests:
                yield request, Completion(text, finish, 1, 1, None, "m", apart)

        def close(self) -> None: ...

    monkeypatch.setattr(from_engine, "make_engine", lambda *_: Thinker())
    samples = draw(make_params(thinking=thinking), 1).samples
    assert samples["completion"].to_list() == [expected] * 4
    assert samples["finish_reason"].to_list() == [finish] * 4
    spans = split_samples(samples, SplitParams())
    assert (
        "".join(expected[start:end] for start, end in spans.select("start", "end").head(len(spans) // 4).iter_rows())
        == expected
    )


def test_samples_of_a_policy_that_does_not_think_keep_their_ids() -> None:
    assert hash_sampling(make_params(), 1) == hash_sampling(make_params(thinking="kept"), 1)
    assert hash_sampling(make_params(), 1) != hash_sampling(make_params(thinking="stripped"), 1)


def test_samples_of_a_problem_are_asked_for_together() -> None:
    drawn = draw(make_params()).samples.sort("problem_id", "sample_index")["completion"].to_list()
    (journal,) = (ROOT / "sample").iterdir()
    lines = [json.loads(line.split(" ", 1)[1]) for line in journal.read_text(encoding="utf-8").splitlines()]
    assert [answer["text"] for line in lines for answer in line.values()] == drawn


def test_nothing_is_asked_for_twice() -> None:
    first = draw(make_params())
    assert (sent(first), first.from_journal) == (40, 0)
    faster = {**ENGINE, "concurrency": 64, "attempt_timeout_s": 1.0, "prices": None}
    again = draw(make_params(engine=faster))
    assert (sent(again), again.from_journal) == (0, 40)
    assert again.samples.equals(first.samples)
    more = draw(make_params(), 11)
    assert (sent(more), more.from_journal) == (4, 40)
    assert sent(draw(make_params(num_samples=5))) == 10


def test_another_server_is_asked_for_nothing_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with fault_server() as one, fault_server() as other:
        monkeypatch.setenv("OPENAI_BASE_URL", one)
        first = draw(make_params(engine=openai()))
        monkeypatch.setenv("OPENAI_BASE_URL", other)
        again = draw(make_params(engine=openai(concurrency=99, served_model_name="x")), 11)
        assert (stats(one)["requests"], stats(other)["requests"]) == (40, 4)
    assert again.from_journal == 40
    assert set(first.samples["sample_id"]) <= set(again.samples["sample_id"])


def test_a_fake_is_never_taken_for_the_policy() -> None:
    assert hash_sampling(make_params(), 1) != hash_sampling(make_params(engine=openai()), 1)
    assert _model_name(POLICY) == POLICY.hash
    assert _model_name(Policy(Path("models/M0"), "b" * 32, "org/model", "c" * 40)) == "org/model"


def _model_name(policy: Policy) -> str:
    """What servers elsewhere are sent as the model's name."""
    model = ModelId(policy.source, policy.revision, policy.hash)
    return make_engine(EngineParams.model_validate(openai()), model).model_name  # type: ignore[attr-defined]


class Moody:
    """Fails for good, or says nothing, where it is told to; an engine."""

    def __init__(self, failing: str, silent: str) -> None:
        self.failing, self.silent = failing, silent

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        for request in requests:
            prompt = request.prompt[0]["content"]  # type: ignore[index]
            if self.failing in prompt:
                yield request, Failure("gave up", 3, "HTTP 500")
            else:
                text = " " if self.silent in prompt else f"It is {request.seed}."
                yield request, Completion(text, "stop", 5, 5, 0, "m")

    def close(self) -> None: ...


def test_a_sample_without_an_answer_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    last = problems(40).sort("problem_id").tail(2)["problem"].to_list()
    drops = DropLog()
    with monkeypatch.context() as patch:
        patch.setattr(from_engine, "make_engine", lambda *_: Moody(*last))
        drawn = draw(make_params(), 40, drops)
        with pytest.raises(ValueError, match="evaluate: 4 samples have no completion; run again"):
            sample_problems(problems(40), POLICY, make_params(), RUNTIME, 1, "evaluate")
    assert (drawn.samples.height, drawn.num_missing) == (39 * 4, 4)
    assert drawn.samples["completion"].to_list().count(" ") == 4, "to say nothing is an answer"
    assert {reason: drop["rows"] for reason, drop in drops.report().items()} == {"no completion": 4}
    assert drawn.llm_usage is not None
    assert drawn.llm_usage["failures"] == {"HTTP 500": 4}
    assert sent(draw(make_params(), 40)) == 4, "what failed is asked for again, and nothing else"


@given(st.sampled_from(["temperature", "max_tokens", "prompt"]))
def test_what_determines_a_sample_is_in_its_settings(name: str) -> None:
    other: dict[str, Any] = {
        "temperature": 0.5,
        "max_tokens": 25,
        "prompt": {"chat": True, "system": "Be brief.", "template": "{problem}\n"},
    }
    assert hash_sampling(make_params(**{name: other[name]}), 1) != hash_sampling(make_params(), 1)
