"""Params of the dataset stage."""

from typing import Literal

from pydantic import Field

from stages.common.params.block import ParamsBlock

CutRule = Literal["keep", "drop", "unlabelled"]


class DatasetParams(ParamsBlock):
    """`dataset` block. Which samples are kept is in `select`."""

    kl_block_size: int = Field(default=8, ge=2)
    """Rows per block of the training order; equals `train.batch_size`, the batch in which KTO shifts completions."""
    max_weight: float = Field(default=10.0, ge=1)
    """Cap on the class weights that level desirable and undesirable rows."""
    cut: CutRule = "keep"
    """Completions that reached the token limit: `keep` them as incorrect, whatever answer was read in them; `drop`; or
    `unlabelled`: keep their steps, with an unknown outcome. None of them is trained to end."""
