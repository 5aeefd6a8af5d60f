"""The runner: what is in the journal is not asked again, whatever happens; when it stops; what it counts."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Generator, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.engines import Completion, EngineError, Failure, GenerationRequest, LlmUsage, Runner
from stages.common.engines.mock_engine import MockEngine, make_mock_text
from stages.common.engines.request import Exchange
from stages.common.engines.runner import FAILURE_WINDOW
from stages.common.journal import Journal
from stages.common.params.engine import PriceParams
from tests.support.journals import describe_left_aside, drop, read_journal, rewrite_journal

SCHEMA = {
    "type": "object",
    "properties": {
        "verdict": {"enum": ["right", "wrong"]},
        "steps": {"type": "array", "items": {"type": "boolean"}, "minItems": 3, "maxItems": 3},
        "first": {"anyOf": [{"type": "integer", "minimum": 2, "maximum": 4}, {"type": "null"}]},
        "why": {"type": "string"},
        "version": {"const": 7},
    },
}

FULL_DISK = """
import resource, sys
from pathlib import Path
from stages.common.engines import EngineError, GenerationRequest, Runner
from stages.common.engines.mock_engine import MockEngine
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with Runner(MockEngine(4, latency_s=0.001), Path(sys.argv[1]), "full") as runner:
        runner.run([GenerationRequest("m", "p", 1.0, 9, seed) for seed in range(300)])
except EngineError as error:
    print(error)
"""


class Counting(MockEngine):
    """A fake engine that remembers what it was asked."""

    def __init__(self, failure_rate: float = 0.0, latency_s: float = 0.0) -> None:
        super().__init__(8, latency_s=latency_s, failure_rate=failure_rate)
        self.asked: list[int | None] = []
        self.closed = False

    def complete(self, requests: Iterable[GenerationRequest]) -> Generator[Exchange, None, None]:
        for request, result in super().complete(requests):
            self.asked.append(request.seed)
            yield request, result

    def close(self) -> None:
        self.closed = True


def requests(*seeds: int, schema: dict[str, object] | None = None) -> list[GenerationRequest]:
    return [
        GenerationRequest("m", [{"role": "user", "content": "2 + 2?"}], 1.0, 100, seed, schema=schema) for seed in seeds
    ]


@pytest.mark.parametrize("latency_s", [0.0, 0.001])
def test_each_request_is_asked_once_over_all_runs(tmp_path: Path, latency_s: float) -> None:
    path = tmp_path / "j.jsonl"
    first = Counting(latency_s=latency_s)
    with Runner(first, path, "first") as runner:
        runner.run(requests(1, 2, 2, 1, 3))
        runner.run(requests(3, 4))
        texts = [runner.get(request) for request in requests(1, 2, 3, 4)]
    assert sorted(seed for seed in first.asked if seed is not None) == [1, 2, 3, 4]
    assert first.closed
    again = Counting()
    with Runner(again, path, "again") as runner:
        runner.run(iter(requests(4, 3, 2, 1, 5)))
        assert [runner.get(request) for request in requests(1, 2, 3, 4)] == texts
        assert runner.from_journal == 4
        assert runner.new_usage.completions == 1
    assert again.asked == [5]


def test_costs_of_this_run_and_of_all(tmp_path: Path) -> None:
    prices = PriceParams(prompt=1.0, cached=0.5, completion=2.0, currency="EUR")
    with Runner(Counting(), tmp_path / "j", "first", prices) as runner:
        runner.run(requests(1, 2, 3))
        first, every = runner.report_run(), runner.report_usage()
    assert (first["from_journal"], first["completions"], every["completions"]) == (0, 3, 3)
    assert first["cost"] == every["cost"] > 0
    with Runner(Counting(), tmp_path / "j", "again", prices) as runner:
        runner.run(requests(1, 2, 3, 3))
        again = runner.report_run()
        assert runner.report_usage() == every
    assert (again["from_journal"], again["completions"], again["cost"]) == (3, 0, 0.0)


def test_failures_are_given_but_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Runner(Counting(failure_rate=1.0), path, "down") as runner:
        runner.run(requests(1, 2))
        assert [runner.get(request) for request in requests(1, 2)] == [Failure("mock failure", 1, "mock failure")] * 2
        assert runner.new_usage.report()["failures"] == {"mock failure": 2}
        with pytest.raises(KeyError):
            runner.get(requests(3)[0])
    engine = Counting()
    with Runner(engine, path, "up") as runner:
        runner.run(requests(1, 2))
        assert isinstance(runner.get(requests(1)[0]), Completion)
    assert engine.asked == [1, 2]


def test_too_many_failures_stop_and_keep_what_is_done(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    engine = Counting(failure_rate=0.3)
    with (
        Runner(engine, path, "judge M1") as runner,
        pytest.raises(EngineError, match=r"judge M1: \d+ of the last 500 .*run the same command again"),
    ):
        runner.run(requests(*range(5000)))
    assert FAILURE_WINDOW <= len(engine.asked) < FAILURE_WINDOW + 50
    with Journal(path) as journal:
        assert len(journal) == sum(
            isinstance(engine._respond(request), Completion) for request in requests(*engine_seeds(engine))
        )
    few = Counting(failure_rate=0.15)
    with Runner(few, tmp_path / "few", "judge M1") as runner:
        runner.run(requests(*range(5000)))
        assert 0.1 < len(runner.failures) / 5000 < 0.2


def engine_seeds(engine: Counting) -> list[int]:
    return [seed for seed in engine.asked if seed is not None]


@pytest.mark.parametrize(("count", "stops"), [(19, False), (20, True), (400, True)])
def test_short_runs_are_judged_at_their_end(tmp_path: Path, count: int, stops: bool) -> None:
    with Runner(Counting(failure_rate=1.0), tmp_path / "j.jsonl", "x") as runner:
        if stops:
            with pytest.raises(EngineError, match=f"x: {count} of the last {count} "):
                runner.run(requests(*range(count)))
        else:
            runner.run(requests(*range(count)))
        assert len(runner.failures) == count


def test_preflight_goes_alone_and_stops_what_would_be_of_no_use(tmp_path: Path) -> None:
    def not_json(_request: GenerationRequest, completion: Completion) -> str | None:
        return None if completion.text.startswith("{") else "no JSON"

    engine = Counting()
    with (
        Runner(engine, tmp_path / "a", "judge") as runner,
        pytest.raises(
            EngineError, match="judge: pre-flight: 8 of 8 replies are unusable: no JSON; no further request was sent"
        ),
    ):
        runner.run(requests(*range(100)), preflight=8, check=not_json)
    assert engine.asked == list(range(8))
    engine = Counting(failure_rate=1.0)
    with (
        Runner(engine, tmp_path / "b", "judge") as runner,
        pytest.raises(EngineError, match=r"pre-flight of 8 .*mock failure"),
    ):
        runner.run(requests(*range(100)), preflight=8)
    assert len(engine.asked) == 8
    engine = Counting()
    with Runner(engine, tmp_path / "c", "judge") as runner:
        runner.run(requests(*range(100), schema=SCHEMA), preflight=8, check=not_json)
    assert engine.asked == list(range(100))


def test_what_fails_again_does_not_stop_a_run_that_is_resumed(tmp_path: Path) -> None:
    with Runner(Counting(), tmp_path / "j", "x") as runner:
        runner.run(requests(*range(100)), preflight=8)
    with Runner(Counting(failure_rate=1.0), tmp_path / "j", "x") as runner:
        runner.run(requests(*range(103)), preflight=8)
        assert (runner.from_journal, len(runner.failures)) == (100, 3)


def test_a_fault_of_the_caller_keeps_what_came(tmp_path: Path) -> None:
    def breaking() -> Iterable[GenerationRequest]:
        yield from requests(*range(50))
        raise KeyError("bad row")

    with Runner(Counting(), tmp_path / "j", "x") as runner, pytest.raises(KeyError, match="bad row"):
        runner.run(breaking())
    with Journal(tmp_path / "j") as journal:
        assert len(journal) == 50


@pytest.mark.parametrize("limit", [1000, 5000, 20_001])
def test_a_full_disk_stops_with_one_line_and_loses_nothing_on_it(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "j"
    child = subprocess.run([sys.executable, "-c", FULL_DISK, str(path), str(limit)], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    assert child.stdout.count("\n") == 1
    assert "cannot be written (File too large)" in child.stdout
    with Journal(path) as journal:
        kept = len(journal)
        assert journal.num_damaged == 0
    assert kept > 0
    lines = path.read_bytes().splitlines()
    assert len(lines) == kept, "nothing torn is left"
    with Runner(MockEngine(4), path, "room again") as runner:
        runner.run([GenerationRequest("m", "p", 1.0, 9, seed) for seed in range(300)])
        assert runner.from_journal == kept
        assert runner.new_usage.completions == 300 - kept


def test_the_fake_engine_is_the_same_everywhere_and_fits_its_schema() -> None:
    wanted = requests(*range(200))
    slow = {request.key: result for request, result in MockEngine(16, 0.001, 0.1, 0.2).complete(wanted)}
    fast = {request.key: result for request, result in MockEngine(1, 0.0, 0.1, 0.2).complete(wanted)}
    assert slow == fast
    failed = [result for result in fast.values() if isinstance(result, Failure)]
    cut = [result for result in fast.values() if isinstance(result, Completion) and result.finish_reason == "length"]
    assert 5 < len(failed) < 40
    assert 15 < len(cut) < 70
    assert make_mock_text(wanted[0]).startswith("Step 1: ")
    assert "\\boxed{" in make_mock_text(wanted[0])
    for request in requests(*range(100), schema=SCHEMA):
        value = json.loads(make_mock_text(request))
        assert value["verdict"] in ("right", "wrong")
        assert len(value["steps"]) == 3
        assert all(isinstance(step, bool) for step in value["steps"])
        assert value["first"] in (2, 3, 4, None)
        assert value["version"] == 7
    assert make_mock_text(requests(1, schema={"type": "who knows"})[0]) == "null"


counts = st.none() | st.integers(0, 10**9)


@given(st.lists(st.tuples(counts, counts, counts)))
def test_usage_is_the_sum_and_money_never_negative(rows: list[tuple[int | None, int | None, int | None]]) -> None:
    usage, prices = LlmUsage(), PriceParams(prompt=1.0, cached=0.25, completion=4.0, currency="USD")
    for prompt, completion, cached in rows:
        usage.add(Completion("", "stop", prompt, completion, cached, "m"))
    assert usage.completions == len(rows)
    assert usage.prompt_tokens == sum(row[0] or 0 for row in rows)
    assert usage.compute_cost(prices) >= usage.completion_tokens * 4 / 1e6
    assert json.loads(json.dumps(usage.report(prices)))["completions"] == len(rows)


def test_money_and_the_line_that_shows_it() -> None:
    usage = LlmUsage()
    usage.add(Completion("", "stop", 2_000_000, 500_000, 1_000_000, "m"))
    usage.add(Failure("gone", 3, "HTTP 503"))
    prices = PriceParams(prompt=3.0, cached=0.5, completion=10.0, currency="EUR")
    assert usage.compute_cost(prices) == pytest.approx(3.0 + 0.5 + 5.0)
    assert usage.format_line(prices) == "in 2.0M (50% cached) out 500.0k, 8.50 EUR, failed: 1 HTTP 503"
    assert usage.format_line() == "in 2.0M (50% cached) out 500.0k, failed: 1 HTTP 503"
    both = LlmUsage()
    both.add(Completion("", "stop", 2_000_000, 500_000, 1_000_000, "m"))
    both.add(Completion("", "stop", 2_000_000, 500_000, 1_000_000, "m", is_batch=True))
    assert both.compute_cost(prices) == pytest.approx(8.5 + 8.5 / 2), "a provider's batch costs half"
    assert both.prompt_tokens == 4_000_000
    assert usage.report(prices) == {
        "completions": 1,
        "prompt_tokens": 2_000_000,
        "completion_tokens": 500_000,
        "failures": {"HTTP 503": 1},
        "cost": 8.5,
        "currency": "EUR",
    }
    assert (usage.measure_cache_hits(), LlmUsage().measure_cache_hits()) == (0.5, None)


def test_a_stored_completion_serves_the_requests_whose_fields_it_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "j.jsonl"
    plain = requests(1, 2)
    wanting = [dataclasses.replace(request, wants_token_ids=True) for request in plain]

    def run(asked: list[GenerationRequest]) -> int:
        with Runner(Counting(), path, "test") as runner:
            runner.run(asked)
            assert all(isinstance(runner.get(request), Completion) for request in asked)
            return runner.from_journal

    assert run(plain) == 0
    assert "token_ids" not in next(iter(read_journal(path).values()))
    assert run(wanting) == 0, "nobody had asked for ids"
    assert describe_left_aside(2) in caplog.text
    assert {value["token_ids"] for value in read_journal(path).values()} == {None}, "asked for, and none were given"
    caplog.clear()
    assert run(wanting) == run(plain) == 2
    rewrite_journal(path, drop("is_batch"))  # older than batches: what it holds came from none
    assert run(wanting) == 2
    assert not caplog.records
