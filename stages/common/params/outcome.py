"""Settings of the outcome check."""

from __future__ import annotations

from pydantic import Field

from stages.common.params.block import ParamsBlock


class OutcomeParams(ParamsBlock):
    """`outcome` block."""

    timeout_s: float = Field(gt=0)
    """Seconds after which one comparison is given up and its verdict is "cannot tell"."""
