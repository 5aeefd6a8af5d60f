"""Settings of the report."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.common.params.block import ParamsBlock


class ReportParams(ParamsBlock):
    """`report` block."""

    title: str
    solutions: int = Field(ge=0)
    """Labelled solutions shown per round."""
    paper: Literal["llama-3.1-8b", "llama-3.3-70b"] | None
    """Whose figures of the paper stand beside ours; null where the recipe is none of the paper's."""
