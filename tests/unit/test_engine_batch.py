"""The batch engine against a provider that misbehaves: each request answered once, and none paid for twice."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.engines import (
    Completion,
    EngineContext,
    EngineError,
    Failure,
    GenerationRequest,
    ModelId,
    Runner,
    batch_api,
    batch_provider,
    make_engine,
)
from stages.common.engines.batch_engine import BatchEngine
from stages.common.engines.batch_files import read_batches, read_result
from stages.common.engines.retry_policy import AttemptError, RetryPolicy
from stages.common.params.block import validate
from stages.common.params.engine import EngineParams
from tests.support.batch_server import batch_server
from tests.support.fault_server import stats

KEY = "sk-never-to-be-seen-0123456789"
QUICK = {"poll_s": 0.01, "max_online_requests": 4}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(batch_provider, "SETTLE_S", 0.01)
    monkeypatch.setattr(RetryPolicy, "choose_delay", lambda *_: 0.01)


@pytest.fixture
def point(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda url: monkeypatch.setenv("OPENAI_BASE_URL", url)


def requests(count: int, start: int = 0) -> list[GenerationRequest]:
    return [
        GenerationRequest("m", [{"role": "user", "content": f"{seed // 4} + 2?"}], 1.0, 100, seed)
        for seed in range(start, start + count)
    ]


def make(journal: Path, kind: str = "batch", **changes: Any) -> Any:
    block = {"kind": kind, "request_timeout_s": 20.0, "attempt_timeout_s": 5.0, "batch": {**QUICK, **changes}}
    return make_engine(validate(EngineParams, block, "engine"), ModelId("tiny"), EngineContext(journal=journal))


def run(journal: Path, wanted: list[GenerationRequest], **changes: Any) -> dict[str, Any]:
    """Responses by key of one run, with its journal."""
    with Runner(make(journal, **changes), journal, "test") as runner:
        runner.run(wanted)
        return {request.key: runner.get(request) for request in wanted}


def test_batches_are_split_and_their_results_come_in_any_order(tmp_path: Path, point: Any) -> None:
    wanted = [*requests(20), GenerationRequest("m", "2 + 2 =", 0.0, 8, None)]
    with batch_server(strange=1) as url:
        point(url)
        in_batches = run(tmp_path / "one.jsonl", wanted, max_requests=8)
        seen = stats(url)
        online = run(tmp_path / "two.jsonl", wanted, kind="openai")
    assert seen["ends"] == {"completed": 4}, "8 + 8 + 3 chats, and a text; one chat went alone, to find the dialect"
    assert seen["paid"] == len(wanted)
    assert seen["twice"] == []
    assert {key: replace(found, is_batch=False) for key, found in in_batches.items()} == online
    assert sum(found.is_batch for found in in_batches.values()) == 20
    assert not list((tmp_path / "one.batches").iterdir()), "forgotten once they are in the journal"


def test_small_files_are_made_where_bytes_are_few(tmp_path: Path, point: Any) -> None:
    wanted = [*requests(20), GenerationRequest("m", [{"role": "user", "content": "x" * 2000}], 0.0, 8, None)]
    with batch_server() as url:
        point(url)
        found = run(tmp_path / "j.jsonl", wanted, max_bytes=1500)
        assert 3 < stats(url)["ends"]["completed"] < 20
    failed = [response for response in found.values() if isinstance(response, Failure)]
    assert [each.kind for each in failed] == ["request too long"]


def test_few_requests_go_alone_and_none_where_the_recipe_says_so(tmp_path: Path, point: Any) -> None:
    with batch_server() as url:
        point(url)
        run(tmp_path / "one.jsonl", requests(4))
        assert stats(url)["calls"] == {"online": 4}
        found = run(tmp_path / "two.jsonl", requests(4), max_online_requests=0)
        assert stats(url)["calls"]["online"] == 4
        assert stats(url)["calls"]["POST /batches"] == 1
    assert all(isinstance(each, Completion) for each in found.values())


def test_passing_faults_of_calls_and_lines_cost_nothing_twice(tmp_path: Path, point: Any) -> None:
    wanted = requests(200)
    with batch_server(faults=0.4, flaky=0.1, rejected=0.05, expired=2, strange=1) as url:
        point(url)
        found = run(tmp_path / "j.jsonl", wanted, max_requests=40, max_attempts=6)
        seen = stats(url)
    kinds = {each.kind for each in found.values() if isinstance(each, Failure)}
    assert kinds == {"HTTP 400 Bad Request"}
    assert seen["twice"] == []
    assert seen["paid"] == sum(isinstance(each, Completion) for each in found.values()) > 180
    assert set(seen["ends"]) == {"completed", "expired"}
    assert len(set(seen["names"])) == len(seen["names"]), "no batch was created twice"


def test_a_line_that_the_provider_cannot_read_costs_no_other(tmp_path: Path, point: Any) -> None:
    with batch_server(bad_line="'3 + 2?'") as url:
        point(url)
        found = run(tmp_path / "j.jsonl", requests(20), max_online_requests=0)
        assert stats(url)["ends"] == {"failed": 1, "completed": 1}
    failed = [request for request in requests(20) if isinstance(found[request.key], Failure)]
    assert [request.prompt[0]["content"] for request in failed] == ["3 + 2?"] * 4  # type: ignore[index]


def test_a_batch_that_is_refused_as_a_whole_stops_with_its_reason(tmp_path: Path, point: Any) -> None:
    with batch_server(refuse_batches=1) as url:
        point(url)
        with pytest.raises(EngineError, match=r"batch batch_1 failed before any request ran: billing: no credit left"):
            run(tmp_path / "j.jsonl", requests(20))
    assert not list((tmp_path / "j.batches").iterdir())


def test_a_limit_on_what_runs_at_once_is_waited_for(tmp_path: Path, point: Any) -> None:
    with batch_server(max_running=2) as url:
        point(url)
        found = run(tmp_path / "j.jsonl", requests(60), max_requests=10)
        seen = stats(url)
    assert all(isinstance(each, Completion) for each in found.values())
    assert seen["twice"] == []
    assert seen["ends"] == {"completed": 6, "failed": 4}, "four are refused, and wait until others have finished"


def test_what_a_finished_batch_lacks_is_sent_again_and_given_up_at_last(tmp_path: Path, point: Any) -> None:
    with batch_server(missing=1) as url:
        point(url)
        found = run(tmp_path / "j.jsonl", requests(20), max_online_requests=0, max_attempts=3)
        assert stats(url)["ends"] == {"completed": 3}
    lost = [each for each in found.values() if isinstance(each, Failure)]
    assert [(each.kind, each.num_attempts) for each in lost] == [("no result", 3)]


def test_failures_come_among_the_completions_and_not_in_a_row(tmp_path: Path, point: Any) -> None:
    with batch_server(rejected=0.15) as url:
        point(url)
        responses = [response for _, response in make(tmp_path / "j.jsonl").complete(requests(400))]
    failed = [isinstance(response, Failure) for response in responses]
    assert len(failed) == 400
    assert sum(failed) > 40
    assert max(sum(failed[start : start + 50]) for start in range(350)) < 12, "the runner counts the last ones"


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours handles it."""


@pytest.mark.parametrize("step", ["upload_batch", "create_batch", "after create_batch", "poll_batch", "download_file"])
def test_a_kill_at_any_step_loses_nothing(
    tmp_path: Path, point: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    name = step.removeprefix("after ")
    done = getattr(batch_api, name)

    async def kill(*args: Any) -> Any:
        if step != name:
            await done(*args)
        raise Killed

    wanted, journal = requests(30), tmp_path / "j.jsonl"
    with batch_server() as url:
        point(url)
        with monkeypatch.context() as patch:
            patch.setattr(batch_provider, name, kill)
            with pytest.raises(Killed):
                run(journal, wanted, max_requests=15)
        found = run(journal, wanted, max_requests=15)
        seen = stats(url)
    assert all(isinstance(each, Completion) for each in found.values())
    assert (seen["paid"], seen["twice"]) == (30, [])


def test_a_kill_while_completions_are_stored_loses_nothing(tmp_path: Path, point: Any) -> None:
    wanted, journal = requests(30), tmp_path / "j.jsonl"
    with batch_server() as url:
        point(url)
        engine = make(journal, max_online_requests=0)
        with Runner(engine, journal, "test") as runner:
            exchanges = engine.complete(wanted)
            for _ in range(12):  # of these nothing gets into the journal
                next(exchanges)
            exchanges.close()
            assert runner.from_journal == 0
        found = run(journal, wanted)
        assert (stats(url)["paid"], stats(url)["twice"]) == (30, [])
    assert all(isinstance(each, Completion) for each in found.values())


def test_a_pre_flight_within_a_batch_of_before_leaves_the_rest_to_the_run(tmp_path: Path, point: Any) -> None:
    wanted, journal = requests(30), tmp_path / "j.jsonl"
    with batch_server() as url:
        point(url)
        first = make(journal, max_online_requests=0).complete(wanted)
        next(first)
        first.close()
        with Runner(make(journal, max_online_requests=0), journal, "test") as runner:
            runner.run(wanted, preflight=8)
            assert runner.new_usage.completions == 30
        assert (stats(url)["paid"], stats(url)["calls"]["POST /batches"]) == (30, 1)


def test_an_interrupt_leaves_the_batch_running_and_says_so(
    tmp_path: Path, point: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with batch_server() as url:
        point(url)
        monkeypatch.setattr("stages.common.engines.batch_engine.time.sleep", interrupt)
        with caplog.at_level(logging.INFO), pytest.raises(KeyboardInterrupt):
            run(tmp_path / "j.jsonl", requests(20))
        assert "POST /batches" in stats(url)["calls"]
    assert "batches under way at the provider: 1, with 19 requests; the same command picks them up" in caplog.text


def send(journal: Path) -> None:
    """Leave a batch of 19 requests with the provider, and one completion."""
    engine = make(journal)
    exchanges = engine.complete(requests(20))
    next(exchanges)
    next(exchanges)
    exchanges.close()
    (batch,) = read_batches(journal.with_suffix(".batches"))
    batch.state.is_fetched = False
    batch.save()


def test_another_address_or_no_batches_there_stop_with_what_to_do(tmp_path: Path, point: Any) -> None:
    journal = tmp_path / "j.jsonl"
    with batch_server() as one, batch_server() as two:
        point(one)
        send(journal)
        point(two)
        with pytest.raises(EngineError, match=r"sent to another address than OPENAI_BASE_URL names now"):
            run(journal, requests(20))
        point(one + "/nowhere")
        with pytest.raises(EngineError, match=r"HTTP 404 .*; use a provider that takes OpenAI's batches"):
            run(tmp_path / "other.jsonl", requests(20), max_online_requests=0)
        point(f"{one},{two}")
        with pytest.raises(EngineError, match=r"OPENAI_BASE_URL: expected one address for kind batch, found 2"):
            run(tmp_path / "third.jsonl", requests(20), max_online_requests=0)


def test_a_batch_that_is_gone_is_not_paid_for_again_without_a_word(
    tmp_path: Path, point: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "j.jsonl"
    with batch_server() as url:
        point(url)
        send(journal)
        monkeypatch.setattr(batch_provider, "poll_batch", lambda client, _: client.get("/gone", cast_to=object))
        with pytest.raises(EngineError, match=r"remove .*j\.batches/\w+ to send its 19 requests again"):
            run(journal, requests(20))


def test_a_damaged_state_stops_before_anything_is_paid_for_again(tmp_path: Path) -> None:
    folder = tmp_path / "j.batches" / "abc"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text("{")
    with pytest.raises(Exception, match=r"expected a batch's state, found JSONDecodeError; if the provider lists no"):
        list(make(tmp_path / "j.jsonl").complete(requests(1)))


def test_no_key_and_no_address_is_written_anywhere(
    tmp_path: Path, point: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="stages"), batch_server(faults=0.5) as url:
        point(url)
        engine = make(tmp_path / "j.jsonl")
        list(engine.complete(requests(20)))
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert written
    assert "127.0.0.1" not in written
    assert KEY not in written + caplog.text


LINES: list[tuple[Any, str]] = [
    ({"response": None, "error": {"code": "batch_expired", "message": "late"}}, "batch_expired: late"),
    ({"response": {"status_code": 429, "body": {"error": {"message": "slow"}}}}, "HTTP 429 Too Many Requests: slow"),
    ({"response": {"status_code": 400}, "error": {"error": {"message": "no"}}}, "HTTP 400 Bad Request: no"),
    ({"response": {"status_code": 200, "body": {}}}, "reply is no completion"),
    ({"response": {"status_code": 200}}, "reply is no completion"),
    ({"response": {"status_code": True}}, "no result"),
    ({"response": [], "error": "broken"}, "no result: broken"),
    ({}, "no result"),
]


@pytest.mark.parametrize(("line", "message"), LINES)
def test_what_is_no_completion_has_a_reason(line: Any, message: str) -> None:
    found = read_result(json.dumps({"custom_id": "k", **line}).encode())
    assert found is not None
    key, error = found
    assert key == "k"
    assert isinstance(error, AttemptError)
    assert str(error).startswith(message)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["custom_id", "response", "error", "status_code", "body", "choices", "code", "message"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(JSON | st.binary(max_size=30))
def test_no_line_makes_reading_fail(value: Any) -> None:
    line = value if isinstance(value, bytes) else json.dumps(value).encode()
    found = read_result(line)
    assert found is None or isinstance(found[1], Completion | AttemptError)


def test_nothing_happens_before_the_first_request(tmp_path: Path) -> None:
    engine = make(tmp_path / "j.jsonl")
    assert isinstance(engine, BatchEngine)
    assert list(engine.complete([])) == []
    engine.close()
    assert list(tmp_path.iterdir()) == []
