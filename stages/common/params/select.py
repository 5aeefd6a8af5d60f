"""Params of the selection."""

from pydantic import Field

from stages.common.params.block import ParamsBlock


class SelectParams(ParamsBlock):
    """`select` block. The paper keeps at most two correct and two incorrect samples per problem, balanced."""

    max_correct: int | None = Field(default=2, ge=1)
    """Correct samples kept per problem, null for all."""
    max_incorrect: int | None = Field(default=2, ge=1)
    """Incorrect samples kept per problem, null for all."""
    require_both: bool = True
    """Drop problems that lack a correct or an incorrect sample."""
    balance: bool = True
    """Keep as many correct as incorrect samples per problem (the smaller number)."""
    deduplicate: bool = True
    """Keep one of several samples with the same completion for one problem."""
