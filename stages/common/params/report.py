"""Params of the report."""

from typing import Literal

from pydantic import Field

from stages.common.params.block import ParamsBlock


class ReportParams(ParamsBlock):
    """`report` block."""

    title: str = "Step-KTO"
    """Heading of the page, and the beginning of published titles."""
    num_completions: int = Field(default=6, ge=0)
    """Labelled completions shown per policy."""
    paper: Literal["llama-3.1-8b", "llama-3.3-70b"] | None = None
    """The paper's model whose published results are shown beside ours; null for none."""
