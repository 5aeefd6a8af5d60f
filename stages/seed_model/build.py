"""Making M0: trained from scratch on the noisy day-world corpus, or the manifest of a Hub model."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.common.console import progress
from stages.common.params.runtime import RuntimeParams
from stages.common.params.seed_model import DayWorldModelParams, HubModelParams, SeedModelParams
from stages.common.policies import write_manifest
from stages.common.provenance import environment
from stages.common.tables import content_hash, replace_dir, seed_from
from stages.common.toy_arithmetic import make_corpus
from stages.seed_model.tokenizer import make_tokenizer

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


def build_seed_model(params: SeedModelParams, seed: int, runtime: RuntimeParams, out: Path) -> dict[str, Any]:
    """Write policy M0 into `out`, return its report; raise `ValueError` where the chosen kind's block is missing."""
    started = time.monotonic()
    with replace_dir(out) as folder:
        if params.kind == "day_world":
            if params.day_world is None:
                raise ValueError("seed_model.day_world: missing for kind day_world")
            report = _train(params.day_world, seed, runtime, folder)
        elif params.kind == "hub":
            if params.hub is None:
                raise ValueError("seed_model.hub: missing for kind hub")
            report = _pin(params.hub, folder)
        else:
            write_manifest(folder, {"kind": "none"})
            report = {}
    return {**report, "seconds": round(time.monotonic() - started, 1), "environment": environment()}


def _pin(params: HubModelParams, folder: Path) -> dict[str, Any]:
    """Write the manifest of a Hub model: file names with the hashes that the Hub keeps for them."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(params.repo, revision=params.revision, files_metadata=True)
    hashes = {f.rfilename: f.lfs.sha256 if f.lfs else f.blob_id for f in info.siblings or []}
    files = {name: value for name, value in hashes.items() if value is not None}
    if not any(name.endswith(".safetensors") for name in files):
        raise ValueError(f"{params.repo} at {params.revision}: no safetensors file, and no other format is loaded")
    write_manifest(folder, {"kind": "hub"}, hub=(params.repo, params.revision, files))
    return {"files": len(files)}


def _train(params: DayWorldModelParams, seed: int, runtime: RuntimeParams, folder: Path) -> dict[str, Any]:
    import torch

    from stages.seed_model.muon import Muon

    torch.set_num_threads(runtime.num_threads)
    torch.manual_seed(seed_from("seed_model", seed) % 2**31)
    tokenizer = make_tokenizer()
    model = _llama(params, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id)
    corpus = params.corpus
    pairs = make_corpus(corpus.documents, seed, corpus.forgotten_carry, corpus.slip)
    rows = [_encode(tokenizer, problem, solution) for problem, solution in pairs]
    batches = _batches(len(rows), params.batch, seed)

    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimisers = [
        Muon(matrices, params.muon_lr),
        torch.optim.AdamW(rest, params.adamw_lr, betas=(0.9, 0.95), weight_decay=0),
    ]
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: 1 - step / len(batches)) for o in optimisers]
    losses: list[float] = []
    for batch in progress(batches, "seed model", unit="steps"):
        width = max(len(rows[i]) for i in batch)
        ids = torch.tensor([rows[i] + [tokenizer.pad_token_id] * (width - len(rows[i])) for i in batch])
        logits = model(input_ids=ids[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=tokenizer.pad_token_id
        )
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser, schedule in zip(optimisers, schedules, strict=True):
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
        losses.append(loss.item())
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    write_manifest(folder, {"kind": "day_world", "settings": content_hash(params.model_dump(mode="json"), seed)})
    parameters = sum(p.numel() for p in model.parameters())
    last = losses[-100:]
    return {
        "documents": len(rows),
        "tokens": sum(map(len, rows)),
        "parameters": parameters,
        "loss": sum(last) / len(last),
    }


def _llama(params: DayWorldModelParams, vocabulary: int, pad: int, eos: int) -> LlamaForCausalLM:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=params.hidden,
        intermediate_size=params.hidden * 2 + params.hidden // 2,
        num_hidden_layers=params.layers,
        num_attention_heads=params.heads,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        pad_token_id=pad,
        eos_token_id=eos,
        bos_token_id=None,
        attention_dropout=0.0,
    )
    return LlamaForCausalLM(config)


def _encode(tokenizer: Any, problem: str, solution: str) -> list[int]:
    ids: list[int] = tokenizer(f"{problem}\n{solution}")["input_ids"]
    return [*ids, tokenizer.eos_token_id]


def _batches(rows: int, size: int, seed: int) -> list[list[int]]:
    """Batches of rows in random order. Batches of one length each would save a fifth of the time, but M0 then varies
    three times as much between seeds."""
    order = list(range(rows))
    random.Random(seed_from("batches", seed)).shuffle(order)
    return [order[at : at + size] for at in range(0, rows, size)]
