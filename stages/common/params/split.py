"""Params of the splitter."""

from typing import Literal

from pydantic import Field

from stages.common.params.block import ParamsBlock


class SplitParams(ParamsBlock):
    """`split` block."""

    shape: Literal["auto", "headings", "paragraphs", "lines"] = "auto"
    """Where steps begin: at "Step 1:" headings, after blank lines, or at every line; `auto` takes the first of the
    three that the completion has, in this order."""
    max_steps: int = Field(default=64, ge=1)
    """Later steps are joined to the last one, so that the number of steps stays bounded."""
    thinking: Literal["split", "whole"] = "split"
    """Thinking in a completion (up to `</think>`) is split as the rest is, or one whole step. A step begins after it in
    both cases, and the steps of the answer come first in `max_steps`."""
