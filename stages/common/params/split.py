"""Settings of the splitter."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.common.params.block import ParamsBlock


class SplitParams(ParamsBlock):
    """`split` block."""

    shape: Literal["auto", "headed", "paragraph", "line"]
    """Where steps begin: at "Step 1:" headings, after blank lines, or at every line; `auto` takes the first of the
    three that the text has in this order, lines only where nothing else divides it."""
    max_steps: int = Field(ge=1)
    """Later steps are joined to the last one, so that a sample of newlines stays bounded."""
