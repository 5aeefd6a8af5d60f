"""Settings of the judge."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.params.base import Block


class ServedJudgeParams(Block):
    """A language model that judges steps; the paper prompts Llama-3.1-70B and shows it the reference solution."""

    model: str
    revision: str | None
    max_tokens: int = Field(ge=1)
    temperature: float = Field(ge=0)


class JudgeParams(Block):
    """`judge` block."""

    kind: Literal["exact", "arithmetic", "none", "served"]
    """`exact` is the day world's rule; `arithmetic` calls a step wrong where it states a false numeric equality and
    leaves every other unknown; `none` leaves every step unknown; `served` prompts a language model."""
    served: ServedJudgeParams | None
    votes: int = Field(ge=1)
    """V, votes per step."""
    min_agreement: float = Field(gt=0.5, le=1)
    """Share of votes that must agree, else the step is unknown."""
    flip: float = Field(ge=0, le=1)
    """Share of known labels flipped on purpose, by the step's hash: for studies of label noise; 0 otherwise."""
