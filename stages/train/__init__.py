"""Training: Step-KTO on TRL's KTO trainer, and the baselines KTO and RFT at the same budget."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stages.train.trainer.config import StepKTOConfig
    from stages.train.trainer.step_kto_trainer import StepKTOTrainer

__all__ = ["StepKTOConfig", "StepKTOTrainer"]


def __getattr__(name: str) -> Any:
    # torch, transformers and TRL take seconds to import: the stage's other users should not wait for them.
    modules = {"StepKTOConfig": "config", "StepKTOTrainer": "step_kto_trainer"}
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.trainer.{modules[name]}"), name)
