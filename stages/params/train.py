"""Settings of training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.params.base import Block


class TrainParams(Block):
    """`train` block. The paper: AdamW, lr 1e-6, 100 warm-up steps, cosine, clip 1.0, beta 0.1."""

    method: Literal["step_kto", "kto", "rft", "none"]
    """`none` trains nothing: the round ends with its data set and hands its policy on."""
    w_step: float = Field(ge=0)
    """Weight of the step term; the paper's value is not known."""
    after_first_error: Literal["keep", "mask", "truncate"]
    """Steps after the first wrong one: keep their labels, mask them, or cut the completion there (the outcome
    label of a cut completion still holds when it is wrong, and is masked when it is right). The paper's choice is not
    known."""
    beta: float = Field(gt=0)
    """Strength of the pull to the reference, for outcome and step term alike."""
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    schedule: Literal["constant", "linear", "cosine"]
    epochs: int = Field(ge=1)
    batch: int = Field(ge=2)
    """Rows per forward pass and device."""
    accumulate: int = Field(ge=1)
    """Forward passes per optimiser step."""
    max_grad_norm: float = Field(gt=0)
    max_length: int = Field(ge=8)
    """Prompt and completion, in tokens; longer rows are dropped and counted, never cut."""
    dtype: Literal["float32", "bfloat16"]
    gradient_checkpointing: bool
    save_steps: int = Field(ge=1)
    """Optimiser steps between checkpoints, from which a killed run resumes."""
