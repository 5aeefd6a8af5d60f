"""A process reward model: where it lies, what identifies it, and its scores of laid-out solutions."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.common.params.judge import PrmParams
from stages.common.params.runtime import RuntimeParams
from stages.common.provenance import folder_files, manifest_hash
from stages.judge.prm.layout import Encoded, Layout

DIGITS = 4
"""Decimals of a score: the label is decided by the number that its reason shows."""


@dataclass(frozen=True)
class Source:
    """A Hub commit, or a folder by the hash of its files."""

    name: str
    revision: str | None
    hash: str


def find_source(params: PrmParams) -> Source:
    """Where the model lies; raises `FileNotFoundError` or `ValueError` where settings and disk do not fit together."""
    folder = Path(params.model)
    if params.revision is None:
        if not folder.is_dir():
            raise FileNotFoundError(f"judge.prm.model: {folder}: no folder; a model of the Hub needs a revision")
        return Source(str(folder), None, manifest_hash(folder_files(folder)))
    if folder.is_dir():
        raise ValueError(f"judge.prm.revision: {folder} is a folder, which has none; set it to null")
    return Source(params.model, params.revision, f"{params.model} {params.revision}")


def load_layout(params: PrmParams, source: Source) -> Layout:
    """The layout for this model, by its tokenizer and the longest input that it takes."""
    from transformers import AutoConfig, AutoTokenizer

    config = _load(AutoConfig, source).get_text_config()
    own = getattr(config, "max_position_embeddings", None)
    limits = [limit for limit in (params.max_tokens, own) if limit is not None]
    if not limits:
        raise ValueError(f"judge.prm.max_tokens: null, and {source.name} does not say how much it can read")
    return Layout(params, _load(AutoTokenizer, source), min(limits))


class Scorer:
    """The model in memory; `candidates` are those of its layout."""

    def __init__(
        self, params: PrmParams, source: Source, candidates: tuple[int, int] | None, runtime: RuntimeParams
    ) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoModelForTokenClassification

        cuda = runtime.device != "cpu" and torch.cuda.is_available()
        if runtime.device == "cuda" and not cuda:
            raise ValueError("runtime.device: cuda is asked for and torch finds none")
        torch.set_num_threads(runtime.num_threads)
        kind = AutoModelForTokenClassification if candidates is None else AutoModelForCausalLM
        model, found = _load(kind, source, dtype=params.dtype, use_safetensors=True, output_loading_info=True)
        if found["missing_keys"]:
            missing = ", ".join(sorted(found["missing_keys"])[:3])
            raise ValueError(f"judge.prm.layout: {source.name} has no weights for {params.layout}: {missing} missing")
        if candidates is None and model.config.num_labels != 2:
            raise ValueError(f"judge.prm.model: {source.name} has {model.config.num_labels} classes; 2 are expected")
        self._name = source.name
        self._dtype = params.dtype
        self._candidates = candidates
        self._model = model.to("cuda" if cuda else "cpu").eval()
        self._keeps = "logits_to_keep" in inspect.signature(model.forward).parameters

    def score(self, batch: Sequence[Encoded]) -> list[list[float]]:
        """Probability, 0 to 1, that each step of each solution is right, to `DIGITS` decimals."""
        import torch

        width = max(len(each.ids) for each in batch)
        # Padding stands on the right and is masked: what it holds reaches no score.
        ids_BT = torch.zeros(len(batch), width, dtype=torch.long)
        mask_BT = torch.zeros_like(ids_BT)
        for row, each in enumerate(batch):
            ids_BT[row, : len(each.ids)] = torch.tensor(each.ids)
            mask_BT[row, : len(each.ids)] = 1
        kept = list(range(width))
        options: dict[str, Any] = {}
        if self._candidates is not None:
            options["use_cache"] = False
            if self._keeps:  # logits of a whole vocabulary at every token would take the most memory of all
                kept = sorted({position for each in batch for position in each.positions})
                options["logits_to_keep"] = torch.tensor(kept, device=self._model.device)
        with torch.inference_mode():
            device = self._model.device
            logits_BKC = self._model(input_ids=ids_BT.to(device), attention_mask=mask_BT.to(device), **options).logits
            if self._candidates is not None:
                right, wrong = self._candidates
                logits_BKC = logits_BKC[:, :, [wrong, right]]
            right_BK = logits_BKC.float().softmax(-1)[:, :, 1].cpu()
        place = {position: at for at, position in enumerate(kept)}
        scores = [
            [round(right_BK[row, place[position]].item(), DIGITS) for position in each.positions]
            for row, each in enumerate(batch)
        ]
        if not all(math.isfinite(score) for of_solution in scores for score in of_solution):
            raise ValueError(f"judge.prm.dtype: {self._name} gives scores that are no numbers in {self._dtype}")
        return scores


def _load(kind: Any, source: Source, **options: Any) -> Any:
    """What `kind` loads from the source, without code of the model's own; `ValueError` in one line where it cannot."""
    from transformers.utils import logging

    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        return kind.from_pretrained(source.name, revision=source.revision, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError) as error:
        what = " ".join(str(error).split())
        raise ValueError(f"judge.prm.model: {source.name} cannot be loaded: {what}") from error
