"""A fifth of all tries at fault and two kills: every request answered once, none paid for in vain, memory flat.

Three answers in ten hold thinking: in tags, in a field of its own, or cut before it is closed.

Two thousand requests in the ordinary tests, twenty thousand by ``make load``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from stages.common.thinking import split_thinking
from tests.support.fault_server import THINKING, TRANSIENT, fault_server, stats

CONCURRENCY = 64
KILLS_AT = (0.3, 0.65)
"""Shares of the requests that the server has answered when the stage is killed."""

ON_THEIR_WAY = 32
"""Answers that may lie between a server and the disk at a kill, besides those in flight."""

GROWTH_MB = 15
"""Memory that may come on top from the 500th answer of the last run to its end; 20,000 prompts are 100 MB."""

STAGE = f"""
import json, resource, sys
from pathlib import Path
from stages.common.engines import Completion, GenerationRequest, Runner
from stages.common.engines.openai_engine import OpenAIEngine
from stages.common.engines.retry_policy import RetryPolicy

early, count = 0, int(sys.argv[3])

def memory():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 2**20

def requests():
    global early
    for seed in range(count):
        if not early and runner.new_usage.completions >= 500:
            early = memory()
        prompt = f"Problem {{seed // 8}}: " + "x" * 5000
        yield GenerationRequest("policy", [{{"role": "user", "content": prompt}}], 1.0, 100, seed)

engine = OpenAIEngine("tiny", {CONCURRENCY}, RetryPolicy(60, 3, 0.05, 1))
with Runner(engine, Path(sys.argv[1]), "load") as runner:
    runner.run(requests(), total=count, preflight=8)
    late = memory()
    with open(sys.argv[2], "w") as out:
        for request in requests():
            answer = runner.get(request)
            assert isinstance(answer, Completion), answer
            out.write(json.dumps([request.key, answer.text, answer.reasoning, answer.finish_reason]) + "\\n")
    print(json.dumps([early, late, runner.from_journal, runner.new_usage.completions]))
"""


def check_answer(text: str, reasoning: str | None, finish_reason: str) -> str:
    """How the answer came, one of `THINKING` or empty; raise where thinking and text are not as they were sent."""
    split = split_thinking(text)
    thinking = reasoning or split.thinking
    word = thinking.removeprefix("I think of ") if thinking else split.rest
    assert re.fullmatch("[0-9a-f]{64}", word)
    is_cut = finish_reason == "length"
    assert split.rest == ("" if is_cut else word)
    assert split.is_closed is (not is_cut or reasoning is not None)
    if not thinking:
        return ""
    return ("cut in " if is_cut else "") + ("tags" if reasoning is None else "field")


@pytest.mark.slow
@pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=pytest.mark.load)])
def test_nothing_is_lost_and_nothing_paid_twice_under_load(tmp_path: Path, count: int) -> None:
    journal, out = tmp_path / "journal.jsonl", tmp_path / "out.jsonl"
    with fault_server(faults=0.2, latency=0.005, thinking=0.3) as url, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # a port at which connections are refused
        refusing = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        environment = {**os.environ, "OPENAI_BASE_URL": f"{url},{refusing}", "OPENAI_API_KEY": "sk-load"}
        command = [sys.executable, "-c", STAGE, str(journal), str(out), str(count)]
        for kill_at in KILLS_AT:
            child = subprocess.Popen(command, env=environment)
            while stats(url)["answered"] < kill_at * count:
                assert child.poll() is None, "ended before it was killed"
                time.sleep(0.05)
            child.send_signal(signal.SIGKILL)
            assert child.wait() == -signal.SIGKILL
            assert not out.exists()
        last = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        seen = stats(url)
    early, late, from_journal, answers = json.loads(last.stdout)
    assert late - early < GROWTH_MB
    assert from_journal + answers == count
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len({row[0] for row in rows}) == len(rows) == count
    kinds = Counter(check_answer(*row[1:]) for row in rows)
    assert set(kinds) == {"", *THINKING}
    assert kinds.total() == len({"".join(map(str, row[1:])) for row in rows}), "each answer is another request's"
    assert sum(seen["thinking"].values()) == seen["answers"]
    assert all(seen["thinking"][kind] >= number for kind, number in kinds.items())
    assert seen["answered"] == count
    # A kill costs the answers that were on their way; a request that hung after the first may lose one at the next too.
    assert len(seen["twice"]) <= seen["answers"] - count <= len(KILLS_AT) * (CONCURRENCY + ON_THEIR_WAY)
    assert seen["most_answers"] <= 1 + len(KILLS_AT)
    assert seen["most_at_once"] <= CONCURRENCY
    assert set(seen["faults"]) == set(TRANSIENT)
    assert sum(seen["faults"].values()) > 0.15 * seen["requests"]
