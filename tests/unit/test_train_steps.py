"""Which step a token belongs to, what holds after the first incorrect step, and which rows never reach the trainer."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.common.tables import DropLog
from stages.train.trainer.collator import add_mismatched_completions
from stages.train.trainer.encoding import RowError, check_tokenizer, encode_dataset, render_row, tokenize_rows
from stages.train.trainer.preference_rows import LabelledCompletion
from stages.train.trainer.token_steps import (
    TokenizedRow,
    apply_after_first_error,
    map_tokens_to_steps,
    remove_labels_without_tokens,
)
from tests.support.tiny_policy import byte_level_bpe, documents, lines_of, tiny_tokenizer

SENTENCES = ["Step 1: 2 + 2 = 4\n\n", "Schritt 2: wähle x ∈ ℝ\n", "第三步:求和。", "So \\boxed{4} 🎉\n"]
TEXT = st.one_of(st.text(min_size=1, max_size=12), st.sampled_from(SENTENCES))


@cache
def bpe(bos: bool = False) -> Any:
    return byte_level_bpe(SENTENCES * 3 + [p + c for p, c, _, _ in documents()], 420, bos)


@cache
def characters() -> Any:
    """One token per character, unknown ones included."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({"<eos>": 0, "<unk>": 1, "a": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", unk_token="<unk>")


@cache
def unigram() -> Any:
    """SentencePiece's shape: a prefix space, spaces as part of words, NFKC."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<eos>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator([p + c for p, c, _, _ in documents()] + SENTENCES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", unk_token="<unk>")


@cache
def byte_fallback() -> Any:
    """Llama 2's shape: SentencePiece's BPE with spaces as "▁" and one token per byte of what it does not know."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")])
    special = ["<eos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([p + c for p, c, _, _ in documents()], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", unk_token="<unk>")


@cache
def merging() -> Any:
    """BPE without word boundaries, so that tokens cross lines and meet in the middle of steps."""
    from tokenizers import Tokenizer, models, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    trainer = trainers.BpeTrainer(vocab_size=60, special_tokens=["<eos>", "<unk>"], show_progress=False)
    tokenizer.train_from_iterator(["ab\ncd\n" * 4, "x\ny" * 9], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", unk_token="<unk>")


def row(
    prompt: Any, steps: list[str], labels: list[bool | None] | None = None, outcome: bool = True
) -> LabelledCompletion:
    completion, spans, at = "".join(steps), [], 0
    for step in steps:
        spans.append((at, at + len(step)))
        at += len(step)
    return LabelledCompletion("r", prompt, completion, outcome, spans, labels or [None] * len(steps))


def encode_row(tokenizer: Any, one: LabelledCompletion) -> TokenizedRow:
    return tokenize_rows([one], [render_row(one, tokenizer)], tokenizer)[0]


def step_of_character(steps: list[str]) -> list[int]:
    return [at for at, step in enumerate(steps) for _ in step]


@given(TEXT, st.lists(TEXT, min_size=1, max_size=5), st.booleans())
@settings(deadline=None)
def test_byte_level_bpe_against_its_own_bytes(prompt: str, steps: list[str], bos: bool) -> None:
    """A byte-level token spells its bytes: counting them gives its last character without any offsets."""
    tokenizer = bpe(bos)
    example = encode_row(tokenizer, row(prompt, steps))
    text = prompt + "".join(steps)
    owner = [0] * len(prompt) + step_of_character(steps)
    of_byte = [owner[at] for at, character in enumerate(text) for _ in character.encode()]
    pieces = tokenizer.convert_ids_to_tokens(example.prompt_ids + example.completion_ids)
    seen, wanted = 0, []
    for piece in pieces[1 if bos else 0 : -1]:
        seen += len(piece)  # the alphabet has one character per byte
        wanted.append(of_byte[seen - 1])
    assert pieces[-1] == "<eos>"
    assert seen == len(of_byte)
    wanted = [0, *wanted] if bos else wanted
    assert example.step_of_token == [*wanted[len(example.prompt_ids) :], len(steps) - 1]


@given(st.text("ab\n é🎉", max_size=6), st.lists(st.text("ab\n é🎉", min_size=1, max_size=6), min_size=1, max_size=5))
@settings(deadline=None)
def test_characters(prompt: str, steps: list[str]) -> None:
    example = encode_row(characters(), row(prompt, steps))
    assert example.step_of_token == [*step_of_character(steps), len(steps) - 1]


@given(TEXT, st.lists(TEXT, min_size=1, max_size=5), st.sampled_from([unigram, byte_fallback, merging, bpe]))
@settings(deadline=None)
def test_any_tokenizer_rises_step_by_step_to_the_last(prompt: str, steps: list[str], make: Any) -> None:
    example = encode_row(make(), row(prompt, steps))
    found = example.step_of_token
    assert len(found) == len(example.completion_ids)
    assert found == sorted(found)
    assert found[0] >= 0
    assert found[-1] == len(steps) - 1


@given(st.text("ab 1+=\né∈🎉", max_size=6), st.lists(st.text("ab 1+=\né∈🎉", min_size=1, max_size=9), min_size=1))
@settings(deadline=None)
def test_sentencepiece_with_byte_fallback_against_its_own_pieces(prompt: str, steps: list[str]) -> None:
    """A piece spells its characters, a byte piece one byte: counting them gives its last character."""
    tokenizer = byte_fallback()
    example = encode_row(tokenizer, row(prompt, steps))
    text = prompt + "".join(steps)
    owner = [0] * len(prompt) + step_of_character(steps)
    of_byte = [owner[at] for at, character in enumerate(text) for _ in character.encode()]
    pieces = tokenizer.convert_ids_to_tokens(example.prompt_ids + example.completion_ids)
    assert pieces.pop() == "<eos>"
    seen, wanted = 0, []
    for at, piece in enumerate(pieces):
        prefixed = at == 0 and not text.startswith((" ", "▁"))
        spelled = piece.removeprefix("▁") if prefixed else piece  # the dummy prefix is no character of the text
        seen += 1 if piece.startswith("<0x") else len(spelled.replace("▁", " ").encode())
        wanted.append(of_byte[max(seen - 1, 0)])
    assert seen == len(of_byte)
    assert example.step_of_token[:-1] == wanted[len(example.prompt_ids) :]


def test_a_boundary_inside_a_character_of_several_bytes_and_inside_a_piece() -> None:
    """Byte pieces of one character all lie in its step; a piece across two steps in the later one."""
    tokenizer = byte_fallback()
    example = encode_row(tokenizer, row("", ["S🎉", "🎉o"]))
    pieces = tokenizer.convert_ids_to_tokens(example.completion_ids)
    bytes_at = [at for at, piece in enumerate(pieces) if piece.startswith("<0x")]
    assert [example.step_of_token[at] for at in bytes_at] == [0] * 4 + [1] * 4
    joined = next(t for t in tokenizer.get_vocab() if len(t) == 2 and t.isalpha())
    crossing = encode_row(tokenizer, row("1", [joined[0], joined[1]]))
    assert joined in tokenizer.convert_ids_to_tokens(crossing.completion_ids)
    assert set(crossing.step_of_token) == {1}


def test_a_token_across_a_boundary_belongs_to_the_later_step() -> None:
    tokenizer = merging()
    assert tokenizer.tokenize("x\ny") == ["x\ny"]
    example = encode_row(tokenizer, row("cd", ["x\n", "y", "ab\n"], [False, True, True]))
    pieces = tokenizer.convert_ids_to_tokens(example.completion_ids)
    assert pieces[0] == "x\ny"
    assert example.step_of_token[0] == 1
    assert remove_labels_without_tokens(example).step_labels == [None, True, True], (
        "a step without tokens has nothing to learn"
    )


def test_tokens_without_a_place_follow_the_token_before_and_end_in_the_last_step() -> None:
    assert map_tokens_to_steps([(0, 2), (0, 0), (2, 4), (0, 0), (0, 0)], [0, 2, 3, 9]) == [0, 0, 2, 3, 3]


CHATS = [
    ([{"role": "user", "content": "Add 1 and 1"}], ["1 + 1", "\n= 2"]),
    ([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say = 2"}], ["= 2", "\n\n", "= 2"]),
    ([{"role": "user", "content": "1 + 1\n= 2"}], ["1 + 1\n", "= 2"]),
    ([{"role": "user", "content": "white space"}], ["  \n1 + 1\n", "= 2 \n"]),
]


@pytest.mark.parametrize(("messages", "steps"), CHATS)
def test_chat_completions_are_found_in_the_rendered_text(messages: list[dict[str, str]], steps: list[str]) -> None:
    """The template trims messages and closes them, and the prompt may hold the completion's words.

    The line feed that it writes behind the end token is never sampled, so it is not trained.
    """
    tokenizer = bpe()
    example = encode_row(tokenizer, row(messages, steps))
    spelled = ["" for _ in steps]
    for token, step in zip(example.completion_ids, example.step_of_token, strict=True):
        spelled[step] += tokenizer.decode([token])
    wanted = list(steps)
    wanted[0] = wanted[0].lstrip()
    wanted[-1] = wanted[-1].rstrip() + "<eos>"
    assert spelled == wanted


def test_a_template_that_rewrites_the_completion_is_refused() -> None:
    tokenizer = byte_level_bpe(SENTENCES)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] | upper }}{% endfor %}"
    with pytest.raises(RowError, match="chat template changes the completion"):
        render_row(row([{"role": "user", "content": "q"}], ["a b"]), tokenizer)


def test_slow_tokenizers_are_refused() -> None:
    class Slow:
        is_fast = False
        eos_token = "<eos>"

    with pytest.raises(ValueError, match="Slow: steps are found by character offsets"):
        check_tokenizer(Slow())  # type: ignore[arg-type]


def example(labels: list[bool | None], outcome: bool = True) -> TokenizedRow:
    """Two tokens a step, and the end token."""
    steps = [at for at in range(len(labels)) for _ in range(2)]
    return TokenizedRow([7], [*range(len(steps)), 99], [*steps, len(labels) - 1], labels, outcome)


LABELS: list[bool | None] = [True, None, False, True, False]


def test_keep_changes_nothing() -> None:
    assert apply_after_first_error(example(LABELS), "keep") == example(LABELS)


def test_mask_hides_what_follows_and_keeps_the_text() -> None:
    masked = apply_after_first_error(example(LABELS), "mask")
    assert masked.step_labels == [True, None, False, None, None]
    assert masked.completion_ids == example(LABELS).completion_ids
    assert masked.outcome is True


@pytest.mark.parametrize(("outcome", "left"), [(True, None), (False, False)])
def test_truncate_cuts_the_completion_and_its_end_token(outcome: bool, left: bool | None) -> None:
    cut = apply_after_first_error(example(LABELS, outcome), "truncate")
    assert cut.completion_ids == [0, 1, 2, 3, 4, 5]
    assert cut.step_of_token == [0, 0, 1, 1, 2, 2]
    assert cut.step_labels == [True, None, False]
    assert cut.outcome is left


@pytest.mark.parametrize("rule", ["keep", "mask", "truncate"])
@pytest.mark.parametrize("labels", [[True, None, True], [None], [True, True, False]])
def test_without_anything_after_an_error_every_rule_is_the_same(rule: str, labels: list[bool | None]) -> None:
    assert apply_after_first_error(example(labels), rule) == example(labels)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="after_first_error: expected one of"):
        apply_after_first_error(example(LABELS), "drop")


def rows(count: int = 12) -> list[LabelledCompletion]:
    return [
        LabelledCompletion(f"r{at}", prompt, completion, outcome, lines_of(completion), labels)
        for at, (prompt, completion, outcome, labels) in enumerate(documents(count))
    ]


def test_long_rows_are_dropped_and_counted_never_cut() -> None:
    tokenizer = tiny_tokenizer()
    everything = encode_dataset(rows(), tokenizer, "keep", None, DropLog())
    lengths = [len(one["prompt_ids"]) + len(one["completion_ids"]) for one in everything]
    limit = sorted(lengths)[len(lengths) // 2]
    drops = DropLog()
    kept = encode_dataset(rows(), tokenizer, "keep", limit, drops)
    assert kept.to_list() == [one for one, length in zip(everything, lengths, strict=True) if length <= limit]
    assert 0 < len(kept) < len(everything)
    report = drops.report()["longer than max_length"]
    assert report["rows"] == len(everything) - len(kept)
    assert {entry["where"] for entry in report["examples"]} == {
        f"r{at}" for at, length in enumerate(lengths) if length > limit
    }


def test_a_bad_row_costs_no_other() -> None:
    tokenizer = byte_level_bpe(SENTENCES)
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] | replace('bad', '') }}<eos>{% endfor %}"
    chat = [{"role": "user", "content": "q"}]
    drops = DropLog()
    data = encode_dataset([row(chat, ["a"]), row(chat, ["bad"]), row(chat, ["b"])], tokenizer, "keep", None, drops)
    assert len(data) == 2
    assert drops.report()["the chat template changes the completion"]["rows"] == 1


def test_no_row_left_says_why() -> None:
    with pytest.raises(ValueError, match=r"no row is left to train on; dropped \{'longer than max_length': 12\}"):
        encode_dataset(rows(), tiny_tokenizer(), "keep", 3, DropLog())


@pytest.mark.parametrize(("count", "block"), [(12, 4), (10, 4), (9, 4), (3, 8)])
def test_mismatched_completions_are_rotated_inside_blocks(count: int, block: int) -> None:
    data = add_mismatched_completions(encode_dataset(rows(count), tiny_tokenizer(), "keep", None, DropLog()), block)
    for start in range(0, count, block):
        part = data.select(range(start, min(start + block, count))).to_list()
        for at, one in enumerate(part):
            assert one["KL_completion_ids"] == part[at - 1]["completion_ids"]
            assert one["KL_step_of_token"] == part[at - 1]["step_of_token"]
