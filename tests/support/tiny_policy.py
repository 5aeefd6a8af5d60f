"""A tokenizer and a Llama made on the spot, a policy folder and a data set folder of them: seconds, no download."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.policies import write_manifest
from stages.common.provenance import hash_folder, hash_manifest
from stages.common.tables import write_json
from stages.dataset import RoundPairs

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] | trim }}<eos>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
"""Like Llama 3's: white space around a message is removed, and the end token is part of the template."""

STEP = pl.Struct({"start": pl.Int32, "end": pl.Int32, "label": pl.Boolean})


def documents(count: int = 200, seed: int = 0) -> list[tuple[str, str, bool, list[bool | None]]]:
    """Prompt, completion, outcome and step labels of small sums, some of them incorrect and some steps unknown."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        numbers = [rng.randint(0, 9) for _ in range(rng.randint(2, 4))]
        total, lines, labels = numbers[0], [], []
        for number in numbers[1:]:
            slip = rng.random() < 0.3
            labels.append(None if rng.random() < 0.15 else not slip)
            lines.append(f"{total} + {number} = {total + number + slip}\n")
            total += number + slip
        made.append((f"Add {numbers}\n", "".join(lines) + f"So {total}", total == sum(numbers), [*labels, True]))
    return made


def attempts(count: int, per_problem: int, seed: int = 0) -> list[tuple[str, str, bool, list[bool | None]]]:
    """`documents` with `per_problem` completions each, every other one with an incorrect step, the first or a later."""
    made = []
    for prompt, completion, _, labels in documents(count // per_problem, seed):
        for attempt in range(per_problem):
            lines, wrong = completion.splitlines(keepends=True), attempt // 2 % len(labels)
            known: list[bool | None] = [True] * len(lines)
            if attempt % 2:
                lines[wrong] = lines[wrong].rstrip("\n") + f"{attempt}\n"
                known = [True] * wrong + [False] + [None] * (len(lines) - wrong - 1)
            made.append((prompt, "".join(lines), attempt % 2 == 0, known))
    return made


def byte_level_bpe(texts: list[str], vocabulary: int = 330, bos: bool = False) -> Any:
    """A byte-level BPE tokenizer trained on `texts`, with a chat template; `bos` adds a start token to plain text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<eos>", "<bos>", "<|user|>", "<|assistant|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", special.index("<bos>"))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", chat_template=CHAT_TEMPLATE
    )


def tiny_llama(vocabulary: int, seed: int = 0, hidden: int = 32, tied: bool = True) -> Any:
    """About 40,000 parameters, drawn by `seed`; `hidden` is a token's width, `tied` whether the head is the input's."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=tied,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config)


def tiny_mixtral(vocabulary: int) -> Any:
    """Four experts, of which two see each token, with their router's loss."""
    import torch
    from transformers import MixtralConfig, MixtralForCausalLM

    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        output_router_logits=True,
        router_aux_loss_coef=0.1,
        pad_token_id=0,
        eos_token_id=1,
    )
    return MixtralForCausalLM(config)


def tiny_tokenizer() -> Any:
    return byte_level_bpe([prompt + completion for prompt, completion, _, _ in documents()])


def write_policy(
    folder: Path, seed: int = 0, hidden: int = 32, tied: bool = True, half: bool = False, tokenizer: Any = None
) -> Path:
    """A policy folder; `half` keeps weights in bfloat16; `tokenizer` is the sums' own by default."""
    tokenizer = tokenizer or tiny_tokenizer()
    model = tiny_llama(len(tokenizer), seed, hidden, tied)
    (model.bfloat16() if half else model).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_manifest(folder, {"kind": "test", "seed": seed})
    return folder


def lines_of(completion: str) -> list[tuple[int, int]]:
    """Spans of the lines, line feeds with the line that they end."""
    spans, at = [], 0
    for line in completion.splitlines(keepends=True):
        spans.append((at, at + len(line)))
        at += len(line)
    return spans


def write_dataset(
    folder: Path, count: int = 40, block: int = 4, chat: bool = False, seed: int = 0, per_problem: int = 1
) -> Path:
    """A data set folder as the dataset stage writes it; there are pairs with more than one row `per_problem`."""
    made = documents(count, seed) if per_problem == 1 else attempts(count, per_problem, seed)
    return write_rows(folder, made, block, chat, per_problem)


def write_rows(
    folder: Path, made: list[tuple[str, str, bool, list[bool | None]]], block: int, chat: bool, per_problem: int
) -> Path:
    """A data set folder of what `documents` or `attempts` made: `per_problem` rows each, a step per line."""
    rows = []
    for at, (prompt, completion, label, labels) in enumerate(made):
        steps = [
            {"start": start, "end": end, "label": known}
            for (start, end), known in zip(lines_of(completion), labels, strict=True)
        ]
        text = json.dumps([{"role": "user", "content": prompt}]) if chat else prompt
        rows.append({"sample_id": f"s{at}", "problem_id": f"p{at // per_problem}", "prompt": text})
        rows[-1] |= {"completion": completion, "label": label, "steps": steps}
    frame = pl.DataFrame(rows, schema_overrides={"steps": pl.List(STEP)})
    folder.mkdir(parents=True)
    frame.drop("steps").write_parquet(folder / "kto.parquet")
    frame.write_parquet(folder / "step_kto.parquet")
    pairs = RoundPairs()
    pairs.add(frame, 10)
    pairs.write(folder)
    files = hash_folder(folder)
    weights = {
        "outcome": {"desirable": 1.0, "undesirable": 1.5},
        "step": {"desirable": 1.0, "undesirable": 2.0},
    }
    write_json(
        folder / "manifest.json",
        {
            "format": "chat" if chat else "text",
            "rows": len(made),
            "files": files,
            "hash": hash_manifest(files),
            "kl_block_size": block,
            "weights": weights,
        },
    )
    return folder
