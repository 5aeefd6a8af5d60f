"""The vllm engine against the real vLLM: a small Llama made on the spot, on the CPU. Skips where there is no vLLM."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import psutil
import pytest

from stages.common.engines import Completion, EngineError, Failure, GenerationRequest, ModelId, Runner
from stages.common.engines.mock_engine import MockEngine
from stages.common.engines.retry_policy import RetryPolicy
from stages.common.engines.vllm_engine import VllmEngine
from tests.support.small_llama import CONTEXT, PLAIN_VLLM, write_small_llama

pytest.importorskip("vllm", reason="vLLM cannot be imported here; `make test-vllm` runs this with its CPU build")

BLOCK = 128
"""Tokens per block of the prefix cache, on a CPU."""

QUESTION = "Add [1, 2, 3] and say how. " * 12
"""Longer than a block."""

SCHEMA = {
    "type": "object",
    "properties": {
        "verdicts": {"type": "array", "items": {"enum": ["right", "wrong"]}, "minItems": 3, "maxItems": 3},
        "why": {"type": "string", "maxLength": 12},
    },
    "required": ["verdicts", "why"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_llama(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[VllmEngine]:
    made = make(folder)
    yield made
    made.close()


def make(folder: Path) -> VllmEngine:
    return VllmEngine(ModelId(str(folder)), PLAIN_VLLM, 256, RetryPolicy(600, 600))


def ask(engine: VllmEngine, *requests: GenerationRequest) -> list[Completion | Failure]:
    """Results in the order of `requests`, which must all be different."""
    found = {request.key: result for request, result in engine.complete(requests)}
    assert len(found) == len(requests)
    return [found[request.key] for request in requests]


def texts(results: list[Completion | Failure]) -> list[str]:
    return [result.text for result in results if isinstance(result, Completion)]


def samples(number: int, prompt: Any = QUESTION, **changes: Any) -> list[GenerationRequest]:
    return [replace(GenerationRequest("m", prompt, 1.0, 24, seed), **changes) for seed in range(number)]


def test_a_sample_depends_on_its_seed_and_on_nothing_beside_it(engine: VllmEngine) -> None:
    drawn = texts(ask(engine, *samples(8)))
    assert len(set(drawn)) == 8, "eight seeds, eight samples"
    assert texts(ask(engine, *samples(8)[::-1])) == drawn[::-1], "asked again, in another order"
    assert texts(ask(engine, samples(8)[5])) == [drawn[5]], "asked alone"
    crowd = [GenerationRequest("m", f"Add [{number}]", 1.0, 9, number) for number in range(40)]
    assert texts(ask(engine, *crowd[:20], *samples(8), *crowd[20:]))[20:28] == drawn, "asked in a crowd"


def test_every_seed_of_31_bits_is_taken(engine: VllmEngine) -> None:
    requests = [GenerationRequest("m", QUESTION, 1.0, 24, seed) for seed in (0, 1, 2**31 - 1)]
    drawn = texts(ask(engine, *requests))
    assert len(set(drawn)) == len(requests)
    assert texts(ask(engine, *requests)) == drawn


def test_temperature_zero_is_greedy_and_as_transformers_decodes(engine: VllmEngine, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Add [4, 5]"}]
    plain = "Add [4, 5]\n"
    prompts = [tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)]
    prompts.append(tokenizer(plain)["input_ids"])
    greedy = [GenerationRequest("m", prompt, 0.0, 12, seed=None) for prompt in (chat, plain)]
    for result, ids in zip(ask(engine, *greedy), prompts, strict=True):
        assert isinstance(result, Completion)
        with torch.inference_mode():
            output = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=12)[0, len(ids) :]
        rest = tokenizer.decode(output, skip_special_tokens=True).removeprefix(result.text)
        assert set(rest) <= {"\ufffd"}, "the same, but for the bytes of a character that was cut at the end"
        assert result.prompt_tokens == len(ids), "the model's own template, with its generation prompt"
        assert result.completion_tokens == len(output)


def test_finish_reasons(engine: VllmEngine) -> None:
    long = samples(24, max_tokens=CONTEXT)
    results = [result for result in ask(engine, *long) if isinstance(result, Completion)]
    assert {result.finish_reason for result in results} == {"stop", "length"}
    for result in results:
        assert result.prompt_tokens is not None
        assert result.completion_tokens is not None
        at_the_end = result.prompt_tokens + result.completion_tokens == CONTEXT
        assert (result.finish_reason == "length") == at_the_end, "stopped by itself, or at the end of the context"
    (cut,) = ask(engine, replace(long[0], max_tokens=3))
    assert isinstance(cut, Completion)
    assert (cut.finish_reason, cut.completion_tokens) == ("length", 3)


def test_stop_strings_end_a_completion_and_are_no_part_of_it(engine: VllmEngine) -> None:
    (whole,) = ask(engine, GenerationRequest("m", QUESTION, 1.0, 60, 3))
    assert isinstance(whole, Completion)
    mark = whole.text[10:12]
    (stopped,) = ask(engine, GenerationRequest("m", QUESTION, 1.0, 60, 3, stop=("never said by it", mark)))
    assert isinstance(stopped, Completion)
    assert stopped.text == whole.text[: whole.text.index(mark)]
    assert stopped.finish_reason == "stop"


def test_a_schema_is_obeyed_by_a_model_that_knows_nothing_of_it(engine: VllmEngine) -> None:
    results = ask(engine, *samples(16, schema=SCHEMA, max_tokens=120), *samples(1))
    for result in results[:-1]:
        assert isinstance(result, Completion)
        assert result.finish_reason == "stop"
        value = json.loads(result.text)
        assert list(value) == ["verdicts", "why"]
        assert len(value["verdicts"]) == 3
        assert set(value["verdicts"]) <= {"right", "wrong"}
        assert len(value["why"]) <= 12
    assert texts(results[-1:]) == texts(ask(engine, *samples(1))), "and its neighbours are free of it"


def test_the_prefix_cache_serves_a_family_and_says_so(engine: VllmEngine) -> None:
    fresh = samples(4, prompt=[{"role": "user", "content": "A prompt that no other test asks. " * 12}])
    results = [result for result in ask(engine, *fresh) if isinstance(result, Completion)]
    blocks = ((results[0].prompt_tokens or 0) - 1) // BLOCK
    assert blocks > 0
    assert [result.cached_tokens for result in results] == [0, *[blocks * BLOCK] * 3]
    assert ", vllm-" in results[0].model, "the version"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"prompt": "Add [1]" * 1000}, "tokens, and the model takes fewer than 512"),
        ({"schema": {"type": "nonsense"}}, "nonsense"),
        ({"prompt": [{"role": "stranger", "content": "b"}]}, "no strangers"),
    ],
)
def test_one_bad_request_costs_no_other(engine: VllmEngine, fault: dict[str, Any], said: str) -> None:
    good = samples(3)
    results = ask(engine, *good[:2], replace(good[0], **fault), *good[2:])
    bad = results.pop(2)
    assert isinstance(bad, Failure)
    assert said in bad.reason
    assert "\n" not in bad.reason
    assert texts(results) == texts(ask(engine, *good))


def test_an_endless_stream_is_taken_as_there_is_room_and_can_be_left(engine: VllmEngine) -> None:
    taken = count()
    stream = (GenerationRequest("m", f"Add [{next(taken)}]", 1.0, 6, 0) for _ in count())
    answers = engine.complete(stream)
    assert len(list(islice(answers, 300))) == 300
    answers.close()
    assert next(taken) < 1000
    assert texts(ask(engine, *samples(2))) == texts(ask(engine, *samples(2)[::-1]))[::-1], "nothing is left of it"


def test_a_run_goes_on_from_its_journal(engine: VllmEngine, tmp_path: Path) -> None:
    class Once(MockEngine):
        asked = 0

        def __init__(self) -> None:
            super().__init__(1)

        def complete(self, requests: Any) -> Any:
            for answered in engine.complete(requests):
                Once.asked += 1
                yield answered

    requests = samples(30)
    with Runner(Once(), tmp_path / "j.jsonl", "first") as first:
        first.run(requests[:20], preflight=4)
    with Runner(Once(), tmp_path / "j.jsonl", "second") as second:
        second.run(requests, preflight=4)
        results = [second.get(request) for request in requests]
        report = second.report_run()
    assert Once.asked == 30
    assert second.from_journal == 20
    assert texts(results) == texts(ask(engine, *requests)), "to the byte"
    assert report["completions"] == 10
    assert report["prompt_tokens"] == 10 * (results[0].prompt_tokens or 0)
    assert report["cache_hit_rate"] > 0.5


def test_nothing_to_ask_loads_nothing(tmp_path: Path) -> None:
    assert list(make(tmp_path / "nowhere").complete([])) == []


def test_a_model_that_cannot_be_loaded_is_one_clear_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="nowhere") as caught:
        list(make(tmp_path / "nowhere").complete(samples(1)))
    assert "\n" not in str(caught.value)
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (pickled / name).write_bytes((folder / name).read_bytes())
    (pickled / "pytorch_model.bin").write_bytes(b"a pickle, which could run anything")
    with pytest.raises(EngineError, match="Cannot find any model weights") as caught, closing(make(pickled)) as engine:
        list(engine.complete(samples(1)))
    assert "\n" not in str(caught.value)


def test_replicas_of_the_server_draw_the_same_and_their_death_is_reported(engine: VllmEngine, folder: Path) -> None:
    two = PLAIN_VLLM.model_copy(update={"data_parallel_size": 2})
    asked = [request for at in range(40) for request in samples(2, prompt=f"Add [{at}]")]
    with closing(VllmEngine(ModelId(str(folder)), two, 32, RetryPolicy(600, 600))) as replicas:
        assert texts(ask(replicas, *asked)) == texts(ask(engine, *asked))
        cores = [p for p in psutil.Process().children(recursive=True) if p.name().startswith("VLLM::EngineCore_DP")]
        assert len(cores) == 2
        answers = replicas.complete(GenerationRequest("m", QUESTION, 1.0, 60, seed) for seed in count())
        list(islice(answers, 10))
        cores[0].kill()
        with pytest.raises(EngineError, match=r"vLLM server of .*: ended with code "):
            list(islice(answers, 10_000))
