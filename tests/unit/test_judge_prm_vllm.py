"""Scores by a vLLM server: what is asked, what is made of its reply, and how it fails. vLLM is a stand-in."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages.common.engines import vllm_server
from stages.common.engines.vllm_server import LOGS, VllmInstallation
from stages.common.errors import UserError
from stages.common.params.block import validate
from stages.common.params.judge import JudgeParams
from stages.judge import open_judge
from stages.judge.calibration.labelled_solutions import LabelledSolution, build_tables
from stages.judge.prm import vllm_scorer
from tests.support.tiny_policy import documents
from tests.support.tiny_prm import make_chat_tokenizer, write_reward_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM is the stand-in, and the repository's root a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    command = (sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model")
    monkeypatch.setattr(vllm_server, "find_vllm", lambda _python: VllmInstallation(command, True, ()))
    monkeypatch.setattr(vllm_scorer, "RECOVERY_TIMEOUT_S", 60.0)
    paths = (ROOT / "tests/support/stand_in", ROOT)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
    runtime = {"num_threads": 1, "num_workers": 1, "device": "cpu"}
    Path("params.yaml").write_text(yaml.safe_dump({"runtime": runtime}), encoding="utf-8")
    write_reward_model(tmp_path / "model", "qwen_math_prm")


def score(texts: Sequence[str], batch_size: int = 4) -> list[list[str]]:
    """The reasons of each solution's steps."""
    prm = {"model": "model", "layout": "qwen_math_prm", "engine": "vllm", "batch_size": batch_size}
    prm["vllm"] = {"tensor_parallel_size": 2, "engine_args": {"enforce_eager": False}}
    params = validate(JudgeParams, {"kind": "prm", "prm": prm}, "judge")
    rows = [
        LabelledSolution.from_first_error(f"s{at}", "Add", text.splitlines(), None) for at, text in enumerate(texts)
    ]
    with open_judge(params, 1, "judge") as judge:
        labels = judge.label(*build_tables(rows)).labels
    by_sample = {key[0]: rows["reason"].to_list() for key, rows in labels.sort("step").group_by("sample_id")}
    return [by_sample[row.sample_id] for row in rows]


def read_log() -> str:
    return "".join(path.read_text() for path in sorted(LOGS.glob("*.log")))


def test_each_step_gets_its_own_score_and_a_second_run_starts_no_server() -> None:
    texts = [text for _, text, _, _ in documents(10)]
    found = score(texts)
    assert max(map(len, found)) > 1
    expected = [f"score {1 / (1 + math.exp(-step)):.4f}" for step in range(9)]
    assert found == [expected[: len(text.splitlines())] for text in texts]
    log = read_log()
    assert log.count("request /pooling") == 3, "ten solutions, four at a time"
    [arguments] = [line for line in log.splitlines() if line.startswith("arguments ")]
    tag = make_chat_tokenizer().convert_tokens_to_ids("<extra_0>")
    for flag in (
        "--runner=pooling",
        f'--pooler-config={{"tok_pooling_type": "STEP", "step_tag_id": {tag}}}',
        "--dtype=bfloat16",
        "--tensor-parallel-size=2",
        "--no-enforce-eager",
        "--no-trust-remote-code",
        "--load-format=safetensors",
    ):
        assert flag in arguments
    assert score(texts, batch_size=2) == found
    assert len(list(LOGS.iterdir())) == 1


@pytest.mark.parametrize(
    ("says", "fault"),
    [
        ("start", "vLLM server of model: ended with code 1"),
        ("die", "vLLM server of model: ended with code 9: ValueError: Available memory on node 0"),
        ("refuse", "vLLM server of model: expected scores, found error 500: out of memory"),
        ("nonsense", "vLLM server of model: expected two logits per step, found .*index"),
        ("fewer", "vLLM server of model: expected two logits per step, found .*index"),
        ("nan", "judge.prm.dtype: model gives scores that are not numbers in bfloat16"),
    ],
)
def test_a_server_that_fails_is_named_in_one_line(says: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN", says)
    with pytest.raises(UserError, match=fault) as raised:
        score([f"{number} + 1 = 2" for number in range(40)], batch_size=1)
    assert "\n" not in str(raised.value)


@given(st.floats(-1e6, 1e6))
def test_a_probability_is_the_sigmoid_of_the_log_odds(log_odds: float) -> None:
    found = vllm_scorer._compute_probability(log_odds)
    assert 0 <= found <= 1
    assert found + vllm_scorer._compute_probability(-log_odds) == pytest.approx(1)
    if abs(log_odds) < 30:
        assert math.log(found / (1 - found)) == pytest.approx(log_odds, abs=1e-3)
