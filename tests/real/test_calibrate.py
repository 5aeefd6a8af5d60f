"""`stepkto calibrate` on ProcessBench: a rule, a tiny reward model and a model's recorded replies side by side.

Run with STEPKTO_REAL_DATA. The replies are SmolLM2's (tests/data/smollm2_judge.json), played by a server.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import LlamaConfig, LlamaForTokenClassification

from tests.support.tiny_policy import byte_level_bpe

ROOT = Path(__file__).parents[2]
BENCH = (Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data")) / "processbench/gsm8k.jsonl").resolve()
RECORDED = json.loads((ROOT / "tests/data/smollm2_judge.json").read_text(encoding="utf-8"))["replies"]

pytestmark = pytest.mark.skipif(not BENCH.is_file(), reason=f"real data is not at {BENCH}")


@contextmanager
def play_replies(texts: dict[str, str], delay_s: float) -> Iterator[tuple[str, Counter[str]]]:
    """A server's address, and how often it replied about each problem; `texts` has the replies by problem."""
    served: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = body["messages"][-1]["content"]
            problem = next(each for each in texts if each in prompt)
            time.sleep(delay_s)
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": texts[problem]}}
            reply = json.dumps({"model": "smollm2", "choices": [choice], "usage": {"prompt_tokens": 9}}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            served[problem] += 1
            self.wfile.write(reply)

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_reward_model(folder: Path, texts: list[str]) -> None:
    tokenizer = byte_level_bpe(texts)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=1024, initializer_range=0.5, num_labels=2, pad_token_id=0, eos_token_id=1,
        bos_token_id=2,
    )  # fmt: skip
    LlamaForTokenClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.slow
def test_three_kinds_of_judges_side_by_side(tmp_path: Path) -> None:
    texts = {each["id"]: each["text"] for each in RECORDED if each["shift"] == 0}
    lines = [line for line in BENCH.read_text(encoding="utf-8").splitlines() if json.loads(line)["id"] in texts]
    rows = [json.loads(line) for line in lines]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_reward_model(tmp_path / "prm", [text for row in rows for text in (row["problem"], *row["steps"])])
    engine = {"kind": "openai", "concurrency": 2}
    llm = {"engine": engine, "model": "smollm2", "reasoning": "verdict_first", "temperature": 0.7, "max_attempts": 1}
    judges = {
        "llm.yaml": {"kind": "llm", "llm": llm},
        "prm.yaml": {"kind": "prm", "prm": {"model": "prm", "dtype": "float32"}},
    }
    for name, judge in judges.items():
        (tmp_path / name).write_text(yaml.safe_dump({"seed": 1, "judge": judge}), encoding="utf-8")
    (tmp_path / "params.yaml").write_text("runtime: {device: cpu}\n", encoding="utf-8")
    command = [
        sys.executable, "-m", "tools.cli", "calibrate", "--judge=arithmetic", "--recipe=prm.yaml", "--recipe=llm.yaml",
        "--out=out.json", "rows.jsonl",
    ]  # fmt: skip
    with play_replies({row["problem"]: texts[row["id"]] for row in rows}, 0.2) as (url, served):
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENAI_BASE_URL": url,
            "OPENAI_API_KEY": "k",
        }  # fmt: skip
        child = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
        while child.poll() is None and len(served) < 12:
            time.sleep(0.01)
        child.kill()
        child.wait()
        done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert set(served) == {row["problem"] for row in rows}
        assert sum(served.values()) <= len(rows) + 3, "all but those in flight at the kill are sent once"
        before = sum(served.values())
        again = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
        assert sum(served.values()) == before
        assert again.stdout == done.stdout
    metrics = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert {name: each["solutions"] for name, each in metrics.items()} == dict.fromkeys(metrics, 24)
    assert set(metrics) == {"arithmetic", "prm.yaml", "llm.yaml"}
    assert metrics["llm.yaml"]["accuracy_on_correct"] == 0.0, "it calls no second step correct"
    assert metrics["arithmetic"]["steps"]["precision_of_incorrect"] in (1.0, None)
    assert metrics["prm.yaml"]["steps"]["unknown"] == 0.0
    assert "Qwen2.5-Math-PRM-72B" in done.stdout
