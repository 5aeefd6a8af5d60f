"""A trained policy in the real vLLM: the folder that training saves says the same there as in transformers."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stages.common.engines import Completion, GenerationRequest, ModelId
from stages.common.engines.openai_dialect import write_body
from stages.common.engines.openai_reply import read_completion
from stages.common.engines.retry_policy import RetryPolicy
from stages.common.engines.vllm_engine import VllmEngine
from stages.common.params.runtime import RuntimeParams
from stages.common.params.train import TrainParams
from stages.common.policies import write_manifest
from stages.common.provenance import hash_folder
from stages.train.run import train
from stages.train.training_inputs import TrainingInputs
from tests.support.small_llama import PLAIN_VLLM, write_small_llama
from tests.support.tiny_policy import documents, write_dataset

pytest.importorskip("vllm", reason="vLLM cannot be imported here; `make test-vllm` runs this with its CPU build")

ONE_STEP = TrainParams(
    method="step_kto",
    w_step=1.0,
    after_first_error="keep",
    beta=1.0,
    learning_rate=2e-3,
    warmup_steps=0,
    lr_scheduler_type="constant",
    num_epochs=1,
    batch_size=4,
    micro_batch_size=None,
    gradient_accumulation_steps=1,
    max_grad_norm=1.0,
    max_length=128,
    dtype="float32",
    gradient_checkpointing=False,
    save_steps=50,
    lora=None,
    launch=None,
    report_to=None,
)
TOKENS = 16


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one optimiser step makes of a small Llama, as stage train saves it."""
    place = tmp_path_factory.mktemp("trained")
    start = write_small_llama(place / "M0")
    write_manifest(start, {"kind": "test"})
    write_dataset(place / "rows", count=4)
    runtime = RuntimeParams(num_threads=1, num_workers=1, distributed=None, device="cpu")
    report, work = place / "report.json", place / "work"
    train(
        TrainingInputs(place / "rows", start, ONE_STEP, seed=1), runtime, place / "M1", report, work, place / "journal"
    )
    assert json.loads(report.read_text())["num_steps"] == 1
    assert hash_folder(place / "M1")["model.safetensors"] != hash_folder(start)["model.safetensors"]
    return place / "M1"


def decode(policy: Path, prompts: list[str]) -> list[list[int]]:
    """Token ids that transformers decodes greedily, prompt by prompt."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(policy)
    model = AutoModelForCausalLM.from_pretrained(policy).eval()
    found = []
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            output = model.generate(ids, do_sample=False, max_new_tokens=TOKENS)
        found.append(output[0, ids.shape[1] :].tolist())
    return found


def test_the_saved_policy_decodes_in_vllm_as_in_transformers(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = [prompt for prompt, *_ in documents(6, seed=1)]
    expected = decode(trained, prompts)
    assert len({tuple(ids) for ids in expected}) > 1, "the answers tell prompts apart"
    assert expected != decode(trained.with_name("M0"), prompts), "and policies"
    drawn: dict[str, list[int]] = {}

    def write_and_ask_for_ids(request: GenerationRequest, model_name: str) -> dict[str, Any]:
        return {**write_body(request, model_name), "return_token_ids": True}

    def read_ids(content_type: str, reply: bytes) -> Completion:
        choice = json.loads(reply)["choices"][0]
        drawn[choice["text"]] = choice["token_ids"]
        return read_completion(content_type, reply)

    monkeypatch.setattr("stages.common.engines.vllm_engine.write_body", write_and_ask_for_ids)
    monkeypatch.setattr("stages.common.engines.openai_engine.read_completion", read_ids)
    greedy = [GenerationRequest("trained", prompt, 0.0, TOKENS, seed=None) for prompt in prompts]
    with closing(VllmEngine(ModelId(str(trained)), PLAIN_VLLM, 8, RetryPolicy(600, 600))) as engine:
        answers = {request.key: answer for request, answer in engine.complete(greedy)}
    texts = [answer.text for request in greedy if isinstance(answer := answers[request.key], Completion)]
    assert [drawn[text] for text in texts] == expected
