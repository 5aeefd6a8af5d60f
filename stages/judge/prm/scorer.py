"""A process reward model: where it is stored, what identifies it, and its scores by transformers."""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from stages.common.device import prepare_torch
from stages.common.errors import UserError
from stages.common.params.prm import PrmParams
from stages.common.params.runtime import RuntimeParams
from stages.common.provenance import hash_folder, hash_manifest
from stages.judge.prm.input_layout import EncodedSteps, InputLayout

SCORE_DECIMALS = 4
"""Decimals of a score: the label is decided by the number that its reason shows."""

QWEN_MATH_ARCHITECTURE = "Qwen2ForProcessRewardModel"
"""What the config of a Qwen2.5-Math-PRM names, for vLLM as well."""


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
    of_server = params.vllm.max_model_len if params.engine == "vllm" else None
    limits = [limit for limit in (params.max_tokens, own, of_server) if limit is not None]
    if not limits:
        raise UserError(f"judge.prm.max_tokens: null, and {source.name} does not state its longest input; set a number")
    return InputLayout(params, _load(AutoTokenizer, source), min(limits))


class Scorer(Protocol):
    """Gives scores. Raises `UserError` where the model does not fit the params, or its runtime fails."""

    def score(self, batch: Sequence[EncodedSteps]) -> list[list[float]]:
        """Probability, 0 to 1, that each step of each completion is correct, to `SCORE_DECIMALS` decimals."""
        ...

    def close(self) -> None:
        """Free what was started."""
        ...


class TransformersScorer:
    """The model in memory; `candidates` are those of its layout."""

    def __init__(
        self, params: PrmParams, source: PrmSource, candidates: tuple[int, int] | None, runtime: RuntimeParams
    ) -> None:
        device = prepare_torch(runtime)
        check_architecture(params, source)
        loading = {"use_safetensors": True, "output_loading_info": True, "ignore_mismatched_sizes": True}
        model, info = _load(_find_model_class(params), source, dtype=params.dtype, **loading)
        for name, found, expected in info["mismatched_keys"]:
            shapes = f"{name} has the shape {list(found)}, expected {list(expected)}"
            raise UserError(f"judge.prm.layout: {source.name} does not fit {params.layout}: {shapes}")
        if info["missing_keys"]:
            missing = ", ".join(sorted(info["missing_keys"])[:3])
            raise UserError(f"judge.prm.layout: {source.name} has no weights for {params.layout}: {missing} missing")
        if params.layout == "token_classification" and model.config.num_labels != 2:
            raise UserError(f"judge.prm.model: {source.name}: expected 2 classes, found {model.config.num_labels}")
        self._name = source.name
        self._dtype = params.dtype
        self._candidates = candidates
        self._model = model.to(device).eval()
        self._options = {} if params.layout == "token_classification" else {"use_cache": False}
        self._has_logits_to_keep = "logits_to_keep" in inspect.signature(model.forward).parameters

    def score(self, batch: Sequence[EncodedSteps]) -> list[list[float]]:
        """See `Scorer.score`."""
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
        options: dict[str, Any] = dict(self._options)
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
            [scores_BK[row, column[position]].item() for position in each.positions] for row, each in enumerate(batch)
        ]
        return round_scores(scores, self._name, self._dtype)

    def close(self) -> None:
        """Nothing was started."""


def round_scores(scores: Sequence[Sequence[float]], model: str, dtype: str) -> list[list[float]]:
    """`scores` to `SCORE_DECIMALS` decimals; raise `UserError` where one is no number."""
    if not all(math.isfinite(score) for of_completion in scores for score in of_completion):
        raise UserError(f"judge.prm.dtype: {model} gives scores that are not numbers in {dtype}")
    return [[round(score, SCORE_DECIMALS) for score in of_completion] for of_completion in scores]


def check_architecture(params: PrmParams, source: PrmSource) -> None:
    """Raise `UserError` for a layout with a head of its own whose model is another one."""
    if params.layout not in ("qwen_math_prm", "skywork_prm"):
        return
    from transformers import AutoConfig

    config = _load(AutoConfig, source)
    names = config.architectures or []
    if config.model_type != "qwen2" or (params.layout == "qwen_math_prm" and QWEN_MATH_ARCHITECTURE not in names):
        expected = QWEN_MATH_ARCHITECTURE if params.layout == "qwen_math_prm" else "a Qwen2 model"
        found = ", ".join(names) or config.model_type
        raise UserError(f"judge.prm.layout: {source.name}: {params.layout} needs {expected}, found {found}")


def _find_model_class(params: PrmParams) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForTokenClassification

    if params.layout == "token_classification":
        return AutoModelForTokenClassification
    if params.layout == "step_tag":
        return AutoModelForCausalLM
    from stages.judge.prm.reward_models import QwenMathPrm, SkyworkPrm

    return QwenMathPrm if params.layout == "qwen_math_prm" else SkyworkPrm


def _load(loader: Any, source: PrmSource, **options: Any) -> Any:
    """Load from the source without code of the model's own; raise a `UserError` of one line where that fails."""
    try:
        return loader.from_pretrained(source.name, revision=source.revision, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"judge.prm.model: cannot load {source.name}: {' '.join(str(error).split())}") from error
