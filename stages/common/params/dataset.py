"""Params of the dataset stage."""

from typing import Literal

from pydantic import Field

from stages.common.params.block import LocalFile, ParamsBlock

CutRule = Literal["keep", "drop", "unlabelled"]


class DatasetParams(ParamsBlock):
    """`dataset` block. Which samples are kept is in `select`."""

    kl_block_size: int = Field(default=8, ge=2)
    """Rows per block of the training order; equals `train.batch_size`, the batch in which KTO shifts completions."""
    max_weight: float = Field(default=10.0, ge=1)
    """Cap on the class weights that level desirable and undesirable rows."""
    min_per_label: int = Field(default=0, ge=0)
    """Fewest correct and incorrect labels, of answers and of steps each, with which a data set is made; a level whose
    labels are all unknown is not counted. 0 makes any: rejection sampling needs no incorrect ones."""
    cut: CutRule = "keep"
    """Completions that reached the token limit: `keep` them as incorrect, whatever answer was read in them; `drop`; or
    `unlabelled`: keep their steps, with an unknown outcome. None of them is trained to end."""
    max_pairs_per_problem: int = Field(default=10, ge=1)
    """Most pairs per problem, of completions and of steps each, that methods on pairs train on, so that no problem with
    many samples outweighs the others. 10 is what Iterative RPO takes of 30 samples (arXiv 2404.19733); a problem has no
    more pairs than two go into its rows anyway."""
    retracted: LocalFile | None = None
    """JSON Lines of labels found wrong: `sample_id`, `step` (from 0), `reason` and `who`. Such a step is unknown in the
    data set and in what is published; the table of labels keeps what the judge gave. null: none."""
