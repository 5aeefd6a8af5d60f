"""Params of the dataset stage."""

from pydantic import Field

from stages.common.params.block import ParamsBlock


class DatasetParams(ParamsBlock):
    """`dataset` block. Which samples are kept is in `select`."""

    kl_block_size: int = Field(default=8, ge=2)
    """Rows per block of the training order; equals `train.batch_size`, the batch in which KTO shifts completions."""
    max_weight: float = Field(default=10.0, ge=1)
    """Cap on the class weights that level desirable and undesirable rows."""
