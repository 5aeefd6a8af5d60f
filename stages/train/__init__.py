"""Training: Step-KTO on TRL's KTO trainer, and the baselines KTO and RFT at the same budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stages.train.trainer.config import StepKTOConfig
    from stages.train.trainer.step_kto_trainer import StepKTOTrainer

__all__ = ["StepKTOConfig", "StepKTOTrainer"]


def __getattr__(name: str) -> Any:
    # torch, transformers and TRL take seconds to import: the stage's other users should not wait for them.
    if name == "StepKTOConfig":
        from stages.train.trainer.config import StepKTOConfig

        return StepKTOConfig
    if name == "StepKTOTrainer":
        from stages.train.trainer.step_kto_trainer import StepKTOTrainer

        return StepKTOTrainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
