"""Params of the splitter."""

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.common.params.block import ModelName, ParamsBlock
from stages.common.params.engine import EngineParams


class BoundaryModelParams(ParamsBlock):
    """A language model that names the lines at which steps begin."""

    engine: EngineParams
    """How the model is run or reached."""
    model: ModelName
    """A Hub repo, or a folder, which is known by the hash of its files; behind a vendor's API the vendor's name."""
    revision: str | None = None
    """Commit of a Hub model; null for a model that has none, as behind a vendor's API."""
    temperature: float | None = Field(default=0.0, ge=0)
    """null: the server's own. Above 0, each attempt is another draw."""
    max_tokens: int = Field(default=4096, ge=1)
    """Longest reply in tokens. A longer one is cut, and therefore invalid."""
    max_attempts: int = Field(default=3, ge=1)
    """Requests for one text until a reply is valid; then the rules divide it."""
    max_chars: int = Field(default=100_000, ge=1)
    """The rules divide a longer text."""


class SplitParams(ParamsBlock):
    """`split` block. docs/steps.md says what a step is."""

    shape: Literal["auto", "headings", "paragraphs", "lines", "sentences", "model"] = "auto"
    """Where steps begin: at headings ("Step 1:", numbered items), after blank lines, at every line, or at every
    sentence. `auto` takes the first of these that divides the completion; `model` asks the one of `llm`."""
    paragraphs_after_heading: Literal["keep", "split"] = "keep"
    """Whether all paragraphs below a heading belong to its step, or each further one is a step."""
    max_steps: int = Field(default=64, ge=1)
    """Where there are more steps, neighbours are joined: equally many in each, the last step on its own."""
    thinking: Literal["split", "whole"] = "split"
    """Thinking in a completion (up to `</think>`) is split as the rest is, or one whole step. A step begins after it in
    both cases, and the steps of the answer come first in `max_steps`."""
    llm: BoundaryModelParams | None = None
    """For shape model."""

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        if (self.shape == "model") is (self.llm is None):
            raise ValueError("llm: expected a block for shape model, and null for every other shape")
        return self
