"""Sampled token ids: where each token lies in its text, and that training sees the sequence that was sampled."""

from __future__ import annotations

import json
import logging
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.common.engines import Completion, EngineContext, GenerationRequest, ModelId, find_engine_kind, make_engine
from stages.common.engines.openai_reply import read_completion
from stages.common.journal import Journal
from stages.common.params.engine import EngineParams
from stages.common.params.runtime import RuntimeParams
from stages.common.policies import Policy, write_manifest
from stages.common.sampled_logps import FOLDER, keep_sampled_logps, read_sampled_logps
from stages.common.tables import DropLog
from stages.common.token_ids import decode_ids, find_token_spans, hash_tokenizer, spells_text
from stages.sample.generation_config import read_ignored_generation_config
from stages.sample.sampled_tokens import SampledTokens
from stages.train.trainer.encoding import encode_dataset
from stages.train.trainer.preference_rows import LabelledCompletion
from stages.train.trainer.sampler_check import compare_with_sampler
from tests.support.journals import describe_left_aside, rewrite_journal
from tests.support.sampled_rows import check_log_probs
from tests.support.small_llama import write_small_llama
from tests.support.tiny_policy import byte_level_bpe, documents

RUNTIME = RuntimeParams(num_threads=1, num_workers=1, distributed=None, device="cpu")
TEXT = st.lists(
    st.sampled_from(["Step 1: ", "2 + 2 = 4\n\n", "wähle x ∈ ℝ", "第三步", "🎉", "e\u0301", " ", "\n"]), max_size=8
)
CORPUS = [prompt + completion for prompt, completion, _, _ in documents(60)] + ["wähle x ∈ ℝ 第三步 🎉🎉"] * 3


@cache
def byte_level() -> Any:
    return byte_level_bpe(CORPUS, 420)


@cache
def sentencepiece() -> Any:
    """Llama 2's shape: spaces as "▁", one before the text, and bytes for unknown characters."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(vocab_size=160, special_tokens=["<eos>", "<unk>"], show_progress=False)
    tokenizer.train_from_iterator([text for text in CORPUS if text.isascii()], trainer)
    content = json.loads(tokenizer.to_str())
    vocab = content["model"]["vocab"]
    vocab |= {f"<0x{byte:02X}>": len(vocab) + byte for byte in range(256)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(content)), eos_token="<eos>", unk_token="<unk>"
    )


@cache
def with_added_tokens() -> Any:
    """Added tokens that are text, as <think> is, and one that is special."""
    tokenizer = byte_level_bpe(CORPUS, 400)
    tokenizer.add_tokens(["<think>", "</think>", "第三步"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_end|>"]})
    return tokenizer


KINDS = [byte_level, sentencepiece, with_added_tokens]


@given(TEXT, st.sampled_from(KINDS))
@settings(deadline=None)
def test_tokens_cover_the_text_in_order(parts: list[str], make: Any) -> None:
    text, tokenizer = "".join(parts), make()
    ids = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    spans = find_token_spans(tokenizer, ids, text)
    assert spans is not None
    assert spans.pop() == (0, 0), "the end token has no characters"
    assert spans == sorted(spans)
    covered = {at for start, end in spans for at in range(start, end)}
    # A blank that the tokenizer puts before a text, and its decoder removes, is a token without a character of its own.
    assert {at for at in range(len(text)) if not text[at].isspace()} <= covered
    for (start, end), token in zip(spans, ids, strict=False):
        piece = tokenizer.convert_ids_to_tokens(token)
        if end - start > 1 and piece.isascii():
            spelled = piece.replace("Ġ", " ").replace("▁", " ").replace("Ċ", "\n")
            assert text[start:end].strip() == spelled.strip()


@given(st.lists(st.integers(0, 400), max_size=16), st.sampled_from(KINDS))
@settings(deadline=None, max_examples=200)
def test_whatever_was_sampled_has_its_place(drawn: list[int], make: Any) -> None:
    """Also bytes that are no characters: what a model samples is no text that a tokenizer would cut so."""
    tokenizer = make()
    ids = [token % len(tokenizer) for token in drawn]
    text = decode_ids(tokenizer, ids)
    spans = find_token_spans(tokenizer, ids, text)
    if spans is None:  # the library refuses to decode such ids one by one
        return
    places = [span for span in spans if span != (0, 0)]
    assert len(spans) == len(ids)
    assert [start for start, _ in places] == sorted(start for start, _ in places)
    assert all(0 <= start < end <= len(text) + 1 for start, end in places) or not text.strip()


def test_the_bytes_of_one_character_all_hold_it() -> None:
    tokenizer = sentencepiece()
    ids = tokenizer.convert_tokens_to_ids(["<0xF0>", "<0x9F>", "<0x8E>", "<0x89>", "▁", "2"])
    assert find_token_spans(tokenizer, ids, "🎉 2") == [(0, 1)] * 4 + [(1, 2), (2, 3)]


def test_ends_may_differ_and_nothing_else() -> None:
    tokenizer = byte_level()
    ids = tokenizer("2 + 2 = 4\n")["input_ids"]
    assert find_token_spans(tokenizer, ids, "2 + 2 = 5\n") is None
    assert find_token_spans(tokenizer, ids, "2 + 2 = 4") is None
    shifted = find_token_spans(tokenizer, ids, " 2 + 2 = 4\n")
    assert shifted is not None
    assert shifted[-1] == (10, 11), "an engine that decodes a completion behind its prompt may give it a first blank"
    half = tokenizer("é🎉")["input_ids"][:-1]
    assert spells_text(decode_ids(tokenizer, half), "é")


def test_a_tokenizer_is_known_by_its_tokens_and_their_ids(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    byte_level().save_pretrained(tmp_path)
    assert hash_tokenizer(AutoTokenizer.from_pretrained(tmp_path)) == hash_tokenizer(byte_level())
    assert len({hash_tokenizer(make()) for make in KINDS}) == len(KINDS)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    folder = write_small_llama(tmp_path_factory.mktemp("policy") / "M0")
    write_manifest(folder, {"kind": "test"})
    return Policy(folder, "a" * 32, None, None)


def sample(folder: Path, prompts: list[Any], temperature: float, max_tokens: int = 24) -> list[Completion]:
    params = EngineParams.model_validate({"kind": "transformers", "transformers": {"batch_size": 4}})
    requests = [
        GenerationRequest("m", prompt, temperature, max_tokens, seed, wants_token_ids=True)
        for prompt in prompts
        for seed in range(3)
    ]
    with closing(make_engine(params, ModelId(str(folder)), EngineContext(RUNTIME))) as engine:
        found = {request.key: completion for request, completion in engine.complete(requests)}
    return [completion for request in requests if isinstance(completion := found[request.key], Completion)]


@pytest.mark.parametrize("temperature", [1.0, 0.6, 0.0])
@pytest.mark.parametrize("is_chat", [False, True])
def test_the_trainer_gives_every_sampled_token_the_log_prob_of_its_sampler(
    policy: Policy, temperature: float, is_chat: bool, tmp_path: Path
) -> None:
    """Per token and per step, to 1e-4 nats: the property that training off the policy breaks."""
    prompts: list[Any] = [prompt for prompt, *_ in documents(4, seed=2) for _ in range(3)]
    if is_chat:
        prompts = [[{"role": "user", "content": prompt}] for prompt in prompts]
    check_log_probs(policy.folder, prompts, sample(policy.folder, prompts[::3], temperature), tmp_path)


def test_other_weights_are_noticed(caplog: pytest.LogCaptureFixture) -> None:
    columns = {"sampled_logp": [-6.0, None, -3.0], "completion_ids": [[1, 2], [1], [1, 2, 3]], "is_filler": [False] * 3}
    data = Dataset.from_dict(columns)
    with caplog.at_level(logging.WARNING):
        assert compare_with_sampler(data, [[-5.0, -1.0], [-9.0], [-3.0]]) == {"samples": 2, "mean": 0.0, "max": 0.0}
        assert not caplog.records
        assert compare_with_sampler(data, [[-5.0, -2.0], [-9.0], [-3.0]]) == {"samples": 2, "mean": 0.25, "max": 0.5}
    assert "the samples are not the reference's own" in caplog.text
    assert compare_with_sampler(data.remove_columns("sampled_logp"), [[0.0]] * 3) is None


def test_a_repetition_penalty_of_the_model_changes_no_sample(policy: Policy, tmp_path: Path) -> None:
    import shutil

    prompts = [prompt for prompt, *_ in documents(3, seed=4)]
    plain = sample(policy.folder, prompts, 0.0)
    other = Policy(Path(shutil.copytree(policy.folder, tmp_path / "M0")), "b" * 32, None, None)
    path = other.folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"repetition_penalty": 1.3, "top_k": 5}))
    assert [each.token_ids for each in sample(other.folder, prompts, 0.0)] == [each.token_ids for each in plain]
    transformers, openai = (find_engine_kind(EngineParams(kind=kind)) for kind in ("transformers", "openai"))
    assert read_ignored_generation_config(other, transformers) == {"repetition_penalty": 1.3, "top_k": 5}
    assert read_ignored_generation_config(policy, transformers) == {}
    assert read_ignored_generation_config(Policy(tmp_path, "c", "org/model", "1"), openai) is None


def test_a_server_may_apply_it_so_it_is_a_warning(
    policy: Policy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "generation_config.json").write_text('{"repetition_penalty": 1.1, "eos_token_id": [1, 2]}')
    openai = find_engine_kind(EngineParams(kind="openai"))
    assert read_ignored_generation_config(Policy(tmp_path, "b", None, None), openai) == {"repetition_penalty": 1.1}
    assert "start vLLM's with --generation-config vllm" in caplog.text


def test_samples_keep_ids_that_spell_them_and_count_the_rest(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    absolute = Policy(policy.folder.resolve(), policy.hash, None, None)
    tokens, tokenizer = SampledTokens(absolute), policy.load_tokenizer()
    ids = tuple(tokenizer("2 + 2")["input_ids"])
    given_ids = Completion("2 + 2", "stop", 1, 4, None, "m", token_ids=(*ids, 1), logprobs=(-1.0,) * (len(ids) + 1))
    assert tokens.read("s0", given_ids, "2 + 2") == {
        "completion_ids": [*ids, 1],
        "tokenizer": hash_tokenizer(tokenizer),
    }
    without = {"completion_ids": None, "tokenizer": None}
    assert tokens.read("s1", given_ids, "2 + 3") == without
    assert tokens.read("s2", Completion("2 + 2", "stop", 1, 4, None, "m"), "2 + 2") == without
    beyond = Completion("2 + 2", "stop", 1, 4, None, "m", token_ids=(10**9,))
    assert tokens.read("s3", beyond, "2 + 2") == without
    assert tokens.report() == {"kept": 1, "not given by the engine": 1, "spell another text": 2}
    tokens.keep_logps()
    keep_sampled_logps(policy.hash, {"s0": -7.0, "s9": -2.5})
    assert read_sampled_logps(policy.hash) == {"s0": -1.0 * (len(ids) + 1), "s9": -2.5}, "the first is kept"
    with Journal(Path("work/journal") / FOLDER / f"{policy.hash}.jsonl") as journal:
        assert len(journal) == 2
    assert read_sampled_logps("nobody") == {}


def row(text: str, **changes: Any) -> LabelledCompletion:
    middle = len(text) // 2
    base: dict[str, Any] = {"name": "r", "prompt": "q", "completion": text, "outcome": False}
    spans = [(0, middle), (middle, len(text))]
    return LabelledCompletion(**{**base, "spans": spans, "step_labels": [False, True], **changes})


CHAT = [{"role": "user", "content": "q"}]


@pytest.mark.parametrize("prompt", ["q", CHAT])
def test_a_cut_completion_has_no_end(prompt: Any) -> None:
    tokenizer = byte_level()
    whole, cut = (
        encode_dataset([row("ab\ncd\n", prompt=prompt, is_cut=is_cut)], tokenizer, "keep", None, DropLog())[0]
        for is_cut in (False, True)
    )
    assert whole["completion_ids"][-1] == tokenizer.eos_token_id
    assert tokenizer.eos_token_id not in cut["completion_ids"]
    assert decode_ids(tokenizer, cut["completion_ids"]) == ("ab\ncd\n" if prompt == "q" else "ab\ncd")
    assert cut["prompt_ids"] == whole["prompt_ids"]


@pytest.mark.parametrize(
    ("changes", "is_sampled"),
    [({}, True), ({"tokenizer": "another"}, False), ({"token_ids": None}, False), ({"token_ids": [5, 6]}, False)],
)
def test_ids_of_the_same_tokenizer_are_trained_and_others_encoded(changes: dict[str, Any], is_sampled: bool) -> None:
    tokenizer = byte_level()
    letters = [*tokenizer.convert_tokens_to_ids(list("2+2=4")), tokenizer.eos_token_id]
    own = {"token_ids": letters, "tokenizer": hash_tokenizer(tokenizer), **changes}
    found = encode_dataset([row("2+2=4", **own)], tokenizer, "keep", None, DropLog(), {"r": -3.0})[0]
    assert found["is_sampled"] is is_sampled
    assert found["sampled_logp"] == (-3.0 if is_sampled else None)
    if is_sampled:
        assert found["completion_ids"] == letters
        assert found["step_of_token"] == [0, 0, 1, 1, 1, 1]
        cut = encode_dataset([row("2+2=4", **own)], tokenizer, "truncate", None, DropLog(), {"r": -3.0})[0]
        assert (cut["completion_ids"], cut["step_labels"], cut["label"]) == (letters[:2], [0], False)
        assert cut["sampled_logp"] is None, "its sampler's log-prob is of the whole"
    else:
        assert decode_ids(tokenizer, found["completion_ids"]) == "2+2=4"


def test_sampled_and_encoded_rows_keep_their_order() -> None:
    tokenizer = byte_level()
    sampled = {"token_ids": tokenizer("xy\nzw")["input_ids"], "tokenizer": hash_tokenizer(tokenizer)}
    rows = [row("ab"), row("xy\nzw", **sampled), row("cd"), row("xy\nzw", **sampled)]
    data = encode_dataset(rows, tokenizer, "keep", None, DropLog())
    assert [decode_ids(tokenizer, ids) for ids in data["completion_ids"]] == ["ab", "xy\nzw", "cd", "xy\nzw"]
    assert data["is_sampled"] == [False, True, False, True]


@pytest.mark.parametrize(
    ("choice", "ids", "logprobs"),
    [
        ({"token_ids": [3, 1], "logprobs": {"content": [{"logprob": -1.5}, {"logprob": 0}]}}, (3, 1), (-1.5, 0.0)),
        ({"token_ids": [3, 1], "logprobs": {"token_logprobs": [-1.5, -9999.0]}}, (3, 1), (-1.5, -9999.0)),
        ({"token_ids": [3, 1], "logprobs": {"token_logprobs": [-1.5]}}, (3, 1), None),
        ({"token_ids": [3, 1], "logprobs": {"token_logprobs": [-1.5, 10**400]}}, (3, 1), None),
        ({"token_ids": [3, 1], "logprobs": {"token_logprobs": [None, float("nan")]}}, (3, 1), None),
        ({"token_ids": [3, 1], "logprobs": None}, (3, 1), None),
        ({"token_ids": [3, -1]}, None, None),
        ({"token_ids": ["3"]}, None, None),
        ({"token_ids": [True]}, None, None),
        ({"token_ids": 7}, None, None),
        ({"token_ids": None, "logprobs": {"content": []}}, None, None),
        ({}, None, None),
    ],
)
def test_only_ids_and_log_probs_are_read_of_a_reply(choice: dict[str, Any], ids: Any, logprobs: Any) -> None:
    body = {"choices": [{"text": "4", "finish_reason": "stop", **choice}]}
    found = read_completion("application/json", json.dumps(body).encode())
    assert (found.token_ids, found.logprobs) == (ids, logprobs)


def test_sampled_log_probs_of_another_form_are_kept_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    keep_sampled_logps("policy", {"s0": -1.0, "s1": -2.0})
    rewrite_journal(Path("work/journal") / FOLDER / "policy.jsonl", lambda logp: {"logp": logp})
    assert read_sampled_logps("policy") == {}
    keep_sampled_logps("policy", {"s0": -3.0})
    assert describe_left_aside(1) in caplog.text
    assert read_sampled_logps("policy") == {"s0": -3.0}
