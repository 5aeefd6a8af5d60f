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


class SeedModelParams(ParamsBlock):
    """`seed_model` block."""

    kind: Literal["toy_arithmetic", "hub", "folder", "none"]
    """`toy_arithmetic`: a small model trained here; `hub`: a model of the Hub; `folder`: one on this machine; `none`:
    completions are sampled elsewhere, so no model is loaded."""
    toy_arithmetic: ToyModelParams | None = None
    """For kind `toy_arithmetic`; null: its defaults."""
    hub: HubModelParams | None = None
    """For kind `hub`, which needs it."""
    folder: FolderModelParams | None = None
    """For kind `folder`, which needs it."""

    @model_validator(mode="after")
    def _check_kind_params(self) -> Self:
        if self.kind in ("hub", "folder") and getattr(self, self.kind) is None:
            raise ValueError(f"{self.kind}: null, but kind {self.kind} requires it")
        return self
