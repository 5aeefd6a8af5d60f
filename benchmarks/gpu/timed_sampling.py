"""One timed sampling run in its own process: ``python -m benchmarks.gpu.timed_sampling '{"engine": "vllm", ...}'``.

The model has random weights, so that completions never end by themselves; both engines get the same prompts.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.training.drawn_inputs import make_inputs
from benchmarks.training.recorded_inputs import SIZES, make_model


def time_run(config: dict[str, Any]) -> dict[str, Any]:
    """Draw `config["num_tokens"]` tokens for each of `config["num_prompts"]` prompts, after a short run that is not
    timed, and return the metrics.

    `engine` is "vllm" or "generate" (transformers, all prompts in one batch); `folder` is where the model of `size` is
    kept for both.
    """
    import torch

    folder = Path(config["folder"])
    on_gpu = torch.cuda.is_available()
    prompts = _make_prompts(config)
    if not folder.exists():
        make_model(config["size"]).to(torch.bfloat16 if on_gpu else torch.float32).save_pretrained(folder)
    draw = (_start_vllm if config["engine"] == "vllm" else _start_generate)(folder, on_gpu)
    draw(prompts, 4)
    started = time.monotonic()
    num_drawn = draw(prompts, config["num_tokens"])
    seconds = time.monotonic() - started
    return {**config, "tokens_per_second": num_drawn / seconds, "seconds": seconds}


def _make_prompts(config: dict[str, Any]) -> list[list[int]]:
    rows, tokenizer, _ = make_inputs(config["num_prompts"], SIZES[config["size"]]["vocab_size"])
    ids: list[list[int]] = tokenizer([row["prompt"] for row in rows])["input_ids"]
    return ids


def _start_generate(folder: Path, on_gpu: bool) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").to("cuda" if on_gpu else "cpu")

    def draw(prompts: list[list[int]], num_tokens: int) -> int:
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts], device=model.device)
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]).to(ids)
        options = {"do_sample": True, "top_k": 0, "max_new_tokens": num_tokens, "min_new_tokens": num_tokens}
        drawn = model.generate(input_ids=ids, attention_mask=mask, **options)
        return int((drawn.shape[1] - longest) * len(prompts))

    return draw


def _start_vllm(folder: Path, on_gpu: bool) -> Any:
    if not on_gpu:
        from stages.common.engines.vllm_server import CPU_ENVIRONMENT

        os.environ |= {**CPU_ENVIRONMENT, **os.environ}
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    from vllm import LLM, SamplingParams

    # Without compiled graphs, which take a minute to make: what vLLM reaches at least.
    llm = LLM(str(folder), skip_tokenizer_init=True, dtype="auto", enforce_eager=True, max_model_len=2048)

    def draw(prompts: list[list[int]], num_tokens: int) -> int:
        params = SamplingParams(temperature=1.0, max_tokens=num_tokens, ignore_eos=True, detokenize=False)
        results = llm.generate([{"prompt_token_ids": prompt} for prompt in prompts], params, use_tqdm=False)
        return sum(len(result.outputs[0].token_ids) for result in results)

    return draw


if __name__ == "__main__":
    print(json.dumps(time_run(json.loads(sys.argv[1]))))
