"""What a training says while it goes on: its progress, and the metrics of each step for the run."""

from typing import Any

from transformers import TrainerCallback

from stages.common.progress import Progress
from stages.common.runs import record_metrics

SHOWN_METRICS = {
    "loss": "loss",
    "loss/outcome": "outcome loss",
    "loss/step": "step loss",
    "kl": "z0",
    "kl/step": "z_step",
    "rewards/chosen": "reward of correct",
    "rewards/rejected": "of incorrect",
    "steps/rewards/correct": "of correct steps",
    "steps/rewards/incorrect": "of incorrect steps",
    "grad_norm": "grad norm",
    "learning_rate": "learning rate",
    "tokens_per_second": "tokens/s",
}
"""Metrics shown with the progress, and the words for them."""


class MetricsCallback(TrainerCallback):
    """Shows a training's progress with its last metrics, and keeps those of every step with the run."""

    def __init__(self, desc: str) -> None:
        self._desc = desc
        self._metrics: dict[str, float] = {}
        self._shown: Progress | None = None

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Called by the trainer; a resumed training has done steps already. Of several processes one alone speaks."""
        if state.is_world_process_zero:
            self._shown = Progress(self._desc, state.max_steps, "steps", self._describe)
            self._shown.skip(state.global_step)

    def on_log(self, _args: Any, state: Any, _control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Called by the trainer with each step's metrics, and at the end with a summary."""
        if self._shown is not None and logs and "loss" in logs:
            self._metrics = logs
            record_metrics(state.global_step, logs)
            self._shown.advance()

    def close(self) -> None:
        """Show no more."""
        if self._shown is not None:
            self._shown.close()

    def _describe(self) -> str:
        known = {words: self._metrics[name] for name, words in SHOWN_METRICS.items() if name in self._metrics}
        return ", ".join(
            f"{words} {value:,.0f}" if value >= 1000 else f"{words} {value:.4g}" for words, value in known.items()
        )
