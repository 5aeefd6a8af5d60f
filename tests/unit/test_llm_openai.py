"""The openai engine against a server that misbehaves: what is tried again, what stops, what is never shown."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stages.common.engines import Completion, EngineError, Failure, GenerationRequest, Response, Runner
from stages.common.engines.openai_engine import OpenAIEngine
from stages.common.engines.retry_policy import RetryPolicy
from tests.support.fault_server import HOPELESS, PERMANENT, TRANSIENT, fault_server, stats

KEY = "sk-never-to-be-seen-0123456789"
QUICK = RetryPolicy(request_timeout_s=30, attempt_timeout_s=1, first_delay_s=0.01, max_delay_s=0.1)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def requests(count: int) -> list[GenerationRequest]:
    return [
        GenerationRequest("m", [{"role": "user", "content": f"{seed // 4} + 2?"}], 1.0, 100, seed)
        for seed in range(count)
    ]


def answer(
    url: str, asked: list[GenerationRequest], patience: RetryPolicy = QUICK, concurrency: int = 16
) -> dict[str, Response]:
    os.environ["OPENAI_BASE_URL"] = url  # restored by the fixture below
    return {request.key: result for request, result in OpenAIEngine("tiny", concurrency, patience).complete(asked)}


@pytest.fixture(autouse=True)
def base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "")


@contextmanager
def closed_port() -> Iterator[str]:
    """A base URL at which connections are refused: the port is taken and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def test_chats_and_texts_are_answered() -> None:
    text = GenerationRequest("m", "2 + 2 =", 0.0, 8, None)
    with fault_server() as url:
        results = answer(url, [*requests(20), text])
        assert stats(url)["requests"] == 21
    assert len({result.text for result in results.values() if isinstance(result, Completion)}) == 21
    assert results[text.key] == Completion(getattr(results[text.key], "text", ""), "stop", 10, 4, 6, "tiny")


@pytest.mark.parametrize("fault", TRANSIENT)
def test_every_passing_fault_is_tried_again(fault: str) -> None:
    with fault_server(once=fault) as url:
        results = answer(url, requests(12))
        seen = stats(url)
    assert all(isinstance(result, Completion) for result in results.values())
    assert seen["faults"] == {fault: 12}
    assert seen["requests"] == 24
    assert seen["twice"] == []


@pytest.mark.parametrize("status", PERMANENT)
def test_a_refusal_stops_at_once_with_one_clear_line(status: str) -> None:
    with fault_server(always=status) as url:
        with_login = url.replace("//", "//user:pass-never-to-be-seen@")
        with pytest.raises(EngineError) as caught:
            answer(with_login, requests(2000))
        assert stats(url)["requests"] <= (32 if status == "400" else 16)
    message = str(caught.value)
    assert message.startswith(f"model tiny at {url}: HTTP {status} Refused: ")
    assert "; " in message, "what to do"
    assert PERMANENT[status].split("{")[0][:20] in message
    assert len(message) <= 300
    assert message.isprintable()
    assert "never-to-be-seen" not in message
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("fault", HOPELESS)
def test_what_can_never_succeed_stops_within_seconds(fault: str) -> None:
    with fault_server(always=fault) as url, pytest.raises(EngineError) as caught:
        answer(url, requests(200))
    assert HOPELESS[fault] in str(caught.value)
    assert str(caught.value).startswith(f"model tiny at {url}: ")


def test_a_server_once_reached_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """Pages of a proxy, refused connections and torn replies, after there was a reply, are a restart."""
    patience = RetryPolicy(request_timeout_s=1.5, attempt_timeout_s=1, first_delay_s=0.01, max_delay_s=0.1)
    with fault_server() as url:
        os.environ["OPENAI_BASE_URL"] = url
        engine = OpenAIEngine("tiny", 16, patience)
        assert all(isinstance(result, Completion) for _, result in engine.complete(requests(16)))
        assert caplog.messages == []
    results = [result for _, result in engine.complete(requests(16))]
    assert all(isinstance(result, Failure) and result.kind == "no connection" for result in results)
    assert len(caplog.messages) == 1
    [message] = caplog.messages
    assert message.startswith(f"model tiny at {url}: no connection: ")
    assert "start the server, or correct its address" in message
    assert message.endswith("; trying again, for up to 1.5 s per request (said once)")


def test_the_first_failure_of_each_kind_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with fault_server(once="429") as url:
        answer(url, requests(40))
    assert [message.split(": ")[1] for message in caplog.messages] == ["HTTP 429 Too Many Requests"]


def test_a_name_that_no_server_has_stops_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(
        EngineError, match=r"model tiny at http://no-such-host\.invalid/v1: no connection: .*; start the"
    ):
        answer("http://no-such-host.invalid/v1", requests(10), RetryPolicy(3600, 900))
    assert time.monotonic() - started < 60


def test_one_refused_request_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    with fault_server(refuse="7 + 2?") as url:
        results = answer(url, requests(60))
    failed = [result for result in results.values() if isinstance(result, Failure)]
    assert [failure.kind for failure in failed] == ["HTTP 400 Refused"] * 4
    assert all("maximum context length" in failure.reason for failure in failed)
    assert len(results) == 60
    assert len(caplog.messages) == 1
    assert caplog.messages[0].endswith("; the request has failed (said once)")


def test_retry_after_is_obeyed() -> None:
    with fault_server(once="429", retry_after="0.4") as url:
        results = answer(url, requests(12))
        gaps = stats(url)["gaps"]
    assert all(isinstance(result, Completion) for result in results.values())
    assert len(gaps) == 12
    assert min(gaps) >= 0.4


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    started = time.monotonic()
    with fault_server(always="429", retry_after="3600") as url:
        [result] = answer(url, requests(1)).values()
    assert isinstance(result, Failure)
    assert result.num_attempts == 1
    assert result.kind == "HTTP 429 Too Many Requests"
    assert "slow down" in result.reason
    assert time.monotonic() - started < QUICK.request_timeout_s


@pytest.mark.parametrize("fault", ["503", "hang", "reset"])
def test_one_deadline_holds_for_all_tries(fault: str) -> None:
    patience = RetryPolicy(request_timeout_s=2.0, attempt_timeout_s=0.3, first_delay_s=0.05, max_delay_s=0.1)
    with fault_server(always=fault) as url:
        results = answer(url, requests(4), patience)
    for result in results.values():
        assert isinstance(result, Failure)
        assert result.num_attempts >= 2
        assert "within 2 s" in result.reason


def test_a_server_that_is_down_is_passed_over() -> None:
    with fault_server() as url, closed_port() as closed:
        results = answer(f"{closed},{url}", requests(200))
        assert stats(url)["answered"] == 200
    assert all(isinstance(result, Completion) for result in results.values())
    with closed_port() as closed, pytest.raises(EngineError, match=r"no connection: Connection refused; start the"):
        answer(closed, requests(1))


def test_a_server_without_the_tls_it_should_have_is_passed_over() -> None:
    with fault_server() as plain, fault_server() as url:
        secure = plain.replace("http:", "https:")
        results = answer(f"{secure},{url}", requests(60))
        with pytest.raises(EngineError, match=r"no connection: .*SSL"):
            answer(secure, requests(1))
        assert stats(url)["answered"] == 60
    assert all(isinstance(result, Completion) for result in results.values())


def test_a_family_stays_with_one_server() -> None:
    with fault_server() as one, fault_server() as two:
        answer(f"{one},{two}", requests(80))
        shares = [stats(url)["requests"] for url in (one, two)]
    assert sum(shares) == 80
    assert all(share > 0 and share % 4 == 0 for share in shares), "the four requests of a family went to one server"


def test_no_more_in_flight_than_asked_for() -> None:
    with fault_server(latency=0.05) as url:
        answer(url, requests(60), concurrency=7)
        assert stats(url)["most_at_once"] == 7


def test_a_reply_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.common.engines.openai_protocol.MAX_REPLY_BYTES", 100)
    for settings in ({}, {"always": "401"}):  # an error's body is bounded too
        with fault_server(**settings) as url, pytest.raises(EngineError, match="reply too long"):
            answer(url, requests(1), RetryPolicy(2.0, 1.0, 0.01, 0.05))


def test_a_stop_in_mid_run_keeps_the_answers_and_says_how_to_go_on(tmp_path: Path) -> None:
    with fault_server(always="429", retry_after="3600") as url:  # past every deadline: failed for good at once
        os.environ["OPENAI_BASE_URL"] = url
        engine = OpenAIEngine("tiny", 64, QUICK)
        with (
            Runner(engine, tmp_path / "j", "judge M1") as runner,
            pytest.raises(
                EngineError,
                match=r"judge M1: 500 of the last 500 .*HTTP 429 Too Many Requests.*run the same command",
            ),
        ):
            runner.run(requests(5000))
    with fault_server() as url:
        os.environ["OPENAI_BASE_URL"] = url
        with Runner(OpenAIEngine("tiny", 64, QUICK), tmp_path / "j", "judge M1") as runner:
            runner.run(requests(100))
            assert runner.new_usage.completions == 100


LOUD = """
import logging, sys
logging.basicConfig(level=logging.DEBUG)
from pathlib import Path
from stages.common.console import run
from stages.common.engines import GenerationRequest, Runner
from stages.common.engines.openai_engine import OpenAIEngine
from stages.common.engines.retry_policy import RetryPolicy
def main():
    engine = OpenAIEngine("tiny", 8, RetryPolicy(5, 1, 0.01, 0.1))
    with Runner(engine, Path("work/journal/j.jsonl"), "loud") as runner:
        runner.run(GenerationRequest("m", f"{seed} =", 1.0, 10, seed) for seed in range(60))
        print([runner.get(GenerationRequest("m", f"{seed} =", 1.0, 10, seed)) for seed in range(60)])
        print(vars(runner), repr(engine), file=sys.stderr)
    raise RuntimeError("a bug", engine, runner)
run(main)
"""


@pytest.mark.parametrize("settings", [{"faults": 0.3}, {"always": "401"}])
def test_the_key_is_in_nothing_that_a_run_leaves_behind(tmp_path: Path, settings: dict[str, object]) -> None:
    titles = set()
    with fault_server(**settings) as url:
        environment = {
            **os.environ,
            "OPENAI_BASE_URL": url.replace("//", "//user:pass-never-to-be-seen@"),
            "OPENAI_LOG": "debug",
            "PYTHONPATH": str(Path.cwd()),
        }
        command = [sys.executable, "-c", LOUD]
        with (tmp_path / "output").open("wb") as output:
            child = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=output, stderr=output)
            while child.poll() is None:
                titles.update(Path(f"/proc/{child.pid}/{name}").read_bytes() for name in ("cmdline", "comm"))
                time.sleep(0.01)
    assert child.returncode == 1
    output_text = (tmp_path / "output").read_text()
    assert "RuntimeError: ('a bug'" in output_text or "error: model tiny" in output_text
    assert "DEBUG:httpcore2" in output_text
    left = [*titles, *(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())]
    assert len(left) >= 4
    for content in left:
        assert not re.search(rb"never-to-be-seen|c2stbmV2ZXI|dXNlcjpwYXNz", content), "as it is, or in base 64"
