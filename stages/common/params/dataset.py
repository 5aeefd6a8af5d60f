"""Settings of selection."""

from __future__ import annotations

from pydantic import Field

from stages.common.params.block import ParamsBlock


class DatasetParams(ParamsBlock):
    """`dataset` block. The paper keeps at most two right and two wrong samples per problem."""

    max_right: int | None = Field(ge=1)
    """Right samples kept per problem, null for all."""
    max_wrong: int | None = Field(ge=1)
    """Wrong samples kept per problem, null for all."""
    require_both: bool
    """Drop problems that lack a right or a wrong sample."""
    balance: bool
    """Keep as many right as wrong samples per problem (the smaller number)."""
    deduplicate: bool
    """Keep one of several samples with the same text for one problem."""
    block: int = Field(ge=2)
    """Rows per block of the training order; equals the trainer's per-device batch, in which completions are rotated."""
    max_weight: float = Field(ge=1)
    """Cap on the class weights that level desirable and undesirable rows."""
