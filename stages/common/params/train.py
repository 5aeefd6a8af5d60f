"""Settings of training."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.common.params.block import ParamsBlock


class LoraParams(ParamsBlock):
    """`train.lora` block: adapters on all linear layers are trained instead of the weights, and merged into them after.

    The defaults that LoRA papers use are rank 8 to 64 and alpha twice the rank.
    """

    rank: int = Field(ge=1)
    alpha: float = Field(gt=0)
    quantise: bool
    """QLoRA: the frozen weights are held in 4 bits (NF4) while training; needs bitsandbytes."""


class LaunchParams(ParamsBlock):
    """`train.launch` block: training as several processes, started by ``accelerate launch``."""

    strategy: Literal["ddp", "fsdp2", "deepspeed"]
    """Weights whole in every process, or in shards: PyTorch's FSDP2, or DeepSpeed ZeRO 3."""
    processes: int = Field(ge=2)
    """Of all machines; `batch` rows go through each, so that their number is part of what is trained."""
    machines: int = Field(ge=1)

    @model_validator(mode="after")
    def _as_many_on_each_machine(self) -> Self:
        if self.processes % self.machines:
            raise ValueError(f"processes: expected a multiple of machines, found {self.processes} for {self.machines}")
        return self


class TrainParams(ParamsBlock):
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
    pass_rows: int | None = Field(ge=1)
    """Rows per forward and backward pass: a batch goes through in parts of rows of like length, with less padding and
    memory and the same loss; null: whole batches."""
    accumulate: int = Field(ge=1)
    """Forward passes per optimiser step."""
    max_grad_norm: float = Field(gt=0)
    max_length: int = Field(ge=8)
    """Prompt and completion, in tokens; longer rows are dropped and counted, never cut."""
    dtype: Literal["float32", "bfloat16"]
    gradient_checkpointing: bool
    save_steps: int = Field(ge=1)
    """Optimiser steps between checkpoints, from which a killed run resumes."""
    lora: LoraParams | None
    """null: all weights are trained."""
    launch: LaunchParams | None
    """null: one process."""
    tracker: Literal["trackio", "tensorboard"] | None
    """Also logs to that tracker; null: nothing leaves the stage but its report."""

    @model_validator(mode="after")
    def _four_bits_are_not_sharded(self) -> Self:
        if self.lora and self.lora.quantise and self.launch and self.launch.strategy != "ddp":
            raise ValueError(f"lora.quantise: weights in 4 bits are not sharded by {self.launch.strategy}; use ddp")
        return self
