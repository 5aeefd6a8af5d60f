"""SimPO by TRL's CPO trainer, over pairs that are encoded already: apart, since TRL calls it experimental."""

from typing import Any

import torch
from trl.experimental.cpo import CPOConfig, CPOTrainer

from stages.train.trainer.last_update import LastUpdateMixin

__all__ = ["NLL_METRIC", "CPOConfig", "EncodedSimPOTrainer"]

NLL_METRIC = "nll/chosen/token"
"""Negative log-prob of chosen completions per token, in nats, as a mean over completions."""


class EncodedSimPOTrainer(LastUpdateMixin, CPOTrainer):
    """TRL's CPO trainer on what `encode_pairs` makes; with loss `simpo` and `cpo_alpha` 0 it is SimPO."""

    def tokenize_row(self, feature: dict[str, list[int]], **_: Any) -> dict[str, list[int]]:
        """Called by the trainer for each pair."""
        prompt = feature["prompt_ids"]
        columns = {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
        for side in ("chosen", "rejected"):
            ids = prompt + feature[f"{side}_ids"]
            columns[f"{side}_input_ids"] = ids
            columns[f"{side}_attention_mask"] = [1] * len(ids)
            columns[f"{side}_labels"] = [-100] * len(prompt) + feature[f"{side}_ids"]
        return columns

    def get_batch_loss_metrics(self, *args: Any, **options: Any) -> tuple[torch.Tensor, dict[str, float]]:
        """Called by the trainer: TRL's loss and metrics, and `NLL_METRIC`, since TRL's own is 0 without `cpo_alpha`."""
        loss, metrics = super().get_batch_loss_metrics(*args, **options)
        # Of SimPO, TRL's log-probs are means per token already.
        return loss, {**metrics, NLL_METRIC: -metrics["logps/chosen"]}

    def _compute_batch_metrics(self, inputs: dict[str, Any]) -> dict[str, float]:
        return self.get_batch_loss_metrics(self.model_wrapped, inputs)[1]
