"""Settings of the seed model M0."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.common.params.block import ParamsBlock


class NoisyCorpusParams(ParamsBlock):
    """The day-world corpus on which M0 is trained, with its planted mistakes."""

    documents: int = Field(ge=100)
    forgotten_carry: float = Field(ge=0, le=1)
    """Chance to forget a needed carry or borrow at operand 9; it rises from 0 at operand 2 in equal steps."""
    slip: float = Field(ge=0, le=1)
    """Chance that a step's result is off by one for no reason."""


class DayWorldModelParams(ParamsBlock):
    """A small Llama trained from scratch."""

    corpus: NoisyCorpusParams
    hidden: int = Field(ge=8)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    batch: int = Field(ge=1)
    """Documents per optimiser step."""
    muon_lr: float = Field(gt=0)
    """Learning rate of Muon on the matrices."""
    adamw_lr: float = Field(gt=0)
    """Learning rate of AdamW on embeddings and norms."""


class HubModelParams(ParamsBlock):
    """A model of the Hub; only its manifest is stored, weights stay in the Hub's own cache."""

    repo: str
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    """Commit of the model."""


class SeedModelParams(ParamsBlock):
    """`seed_model` block."""

    kind: Literal["day_world", "hub", "none"]
    """`none` stands for solutions sampled elsewhere: there is no model to load."""
    day_world: DayWorldModelParams | None
    hub: HubModelParams | None
