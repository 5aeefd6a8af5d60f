"""What our vllm engine, with its server and its journal, costs over plain vLLM: same prompts, seeds and texts.

``make bench-vllm`` prints per round plain ``LLM.generate`` in this process with one entry per sample, the same with
``n`` samples per entry, and our engine through a `Runner`; last the medians of each round's own ratios to plain vLLM.
The model is small, so that this is the most that the server can cost: it does the same work for a large one.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from stages.common.engines import Completion, GenerationRequest, ModelId, Runner
from stages.common.engines.retry_policy import RetryPolicy
from stages.common.engines.vllm_engine import VllmEngine
from stages.common.engines.vllm_server import CPU_ENVIRONMENT, make_options
from tests.support.small_llama import PLAIN_VLLM, write_small_llama

PROMPTS = 24
SAMPLES = 8
MAX_TOKENS = 24
ROUNDS = 9
AT_ONCE = 64
"""Sequences at once: a third of the samples, so that sequences join and leave."""

Samples = list[tuple[str, int]]
"""Text and number of tokens of every sample."""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name))


def compare(place: Path) -> None:
    """Run the rounds and print them."""
    model = ModelId(str(write_small_llama(place / "model", hidden=256, layers=5, heads=4)))
    settings = PLAIN_VLLM.model_copy(update={"engine_args": {"max_num_seqs": AT_ONCE}})
    ours = VllmEngine(model, settings, 2 * AT_ONCE, RetryPolicy(3600, 3600))
    list(ours.complete([GenerationRequest("m", "warm", 1.0, 1, 0)]))
    os.environ |= {**CPU_ENVIRONMENT, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", **os.environ}
    import vllm

    options = make_options(model, settings, is_cpu=True, socket="")
    shared = ("dtype", "load_format", "generation_config", "enforce_eager", "enable_chunked_prefill", "max_num_seqs")
    llm = vllm.LLM(model.source, **{name: options[name] for name in shared})
    plain(llm, ["warm"])
    ways: dict[str, Callable[[list[str], Path], Samples]] = {
        "plain vLLM": lambda prompts, _: plain(llm, prompts),
        "plain vLLM, n": lambda prompts, _: grouped(llm, prompts),
        "our engine": lambda prompts, journal: through_runner(ours, prompts, journal),
    }
    rounds = []
    for number in range(ROUNDS):
        prompts = [f"Round {number}, problem {at}: add [{at}, {at + 1}] and say how. " * 6 for at in range(PROMPTS)]
        order = list(ways)[:: 1 if number % 2 else -1]
        measured = {way: measure(ways[way], prompts, place / f"{number}.jsonl") for way in order}
        assert len({str(drawn) for drawn, _ in measured.values()}) == 1, "not the same samples"
        rounds.append(measured)
        for way in ways:
            print(f"round {number + 1}  {way:14} {measured[way][1]:6.0f} tokens/s")
    for way in ways:
        print(f"median   {way:14} {median(it[way][1] / it['plain vLLM'][1] for it in rounds):8.1%} of plain vLLM")
    ours.close()


def measure(draw: Callable[[list[str], Path], Samples], prompts: list[str], journal: Path) -> tuple[Samples, float]:
    """What was drawn, and tokens per second."""
    started = time.perf_counter()
    drawn = draw(prompts, journal)
    return drawn, sum(count for _, count in drawn) / (time.perf_counter() - started)


def plain(llm: Any, prompts: list[str]) -> Samples:
    """One entry per sample, each with its own seed."""
    entries = [prompt for prompt in prompts for _ in range(SAMPLES)]
    settings = [params(seed=at % SAMPLES) for at in range(len(entries))]
    return outputs(llm.generate(entries, settings, use_tqdm=False))


def grouped(llm: Any, prompts: list[str]) -> Samples:
    """One entry per prompt: vLLM seeds the samples seed, seed + 1, ..."""
    return outputs(llm.generate(prompts, params(seed=0, n=SAMPLES), use_tqdm=False))


def params(**some: Any) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(temperature=1.0, max_tokens=MAX_TOKENS, output_kind=RequestOutputKind.FINAL_ONLY, **some)


def outputs(results: list[Any]) -> Samples:
    return [(sample.text, len(sample.token_ids)) for result in results for sample in result.outputs]


def through_runner(engine: VllmEngine, prompts: list[str], journal: Path) -> Samples:
    """As a stage asks: every request hashed, every answer on disk."""
    requests = [GenerationRequest("m", prompt, 1.0, MAX_TOKENS, seed) for prompt in prompts for seed in range(SAMPLES)]
    runner = Runner(_Kept(engine), journal, "bench")
    with runner:
        runner.run(requests)
        answers = [runner.get(request) for request in requests]
    return [(a.text, a.completion_tokens or 0) for a in answers if isinstance(a, Completion)]


class _Kept:
    """The engine, but not closed with the runner: the next round uses it."""

    def __init__(self, engine: VllmEngine) -> None:
        self.complete = engine.complete

    def close(self) -> None:
        """Stays open."""


if __name__ == "__main__":
    main()
