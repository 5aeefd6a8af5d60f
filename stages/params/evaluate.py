"""Settings of evaluation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.params.base import Block


class EvaluateParams(Block):
    """`evaluate` block. The paper: Pass@1 greedy, Maj@8 at temperature 0.7."""

    split: Literal["validation", "test"] | None
    """Which problems; null measures nothing, for recipes that end with the data set."""
    problems: int | None = Field(ge=1)
    """Problems evaluated, the first by id; null for all."""
    majority: int = Field(ge=0)
    """Samples per problem for the majority vote; 0 leaves it out."""
    temperature: float = Field(gt=0)
    """Temperature of the majority's samples."""
    bootstrap: int = Field(ge=100)
    """Resamples of problems for the 95% intervals."""
