"""TRL's DPO trainer over pairs that are encoded already."""

from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from trl import DPOTrainer

from stages.common.progress import progress
from stages.train.trainer.last_update import LastUpdateMixin


class EncodedDPOTrainer(LastUpdateMixin, DPOTrainer):
    """TRL's DPO trainer (its losses `sigmoid`, `ipo`, `sft`) on what `encode_pairs` makes.

    The reference is the model as it is given. Its log-probs are computed before training and held in memory: TRL's own
    way writes them to a file, which other processes would look for in temporary folders of theirs.
    """

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        loader = self.accelerator.prepare(DataLoader(dataset, batch_size, shuffle=False, collate_fn=self.data_collator))
        parts = []
        for batch in progress(loader, f"reference log-probs of {name} pairs", total=len(loader), unit="batches"):
            logps = self.compute_ref_log_probs(self.ref_model or self.model, batch)
            parts.append(torch.stack(self.accelerator.gather_for_metrics(logps)).cpu())
        for column, values in zip(("ref_chosen_logps", "ref_rejected_logps"), torch.cat(parts, 1), strict=True):
            dataset = dataset.add_column(column, values.tolist())
        return dataset

    def _compute_loss(self, model: Any, inputs: dict[str, torch.Tensor], return_outputs: bool) -> Any:
        """TRL's, which logs log-ratios times beta; and log-ratios per token, which can be limited."""
        loss = super()._compute_loss(model, inputs, return_outputs)
        metrics = self._metrics["train" if self.model.training else "eval"]
        tokens_B = inputs["completion_mask"].sum(1)
        for side, side_B in zip(("chosen", "rejected"), tokens_B.chunk(2), strict=True):
            mean_tokens = self.accelerator.gather(side_B).float().mean().item()
            log_ratio = metrics[f"rewards/{side}"][-1] / self.beta
            metrics[f"log_ratios/{side}/token"].append(log_ratio / mean_tokens)
        return loss

    def _compute_batch_metrics(self, inputs: dict[str, Any]) -> dict[str, float]:
        self._compute_loss(self.model_wrapped, inputs, return_outputs=False)
        metrics = {name: values[-1] for name, values in self._metrics["eval"].items() if values}
        self._metrics["eval"].clear()
        return metrics
