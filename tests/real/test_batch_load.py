"""A judge by batches at a faulty provider, killed again and again: its labels are those of single requests, bit by bit.

Two hundred requests in the ordinary tests, twenty thousand by ``make load``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.batch_server import batch_server
from tests.support.fault_server import stats

NUM_BATCHES = 4

STAGE = """
import json, logging, sys
from stages.common.params.block import validate
from stages.common.params.judge import JudgeParams
from stages.judge import CompletionSteps, make_judge

kind, count, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
logging.basicConfig(level=logging.INFO, format="%(message)s")
batch = {"max_requests": count // NUM_BATCHES, "max_attempts": 6, "max_online_requests": 8, "poll_s": 0.05}
engine = {"kind": kind, "concurrency": 16, "request_timeout_s": 120.0, "attempt_timeout_s": 30.0, "batch": batch}
judge = make_judge(validate(JudgeParams, {"kind": "llm", "llm": {"model": "tiny", "engine": engine}}, "judge"), 0)
completions = [
    CompletionSteps(f"sample {n}", f"problem {n // 8}", f"What is {n // 8} + 1 - 1?", "It is.", (f"{n}\\n", "so", "."))
    for n in range(count)
]
with judge.open("load"):
    judgement = judge.label_steps(completions)
    rows = {name: [[label.is_correct, label.reason, label.agreement] for label in labels]
            for name, labels in judgement.labels.items()}
    names = ("sample_id", "attempt", "request_hash", "text", "error")
    replies = [[row[name] for name in names] for row in judgement.replies]
    with open(out, "w") as file:
        json.dump([rows, sorted(replies)], file, sort_keys=True)
    print(json.dumps(judge.report_usage()))
""".replace("NUM_BATCHES", str(NUM_BATCHES))


def start(folder: Path, kind: str, count: int, **environment: str) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", STAGE, kind, str(count), "labels.json"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=folder, stderr=log, env={**os.environ, "PYTHONPATH": str(root), **environment},
            stdout=subprocess.PIPE,
        )  # fmt: skip


@pytest.mark.parametrize("count", [200, pytest.param(20_000, marks=pytest.mark.load)])
def test_labels_of_killed_batches_are_those_of_single_requests(tmp_path: Path, count: int) -> None:
    faults = {"faults": 0.15, "flaky": 0.02, "rejected": 0.02, "expired": 2, "strange": 1, "create_delay": 0.5}
    with batch_server(**faults) as url:
        environment = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-load"}
        folder = tmp_path / "batch"

        def has_called(call: str, number: int) -> bool:
            return bool(stats(url)["calls"].get(call, 0) >= number)

        def is_storing() -> bool:
            journals = list(folder.rglob("*.jsonl"))
            sizes = [path.stat().st_size for path in journals if path.parent.name == "judge"]
            return has_called("GET /files/content", 1) and max(sizes, default=0) > 100_000

        kills: list[Callable[[], Any]] = [
            lambda: has_called("POST /batches", 1),  # made, and its id not yet told
            lambda: has_called("poll", 6),
        ]
        if count > 1000:
            kills.append(is_storing)
        for is_time in kills:
            stage = start(folder, "batch", count, **environment)
            while not is_time():
                assert stage.poll() is None, "ended before it was killed"
                time.sleep(0.01)
            stage.send_signal(signal.SIGKILL)
            assert stage.wait() == -signal.SIGKILL
            assert not (folder / "labels.json").exists()
        stage = start(folder, "batch", count, **environment)
        usage = json.loads(stage.communicate()[0])
        assert stage.returncode == 0, (folder / "log").read_text()[-3000:]
        seen = stats(url)
        single = start(tmp_path / "single", "openai", count, **environment)
        assert single.wait() == 0, (tmp_path / "single" / "log").read_text()[-3000:]
    assert seen["twice"] == [], "nothing was paid for twice"
    assert seen["paid"] == usage["judge"]["completions"] >= count * 0.98
    assert len(set(seen["names"])) == len(seen["names"]), "no batch was made twice"
    assert seen["ends"]["expired"] == 1
    assert seen["ends"]["completed"] >= NUM_BATCHES
    assert (folder / "labels.json").read_bytes() == (tmp_path / "single" / "labels.json").read_bytes()
    assert not any(path.suffix == ".batches" and any(path.iterdir()) for path in folder.rglob("*.batches"))
