"""Sampled completions as training rows, and the check that a trainer gives their tokens the sampler's log-probs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stages.common.engines import Completion
from stages.common.policies import Policy
from stages.common.tables import DropLog
from stages.common.token_ids import hash_tokenizer
from stages.train.trainer.encoding import encode_dataset
from stages.train.trainer.preference_rows import LabelledCompletion
from stages.train.trainer.sampler_check import compare_with_sampler


def make_row(
    prompt: Any, completion: Completion, tokenizer: Any, name: str = "r", label: bool | None = True
) -> LabelledCompletion:
    """`completion` in steps of three characters."""
    ends = [*range(3, len(completion.text), 3), len(completion.text)]
    spans = list(zip([0, *ends], ends, strict=False))
    is_cut, ids = completion.finish_reason == "length", list(completion.token_ids or ())
    known = [at % 2 == 0 for at in range(len(spans))]
    return LabelledCompletion(
        name,
        prompt,
        completion.text,
        label,
        spans,
        known,
        is_cut,
        ids,
        hash_tokenizer(tokenizer),  # type: ignore[arg-type]
    )


def check_log_probs(folder: Path, prompts: list[Any], completions: list[Completion], place: Path) -> None:
    """Assert that a Step-KTO trainer of the model in `folder`, before its first step, gives every token of
    `completions` of `prompts`, and every step of three characters, the log-prob that their sampler gave, to 1e-4 nats.
    """
    import torch

    from stages.train import StepKTOConfig, StepKTOTrainer
    from stages.train.trainer.step_logps import compute_step_logps

    policy = Policy(folder, "a" * 32, None, None)
    tokenizer = policy.load_tokenizer()
    rows = [make_row(prompts[at], each, tokenizer, f"s{at}") for at, each in enumerate(completions)]
    sampled = {f"s{at}": sum(each.logprobs or ()) for at, each in enumerate(completions)}
    data = encode_dataset(rows, tokenizer, "keep", None, DropLog(), sampled)
    assert list(data["completion_ids"]) == [list(each.token_ids or ()) for each in completions]
    texts = tokenizer([each.text for each in completions])["input_ids"]
    assert texts != list(data["completion_ids"]), "the texts alone have other tokens"
    args: dict[str, Any] = {"output_dir": str(place), "per_device_train_batch_size": 4, "report_to": "none"}
    args |= {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "disable_tqdm": True}
    config = StepKTOConfig(**args, precompute_ref_log_probs=True)
    trainer = StepKTOTrainer(policy.load_model(), config, data, tokenizer)
    found = compare_with_sampler(trainer.train_dataset, trainer.train_dataset["ref_step_logps"])
    assert found is not None
    assert (found["samples"], found["max"] < 1e-5) == (len(completions), True)
    ours: list[list[float]] = []
    for batch in trainer.get_train_dataloader():
        with torch.no_grad():
            _, output = compute_step_logps(trainer.model, batch, "")
        is_completion = batch["completion_mask"][:, 1:].bool()
        ours += [row[mask].tolist() for row, mask in zip(output.log_probs, is_completion, strict=True)]
    for at, completion in enumerate(completions):
        theirs = list(completion.logprobs or ())
        assert ours[at] == pytest.approx(theirs, abs=1e-4)
        by_step = [0.0] * (data["step_of_token"][at][-1] + 1)
        for step, logp in zip(data["step_of_token"][at], theirs, strict=True):
            by_step[step] += logp
        assert trainer.train_dataset["ref_step_logps"][at] == pytest.approx(by_step, abs=1e-4)
