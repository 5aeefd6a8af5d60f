"""How a reference point is made of the mean log-ratio of mismatched completions: clamped at 0, a running mean."""

from typing import Any

import torch
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState


class ReferencePointEstimator(TrainerCallback, ExportableState):
    """Makes each level's z of the mean log-ratio of mismatched completions or steps; checkpoints keep its state.

    `clamps` holds z at 0 or above, as KTO does (arXiv 2402.01306, 4.1, which says that it biases the estimate); with
    `momentum` m above 0, z is the running mean m z + (1 - m) mean, from 0 on, as BCO's reward shift is (arXiv
    2404.04656), before the clamp.
    """

    def __init__(self, clamps: bool = True, momentum: float = 0.0) -> None:
        self._clamps, self._momentum = clamps, momentum
        self.running = dict.fromkeys(("outcome", "step"), 0.0)

    def estimate(self, level: str, mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """z and the same before its clamp, from `mean` of one optimizer step; with momentum this is a new state."""
        if self._momentum:
            mean = self._momentum * self.running[level] + (1 - self._momentum) * mean
            self.running[level] = mean.item()
        return (mean.clamp(min=0) if self._clamps else mean), mean

    def state(self) -> dict[str, Any]:
        """What the trainer writes into each checkpoint."""
        args = {"clamps": self._clamps, "momentum": self._momentum}
        return {"args": args, "attributes": {"running": dict(self.running)}}

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Called by the trainer, which has read the state of a checkpoint that it resumes from."""
        self.running = dict(state.stateful_callbacks[type(self).__name__]["attributes"]["running"])
