"""A trained policy in the real vLLM: the folder that training saves says the same there as in transformers."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stages.common.engines import Completion, EngineContext, GenerationRequest, ModelId, make_engine
from stages.common.engines.retry_policy import RetryPolicy
from stages.common.engines.vllm_engine import VllmEngine
from stages.common.params.engine import EngineParams
from stages.common.params.runtime import RuntimeParams
from stages.common.params.train import TrainParams
from stages.common.policies import write_manifest
from stages.common.provenance import hash_folder
from stages.train.run import train
from stages.train.training_inputs import TrainingInputs
from tests.support.sampled_rows import check_log_probs
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
RUNTIME = RuntimeParams(num_threads=1, num_workers=1, distributed=None, device="cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one optimiser step makes of a small Llama, as stage train saves it."""
    place = tmp_path_factory.mktemp("trained")
    start = write_small_llama(place / "M0")
    write_manifest(start, {"kind": "test"})
    write_dataset(place / "rows", count=4)
    report, work = place / "report.json", place / "work"
    train(
        TrainingInputs(place / "rows", start, ONE_STEP, seed=1), RUNTIME, place / "M1", report, work, place / "journal"
    )
    assert json.loads(report.read_text())["num_steps"] == 1
    assert hash_folder(place / "M1")["model.safetensors"] != hash_folder(start)["model.safetensors"]
    return place / "M1"


def generate(folder: Path, requests: list[GenerationRequest]) -> list[Completion]:
    """vLLM's completions of `requests`, in their order."""
    with closing(VllmEngine(ModelId(str(folder)), PLAIN_VLLM, 8, RetryPolicy(600, 600))) as engine:
        found = {request.key: response for request, response in engine.complete(requests)}
    return [completion for request in requests if isinstance(completion := found[request.key], Completion)]


def generate_by_transformers(folder: Path, requests: list[GenerationRequest]) -> list[Completion]:
    """The same by transformers."""
    params = EngineParams.model_validate({"kind": "transformers"})
    with closing(make_engine(params, ModelId(str(folder)), EngineContext(RUNTIME))) as engine:
        found = {request.key: response for request, response in engine.complete(requests)}
    return [completion for request in requests if isinstance(completion := found[request.key], Completion)]


def test_the_saved_policy_decodes_in_vllm_as_in_transformers_whatever_its_generation_config_says(trained: Path) -> None:
    """Token for token, with a repetition penalty of 1.3 in generation_config.json, which neither follows."""
    prompts = [prompt for prompt, *_ in documents(6, seed=1)]
    greedy = [GenerationRequest("m", prompt, 0.0, TOKENS, seed=None, wants_token_ids=True) for prompt in prompts]
    expected = [each.token_ids for each in generate_by_transformers(trained, greedy)]
    assert len(set(expected)) > 1, "the answers tell prompts apart"
    start = trained.with_name("M0")
    assert expected != [each.token_ids for each in generate_by_transformers(start, greedy)], "and policies"
    path = trained / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"repetition_penalty": 1.3}))
    assert [each.token_ids for each in generate_by_transformers(trained, greedy)] == expected
    assert [each.token_ids for each in generate(trained, greedy)] == expected


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_the_trainer_gives_every_token_that_vllm_sampled_its_log_prob(
    trained: Path, tmp_path: Path, temperature: float
) -> None:
    """Per token and per step, to 1e-4 nats, prompts as texts and as chats."""
    start = trained.with_name("M0")
    texts: list[Any] = [prompt for prompt, *_ in documents(3, seed=2)]
    prompts = [*texts, *([{"role": "user", "content": text}] for text in texts)]
    requests = [
        GenerationRequest("m", prompt, temperature, TOKENS, seed, wants_token_ids=True)
        for prompt in prompts
        for seed in range(3)
    ]
    completions = generate(start, requests)
    assert len(completions) == len(requests)
    for is_chat in (False, True):
        chosen = [at for at, request in enumerate(requests) if isinstance(request.prompt, list) is is_chat]
        check_log_probs(start, [requests[at].prompt for at in chosen], [completions[at] for at in chosen], tmp_path)
