"""Params of the outcome stage."""

from __future__ import annotations

from pydantic import Field

from stages.common.params.block import ParamsBlock


class OutcomeParams(ParamsBlock):
    """`outcome` block. The verifier is chosen by the problem's `task`."""

    timeout_s: float = Field(default=5.0, gt=0)
    """Seconds after which the comparison of two answers ends and its verdict is unknown. The paper: not known."""
    guess: bool = False
    """Whether an answer counts that is one of several values of the last sentence; otherwise its verdict is unknown."""
