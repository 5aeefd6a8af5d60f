"""A process reward model: where it is stored, what identifies it, and its scores."""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.common.device import prepare_torch
from stages.common.errors import UserError
from stages.common.params.judge import PrmParams
from stages.common.params.runtime import RuntimeParams
from stages.common.provenance import hash_folder, hash_manifest
from stages.judge.prm.input_layout import EncodedSteps, InputLayout

SCORE_DECIMALS = 4
"""Decimals of a score: the label is decided by the number that its reason shows."""


@dataclass(frozen=True)
class PrmSource:
    """A Hub commit, or a folder identified by the hash of its files."""

    name: str
    revision: str | None
    hash: str


def find_source(params: PrmParams) -> PrmSource:
    """Where the model is; raise `UserError` where params and disk do not match."""
    folder = Path(params.model)
    if params.revision is None:
        if not folder.is_dir():
            raise UserError(f"judge.prm.model: {folder}: no folder; a model of the Hub needs a revision")
        return PrmSource(str(folder), None, hash_manifest(hash_folder(folder)))
    if folder.is_dir():
        raise UserError(f"judge.prm.revision: {folder} is a folder, which has no revision; set it to null")
    return PrmSource(params.model, params.revision, f"{params.model} {params.revision}")


def load_layout(params: PrmParams, source: PrmSource) -> InputLayout:
    """The input layout for this model, with its tokenizer and its longest input."""
    from transformers import AutoConfig, AutoTokenizer

    config = _load(AutoConfig, source).get_text_config()
    own = getattr(config, "max_position_embeddings", None)
    limits = [limit for limit in (params.max_tokens, own) if limit is not None]
    if not limits:
        raise UserError(f"judge.prm.max_tokens: null, and {source.name} does not state its longest input; set a number")
    return InputLayout(params, _load(AutoTokenizer, source), min(limits))


class Scorer:
    """The model in memory; `candidates` are those of its layout."""

    def __init__(
        self, params: PrmParams, source: PrmSource, candidates: tuple[int, int] | None, runtime: RuntimeParams
    ) -> None:
        from transformers import AutoModelForCausalLM, AutoModelForTokenClassification

        device = prepare_torch(runtime)
        model_class = AutoModelForTokenClassification if candidates is None else AutoModelForCausalLM
        model, info = _load(model_class, source, dtype=params.dtype, use_safetensors=True, output_loading_info=True)
        if info["missing_keys"]:
            missing = ", ".join(sorted(info["missing_keys"])[:3])
            raise UserError(f"judge.prm.layout: {source.name} has no weights for {params.layout}: {missing} missing")
        if candidates is None and model.config.num_labels != 2:
            raise UserError(f"judge.prm.model: {source.name}: expected 2 classes, found {model.config.num_labels}")
        self._name = source.name
        self._dtype = params.dtype
        self._candidates = candidates
        self._model = model.to(device).eval()
        self._has_logits_to_keep = "logits_to_keep" in inspect.signature(model.forward).parameters

    def score(self, batch: Sequence[EncodedSteps]) -> list[list[float]]:
        """Probability, 0 to 1, that each step of each completion is correct, to `SCORE_DECIMALS` decimals."""
        import torch

        width = max(len(each.ids) for each in batch)
        # Padding is on the right and masked: its ids reach no score.
        ids_BT = torch.zeros(len(batch), width, dtype=torch.long)
        mask_BT = torch.zeros_like(ids_BT)
        for row, each in enumerate(batch):
            ids_BT[row, : len(each.ids)] = torch.tensor(each.ids)
            mask_BT[row, : len(each.ids)] = 1
        kept = list(range(width))
        device = self._model.device
        options: dict[str, Any] = {}
        if self._candidates is not None:
            options["use_cache"] = False
            if self._has_logits_to_keep:  # logits of the whole vocabulary at every token would take the most memory
                kept = sorted({position for each in batch for position in each.positions})
                options["logits_to_keep"] = torch.tensor(kept, device=device)
        with torch.inference_mode():
            logits_BKC = self._model(input_ids=ids_BT.to(device), attention_mask=mask_BT.to(device), **options).logits
            if self._candidates is not None:
                correct, incorrect = self._candidates
                logits_BKC = logits_BKC[:, :, [incorrect, correct]]
            scores_BK = logits_BKC.float().softmax(-1)[:, :, 1].cpu()
        column = {position: at for at, position in enumerate(kept)}
        scores = [
            [round(scores_BK[row, column[position]].item(), SCORE_DECIMALS) for position in each.positions]
            for row, each in enumerate(batch)
        ]
        if not all(math.isfinite(score) for of_completion in scores for score in of_completion):
            raise UserError(f"judge.prm.dtype: {self._name} gives scores that are not numbers in {self._dtype}")
        return scores


def _load(loader: Any, source: PrmSource, **options: Any) -> Any:
    """Load from the source without code of the model's own; raise a `UserError` of one line where that fails."""
    try:
        return loader.from_pretrained(source.name, revision=source.revision, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"judge.prm.model: cannot load {source.name}: {' '.join(str(error).split())}") from error
