"""The serve engine: its server is started once, waited for, asked, and ended whatever happens."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.common.engines import Completion, EngineError, GenerationRequest, ModelId, Runner
from stages.common.engines.retry_policy import RetryPolicy
from stages.common.engines.vllm_server import LOGS, ServeEngine, make_serve_command
from stages.common.params.engine import VllmParams
from tests.support.small_llama import PLAIN_VLLM

ROOT = Path(__file__).resolve().parents[2]
REAL_VLLM = importlib.util.find_spec("vllm") is not None
QUICK = RetryPolicy(request_timeout_s=30, attempt_timeout_s=5, first_delay_s=0.01, max_delay_s=0.1)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM is the stand-in, and the repository's root a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "tests/support/stand_in"))
    paths = (ROOT / "tests/support/stand_in", ROOT)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-to-be-seen")
    monkeypatch.setenv("HF_TOKEN", "hf-never-to-be-seen")


def requests(count: int) -> list[GenerationRequest]:
    return [
        GenerationRequest("m", [{"role": "user", "content": f"{seed} + 2?"}], 1.0, 100, seed) for seed in range(count)
    ]


def engine(start_timeout_s: float = 60.0, vllm: VllmParams = PLAIN_VLLM) -> ServeEngine:
    return ServeEngine(ModelId("org/tiny", "c0ffee"), vllm, 16, QUICK, start_timeout_s)


def log_text() -> str:
    [log] = LOGS.glob("*.log")
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


@pytest.mark.parametrize("named_vllm", [True, False])
@pytest.mark.usefixtures("stand_in")
def test_a_server_is_started_once_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named_vllm: bool) -> None:
    def find(name: str) -> None:
        if not named_vllm:
            raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("stages.common.engines.vllm_server.distribution", find)
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
            "vLLM server of org/tiny: ended with code 1; its last lines are shown",
            "CUDA out of memory",
        ),
        ("slow", 1.0, "vLLM server of org/tiny: not ready after 1 s", "processes"),
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
        pytest.raises(EngineError, match="vLLM server of org/tiny: ended with code 9"),
    ):
        runner.run(requests(1000))
    assert time.monotonic() - started < QUICK.request_timeout_s, "it was not waited for until the deadline"
    assert 0 < runner.new_usage.completions <= 29
    assert caplog.text.count("the engine died") == 1
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


@pytest.mark.usefixtures("stand_in")
def test_settings_become_flags() -> None:
    vllm = PLAIN_VLLM.model_copy(
        update={
            "tensor_parallel_size": 8,
            "quantization": "fp8",
            "engine_args": {"enforce_eager": True, "enable_chunked_prefill": False, "max_num_seqs": 64},
        }
    )
    command = " ".join(make_serve_command(ModelId("org/tiny", "c0ffee"), vllm, "/s"))
    assert (
        " org/tiny --uds /s --revision c0ffee --tokenizer-revision c0ffee --dtype auto --quantization fp8 " in command
    )
    assert "--tensor-parallel-size 8" in command
    assert "--max-model-len" not in command
    assert "--generation-config vllm" in command
    assert command.endswith("--enforce-eager --no-enable-chunked-prefill --max-num-seqs 64 --no-trust-remote-code")


def test_a_folder_too_long_for_a_socket_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * 80)
    with pytest.raises(EngineError, match=r"TMPDIR: /xxx.* is too long"):
        list(engine().complete(requests(1)))


def test_a_missing_vllm_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(EngineError, match="vLLM is not installed"):
        make_serve_command(ModelId("org/tiny"), PLAIN_VLLM, "/s")


@pytest.mark.skipif(not REAL_VLLM, reason="vLLM is not installed")
def test_real_vllm_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.tiny_policy import write_policy

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name, value in {"KVCACHE_SPACE": "1", "OMP_THREADS_BIND": "nobind"}.items():
        monkeypatch.setenv(f"VLLM_CPU_{name}", value)
    policy = write_policy(tmp_path / "policy", hidden=64)  # heads of 32, the smallest that vLLM takes
    vllm = PLAIN_VLLM.model_copy(
        update={"dtype": "float32", "engine_args": {"enforce_eager": True, "enable_chunked_prefill": False}}
    )
    asked = [GenerationRequest("m", f"Add [{seed // 4}]\n", 1.0, 12, seed) for seed in range(24)]
    schema = {"type": "object", "properties": {"right": {"type": "boolean"}}, "required": ["right"]}
    asked.append(GenerationRequest("m", [{"role": "user", "content": "Is 2 + 2 = 4?"}], 1.0, 60, 1, schema=schema))
    serving = ServeEngine(ModelId(str(policy)), vllm, 8, RetryPolicy(120, 60), start_timeout_s=300)
    try:
        first, again = ({request.key: result for request, result in serving.complete(asked)} for _ in range(2))
    finally:
        serving.close()
    for request in asked:
        one, two = first[request.key], again[request.key]
        assert isinstance(one, Completion)
        assert isinstance(two, Completion)
        assert one.text == two.text, "a seed fixes a sample"
        assert one.finish_reason in ("stop", "length")
        assert one.prompt_tokens
        assert two.cached_tokens is not None
    assert len({getattr(first[request.key], "text", "") for request in asked[:4]}) > 1
    judged = first[asked[-1].key]
    assert isinstance(judged, Completion)
    assert judged.finish_reason == "length" or isinstance(json.loads(judged.text)["right"], bool)
