"""Params of the dataset stage."""

from pydantic import Field

from stages.common.params.block import ParamsBlock


class DatasetParams(ParamsBlock):
    """`dataset` block. The paper keeps at most two correct and two incorrect samples per problem, balanced."""

    max_correct: int | None = Field(default=2, ge=1)
    """Correct samples kept per problem, null for all."""
    max_incorrect: int | None = Field(default=2, ge=1)
    """Incorrect samples kept per problem, null for all."""
    require_both: bool = True
    """Drop problems that lack a correct or an incorrect sample."""
    balance: bool = True
    """Keep as many correct as incorrect samples per problem (the smaller number)."""
    deduplicate: bool = True
    """Keep one of several samples with the same completion for one problem."""
    kl_block_size: int = Field(default=8, ge=2)
    """Rows per block of the training order; equals `train.batch_size`, the batch in which KTO shifts completions."""
    max_weight: float = Field(default=10.0, ge=1)
    """Cap on the class weights that level desirable and undesirable rows."""
