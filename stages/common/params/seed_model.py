"""Params of the seed model M0."""

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.common.params.block import LocalFile, ParamsBlock


class ToyCorpusParams(ParamsBlock):
    """The toy-arithmetic corpus on which M0 is trained, with its planted mistakes."""

    num_documents: int = Field(default=40000, ge=100)
    """Problems with a solution."""
    forgotten_carry_rate: float = Field(default=0.65, ge=0, le=1)
    """Chance to forget a needed carry or borrow at amount 9; it rises from 0 at amount 2 in equal steps."""
    slip_rate: float = Field(default=0.02, ge=0, le=1)
    """Chance that a step's result is off by one."""


class ToyModelParams(ParamsBlock):
    """A small Llama trained from scratch."""

    corpus: ToyCorpusParams = ToyCorpusParams()
    """What it is trained on."""
    hidden_size: int = Field(default=64, ge=8)
    """Width of a token."""
    num_layers: int = Field(default=3, ge=1)
    """Decoder layers."""
    num_heads: int = Field(default=4, ge=1)
    """Attention heads per layer."""
    batch_size: int = Field(default=16, ge=1)
    """Documents per optimizer step."""
    muon_learning_rate: float = Field(default=0.02, gt=0)
    """Of Muon, on the matrices."""
    adamw_learning_rate: float = Field(default=0.003, gt=0)
    """Of AdamW, on embeddings and norms."""


class HubModelParams(ParamsBlock):
    """A model of the Hub; only its manifest is stored, weights stay in the Hub's own cache, which is enough offline."""

    repo: str
    """Repository id, as owner/name."""
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    """Commit of the model."""


class FolderModelParams(ParamsBlock):
    """A model on this machine. Its files are copied into M0, which is known by their hash and never by the path."""

    path: LocalFile
    """A folder as transformers writes it, with weights in safetensors; or a .gguf file, converted to float32."""


class SupervisedParams(ParamsBlock):
    """`seed_model.sft` block: a supervised pass over reference solutions of school problems that no round has.

    They are of the generator's use `corpus`, which shares no template with the same numbers with any split, and have
    the factors of `problems.school` and the prompt of `sample.prompt`. The loss is that of solution and end token.
    """

    num_rows: int = Field(default=1500, ge=1)
    """Problems with a reference solution; more of them begin with the same."""
    num_epochs: int = Field(default=1, ge=1)
    """Passes over the rows."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Peak learning rate of AdamW."""
    warmup_steps: int = Field(default=10, ge=0)
    """Optimizer steps in which the learning rate rises linearly from 0."""
    lr_scheduler_type: Literal["constant", "linear", "cosine"] = "linear"
    """Learning rate after the warm-up."""
    batch_size: int = Field(default=16, ge=1)
    """Rows per forward and backward pass."""
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    """Passes per optimizer step."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Of forward and backward passes; weights are kept and updated in float32. On CPUs that compute in bfloat16 it is
    several times as fast as float32, on others slower."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    save_steps: int = Field(default=50, ge=1)
    """Optimizer steps between checkpoints, from which a killed run resumes."""


class SeedModelParams(ParamsBlock):
    """`seed_model` block."""

    kind: Literal["toy_arithmetic", "hub", "folder", "sft", "none"]
    """`toy_arithmetic`: a small model trained here; `hub`: a model of the Hub; `folder`: one on this machine; `sft`:
    one of either after a supervised pass; `none`: completions are sampled elsewhere, so no model is loaded."""
    toy_arithmetic: ToyModelParams | None = None
    """For kind `toy_arithmetic`; null: its defaults."""
    hub: HubModelParams | None = None
    """For kind `hub`, which needs it; for kind `sft` the model to begin with, unless `folder` is."""
    folder: FolderModelParams | None = None
    """For kind `folder`, which needs it; for kind `sft` the model to begin with, unless `hub` is."""
    sft: SupervisedParams = SupervisedParams()
    """For kind `sft`."""

    @model_validator(mode="after")
    def _check_kind_params(self) -> Self:
        if self.kind in ("hub", "folder") and getattr(self, self.kind) is None:
            raise ValueError(f"{self.kind}: null, but kind {self.kind} requires it")
        if self.kind == "sft" and (self.hub is None) is (self.folder is None):
            raise ValueError("kind sft: expected a model to begin with in either hub or folder, found none or two")
        return self
