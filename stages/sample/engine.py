"""The transformers engine: batches of prompts through one model, every sample with random draws of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.common.params.runtime import RuntimeParams
from stages.common.params.sample import SampleParams
from stages.common.policies import Policy
from stages.common.prompt import prompt_ids

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Request:
    """One sample to draw: `key` identifies everything that determines it, `seed` starts its random draws."""

    key: str
    problem_id: str
    problem: str
    index: int
    seed: int


class SeededGumbel:
    """Turns greedy decoding into sampling: adds Gumbel noise to log-probabilities at the given temperature.

    The largest of logits / temperature + Gumbel noise is an exact draw from the softmax, and each row's noise comes
    from its own seed, so a sample does not depend on which others are drawn beside it.
    """

    def __init__(self, seeds: Sequence[int], temperature: float) -> None:
        self._generators = [np.random.Generator(np.random.Philox(seed)) for seed in seeds]
        self._temperature = temperature

    def __call__(self, _input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores` of shape [rows, vocabulary]; returns the same shape."""
        import torch

        noise = np.stack([g.gumbel(size=scores.shape[1]) for g in self._generators])
        return scores / self._temperature + torch.from_numpy(noise).to(scores)


class TransformersEngine:
    """Loads the policy at the first request, so that a run served from the journal needs no model."""

    def __init__(self, policy: Policy, params: SampleParams, runtime: RuntimeParams) -> None:
        self._policy = policy
        self._params = params
        self._runtime = runtime
        self._loaded: tuple[Any, Any, str] | None = None

    def _load(self) -> tuple[Any, Any, str]:
        if self._loaded is None:
            import torch

            torch.set_num_threads(self._runtime.num_threads)
            cuda = self._runtime.device != "cpu" and torch.cuda.is_available()
            if self._runtime.device == "cuda" and not cuda:
                raise ValueError("runtime.device: cuda is asked for and torch finds none")
            device = "cuda" if cuda else "cpu"
            tokenizer = self._policy.load_tokenizer()
            tokenizer.padding_side = "left"
            if tokenizer.pad_token_id is None:
                tokenizer.pad_token = tokenizer.eos_token
            self._loaded = self._policy.load_model(device, "bfloat16" if cuda else "float32"), tokenizer, device
        return self._loaded

    def complete(self, requests: Sequence[Request]) -> list[dict[str, Any]]:
        """Draw one batch; returns per request ``{text, finish_reason, prompt_tokens, completion_tokens}``."""
        import torch
        from transformers import LogitsProcessorList

        model, tokenizer, device = self._load()
        prompts = [prompt_ids(r.problem, self._params.prompt, tokenizer) for r in requests]
        batch = tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(device)
        width = batch["input_ids"].shape[1]
        processors = LogitsProcessorList()
        if self._params.temperature > 0:
            processors.append(SeededGumbel([r.seed for r in requests], self._params.temperature))
        with torch.inference_mode():
            output = model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                do_sample=False,
                logits_processor=processors,
                max_new_tokens=self._params.max_tokens,
                pad_token_id=tokenizer.pad_token_id,
                temperature=None,
                top_p=None,
                top_k=None,
            )
        ends = model.generation_config.eos_token_id
        stops = set(ends if isinstance(ends, list) else [ends])
        completions = []
        for prompt, row in zip(prompts, output[:, width:].tolist(), strict=True):
            length = next((at for at, token in enumerate(row) if token in stops), None)
            tokens = row if length is None else row[:length]
            completions.append(
                {
                    "completion": tokenizer.decode(tokens, skip_special_tokens=True),
                    "finish_reason": "length" if length is None else "stop",
                    "prompt_tokens": len(prompt),
                    "completion_tokens": len(tokens) + (length is not None),
                }
            )
        return completions
