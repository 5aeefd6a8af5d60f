"""What the last update of a training did: its step's batches, measured once more after it.

A step's own metrics come from before its update, so they show neither the last one nor any of a run of a single step.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from trl import SFTTrainer

from stages.train.trainer.divergence import average_logs

if TYPE_CHECKING:
    from transformers import Trainer as Base
else:
    Base = object


class LastUpdateMixin(Base):
    """Mixin of trainers that keeps the batches of the optimizer step under way."""

    _step_batches: Sequence[dict[str, torch.Tensor]] = ()

    def get_batch_samples(self, *args: Any, **options: Any) -> tuple[list[Any], Any]:
        """The batches of one optimizer step."""
        batches, items = super().get_batch_samples(*args, **options)
        self._step_batches = batches or self._step_batches
        return batches, items

    @torch.no_grad()
    def compute_last_metrics(self) -> dict[str, float]:
        """Metrics of the last step's batches as the policy is now; none where this run made no step."""
        self.model.eval()
        metrics = [self._compute_batch_metrics(self._prepare_inputs(batch)) for batch in self._step_batches]
        self.model.train()
        return average_logs(metrics)

    def _compute_batch_metrics(self, inputs: dict[str, Any]) -> dict[str, float]:
        raise NotImplementedError


class RftTrainer(LastUpdateMixin, SFTTrainer):
    """TRL's SFT trainer."""

    def _compute_batch_metrics(self, inputs: dict[str, Any]) -> dict[str, float]:
        loss = self.accelerator.reduce(self.compute_loss(self.model_wrapped, inputs), reduction="mean")
        self._metrics["eval"].clear()
        return {"loss": loss.item()}
