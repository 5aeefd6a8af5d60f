"""Params of how tables lie on disk."""

from typing import Literal

from stages.common.params.block import ParamsBlock


class TablesParams(ParamsBlock):
    """`tables` block."""

    shard_digits: Literal[0, 1, 2] = 0
    """Hex digits of problem_id that name a shard: 1, 16 or 256 files per table; aim at 10-200 MB a file."""
