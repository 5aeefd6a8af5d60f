"""Training a small Llama from scratch on the noisy toy-arithmetic corpus."""

import random
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from stages.common.device import prepare_torch
from stages.common.params.runtime import RuntimeParams
from stages.common.params.seed_model import ToyModelParams
from stages.common.progress import Progress
from stages.common.runs import record_metrics
from stages.common.tables import seed_from
from stages.common.toy_arithmetic import make_corpus
from stages.seed_model.muon import Muon
from stages.seed_model.toy_tokenizer import make_tokenizer


def train_toy_model(params: ToyModelParams, seed: int, runtime: RuntimeParams, folder: Path) -> dict[str, Any]:
    """Train, save model and tokenizer in `folder`, and return counts and the mean loss of the last 100 steps."""
    prepare_torch(runtime.model_copy(update={"device": "cpu"}))
    torch.manual_seed(seed_from("seed_model", seed) % 2**31)
    tokenizer = make_tokenizer()
    model = _make_llama(params, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id)
    corpus = params.corpus
    pairs = make_corpus(corpus.num_documents, seed, corpus.forgotten_carry_rate, corpus.slip_rate)
    rows = [[*tokenizer(f"{problem}\n{solution}")["input_ids"], tokenizer.eos_token_id] for problem, solution in pairs]
    batches = _make_batches(len(rows), params.batch_size, seed)

    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimizers = [
        Muon(matrices, params.muon_learning_rate),
        torch.optim.AdamW(others, params.adamw_learning_rate, betas=(0.9, 0.95), weight_decay=0),
    ]
    schedulers = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: 1 - step / len(batches)) for o in optimizers]
    losses: list[float] = []
    with Progress("seed model", len(batches), "steps", lambda: f"loss {losses[-1]:.3f}" if losses else "") as shown:
        for step, batch in enumerate(batches, 1):
            width = max(len(rows[i]) for i in batch)
            ids = torch.tensor([rows[i] + [tokenizer.pad_token_id] * (width - len(rows[i])) for i in batch])
            logits = model(input_ids=ids[:, :-1]).logits
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=tokenizer.pad_token_id
            )
            loss.backward()  # type: ignore[no-untyped-call]
            for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
            losses.append(loss.item())
            record_metrics(step, {"loss": losses[-1], "learning_rate": float(schedulers[0].get_last_lr()[0])})
            shown.advance()
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    last = losses[-100:]
    return {
        "documents": len(rows),
        "tokens": sum(map(len, rows)),
        "parameters": sum(p.numel() for p in model.parameters()),
        "loss": sum(last) / len(last),
    }


def _make_llama(params: ToyModelParams, vocab_size: int, pad: int, eos: int) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=params.hidden_size,
        intermediate_size=params.hidden_size * 2 + params.hidden_size // 2,
        num_hidden_layers=params.num_layers,
        num_attention_heads=params.num_heads,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        pad_token_id=pad,
        eos_token_id=eos,
        bos_token_id=None,
        attention_dropout=0.0,
    )
    return LlamaForCausalLM(config)


def _make_batches(num_rows: int, batch_size: int, seed: int) -> list[list[int]]:
    """Batches of row indices in random order. Batches of rows of one length would save a fifth of the time, but M0
    then varies three times as much between seeds."""
    order = list(range(num_rows))
    random.Random(seed_from("batches", seed)).shuffle(order)
    return [order[at : at + batch_size] for at in range(0, num_rows, batch_size)]
