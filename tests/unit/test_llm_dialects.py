"""What servers do, each against the real engine over HTTP: the completion or the message, and the requests spent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.engines import (
    Completion,
    EngineError,
    Failure,
    GenerationRequest,
    ModelId,
    Response,
    Runner,
    make_engine,
)
from stages.common.engines.openai_dialect import BOUNDS, RULES, Dialect, DialectFinder, write_body
from stages.common.engines.openai_engine import OpenAIEngine
from stages.common.engines.retry_policy import AttemptError, Cause, RetryPolicy
from stages.common.params.block import ParamsError, validate
from stages.common.params.engine import EngineParams, OpenAIParams
from stages.common.params.judge import LlmJudgeParams
from stages.judge.llm.voter import LlmVoter
from stages.judge.llm.votes import label_samples
from stages.judge.step_labels import CompletionSteps
from tests.support.behaving_server import behaving_server

BEHAVIOURS = [
    json.loads(line) for line in Path("tests/data/server_behaviours.jsonl").read_text(encoding="utf-8").splitlines()
]

OF_ENGINES = [row for row in BEHAVIOURS if "judge" not in row]
OF_JUDGES = [row for row in BEHAVIOURS if "judge" in row]

QUICK = RetryPolicy(request_timeout_s=20, attempt_timeout_s=5, first_delay_s=0.01, max_delay_s=0.05)

SCHEMA = {
    "type": "object",
    "properties": {
        "verdicts": {"type": "array", "items": {"enum": ["correct", "incorrect"]}, "minItems": 1, "maxItems": 4},
        "why": {"type": "string", "maxLength": 12},
    },
    "required": ["verdicts", "why"],
    "additionalProperties": False,
}

MOST_REQUESTS = 8
"""That a search for a dialect may cost."""


def make_requests(sent: dict[str, Any]) -> list[GenerationRequest]:
    values: dict[str, Any] = {"temperature": 0.7, **sent}
    number = values.pop("number", 1)
    values.pop("openai", None)
    if values.pop("schema", False):
        values["schema"] = SCHEMA
    values["stop"] = tuple(values.get("stop", ()))
    chat = [{"role": "user", "content": "2 + 2?"}]
    return [GenerationRequest("m", chat, max_tokens=100, seed=seed, **values) for seed in range(number)]


@pytest.mark.parametrize("row", OF_ENGINES, ids=[row["name"] for row in OF_ENGINES])
def test_each_behaviour_gives_a_completion_or_a_message_for_a_stated_number_of_requests(
    row: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert row["source"]
    sent = row.get("sent", {})
    requests = make_requests(sent)
    responses: list[Response] = []
    stopped = ""
    with behaving_server(row["replies"], row["refuses"]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        engine = OpenAIEngine("tiny", 1, QUICK, params=validate(OpenAIParams, sent.get("openai", {}), "openai"))
        try:
            responses.extend(response for _, response in engine.complete(requests))
        except EngineError as error:
            stopped = str(error)
    assert len(server.bodies) == row["requests"]
    assert engine.dialect.num_refusals < MOST_REQUESTS
    if "error" in row:
        assert stopped.startswith(f"model tiny at {server.url}: {row['error']}") or row["error"] in stopped
        assert "\n" not in stopped
        return
    assert not stopped
    last = responses[-1]
    if "failure" in row:
        assert isinstance(last, Failure)
        assert last.reason.startswith(row["failure"])
        assert "\n" not in last.reason
    else:
        assert isinstance(last, Completion)
        assert {name: getattr(last, name) for name in row["completion"]} == row["completion"]
    if "dialect" in row:
        assert engine.dialect.dialect.describe() == row["dialect"]
        assert f"engine.openai: {{{row['dialect']}}}, found with {row['requests'] - 1} refused requests" in caplog.text
    else:
        assert engine.dialect.num_refusals == 0


@pytest.mark.parametrize("row", OF_JUDGES, ids=[row["name"] for row in OF_JUDGES])
def test_each_reply_to_a_judge_gives_its_labels(
    row: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine_params = {"kind": "openai", "request_timeout_s": 20.0, "attempt_timeout_s": 5.0}
    params = validate(LlmJudgeParams, {"model": "m", "engine": engine_params, **row["judge"]}, "judge.llm")
    completion = CompletionSteps("s", "p", "What is 2 + 2 + 1?", "5", ("2 + 2 = 4", "4 + 1 = 6"))
    with behaving_server(row["replies"], row["refuses"]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with Runner(make_engine(params.engine, ModelId("m")), tmp_path / "journal.jsonl", "judge") as runner:
            # As after a pre-flight, which would stop at one invalid reply of one.
            collected = LlmVoter(params, 1, 0, runner, _is_tested=True).collect_votes([completion])
    labels = label_samples([collected], 0.5)["s"]
    assert [label.is_correct for label in labels] == row["label"]
    assert len(server.bodies) == row["requests"]
    assert sorted(collected.invalid_replies) == ([row["invalid"]] if "invalid" in row else [])
    if "thinking" in row:
        assert collected.replies[-1]["reasoning"] == row["thinking"]


def test_the_table_is_large_and_its_names_are_different() -> None:
    assert len(BEHAVIOURS) >= 50
    assert len({row["name"] for row in BEHAVIOURS}) == len(BEHAVIOURS)


def test_what_was_found_is_sent_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    row = next(row for row in BEHAVIOURS if row["name"] == "four parts are refused one after the other")
    with behaving_server(row["replies"], row["refuses"]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        engine = OpenAIEngine("tiny", 16, QUICK)
        responses = [response for _, response in engine.complete(make_requests({"schema": True, "number": 40}))]
    assert all(isinstance(response, Completion) for response in responses)
    assert len(server.bodies) == 4 + 40
    [first, *_] = server.bodies
    assert (first["max_tokens"], first["seed"], first["top_p"]) == (100, 0, 1.0)
    for body in server.bodies[4:]:
        assert sorted(body) == ["max_completion_tokens", "messages", "model", "response_format", "temperature"]
        sent = body["response_format"]["json_schema"]["schema"]
        assert sent["required"] == SCHEMA["required"]
        assert not any(f'"{bound}"' in json.dumps(sent) for bound in BOUNDS)


def test_a_property_may_be_called_as_a_bound_is() -> None:
    schema = {"properties": {"pattern": {"type": "string", "maxLength": 3, "enum": ["maxLength"]}}, "minItems": 1}
    [request] = make_requests({"schema": True})
    body = write_body(
        GenerationRequest("m", request.prompt, None, 9, None, None, schema=schema), "m", Dialect(schema_bounds=False)
    )
    found = {"properties": {"pattern": {"type": "string", "enum": ["maxLength"]}}}
    assert body["response_format"]["json_schema"]["schema"] == found
    assert sorted(body) == ["max_tokens", "messages", "model", "response_format"], "nothing that is not set"


@given(st.text() | st.sampled_from([rule.pattern for rule in RULES]), st.sampled_from(Cause))
def test_a_search_ends_whatever_a_server_says(message: str, cause: Cause) -> None:
    [request] = make_requests({"schema": True})
    finder = DialectFinder(OpenAIParams())
    error = AttemptError("HTTP 400 Bad Request", f"unsupported: {message} max_tokens seed top_p maxLength", cause)
    while finder.learn(error, request):
        assert finder.num_refusals < MOST_REQUESTS
    assert finder.num_refusals == 0 or cause is Cause.REFUSED
    assert DialectFinder(OpenAIParams(), is_known=True).learn(error, request) is False


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extra_body": {"n": 2}}, "extra_body: n: the recipe says it elsewhere, or it is not supported"),
        ({"kind": "transformers", "extra_body": {"top_k": 5}}, "extra_body: top_k: kind transformers takes "),
        ({"server": "sglang"}, "server: only for kind serve, found kind openai; set kind: serve"),
        ({"kind": "serve", "server": "tgi"}, "server: "),
        ({"openai": {"response_format": "grammar"}}, r"openai\.response_format: "),
    ],
)
def test_params_that_do_not_fit_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        validate(EngineParams, {"kind": "openai", **changes}, "judge.engine")
