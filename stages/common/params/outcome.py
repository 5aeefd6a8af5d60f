"""Params of the outcome stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.common.params.block import ModelName, ParamsBlock
from stages.common.params.engine import EngineParams


class ModelVerifierParams(ParamsBlock):
    """A model that is asked about verdicts which the rules leave unknown. Its "correct" and "incorrect" count only if
    it says the same with gold answer and answer in both orders."""

    engine: EngineParams
    """How the model is run or reached."""
    model: ModelName
    """A Hub repo or a folder; behind a vendor's API the vendor's name for the model."""
    revision: str | None = None
    """Commit of a Hub model; null for a model that has none."""
    prompt: Literal["llm", "xverify", "compass_verifier"] = "llm"
    """The prompt's shape: `llm` for any instructed model, the others for the verifier models of that name."""
    temperature: float | None = Field(default=0.0, ge=0)
    """null: not sent, for servers that take none."""
    max_tokens: int = Field(default=64, ge=1)
    """Longest reply in tokens; a longer one is no verdict."""
    max_answer_chars: int = Field(default=200, ge=1)
    """No model is asked about a longer answer."""
    asks_by_shape: bool = False
    """Whether it is also asked where the rules say incorrect by shape, since a list is no number or words differ. It is
    never asked where values contradict each other."""


class OutcomeParams(ParamsBlock):
    """`outcome` block. The verifier is chosen by the problem's `task`."""

    timeout_s: float = Field(default=5.0, gt=0)
    """Seconds after which the comparison of two answers ends and its verdict is unknown. The paper: not known."""
    guess: bool = False
    """Whether an answer counts that is one of several values of the last sentence; otherwise its verdict is unknown."""
    second_verifier: ModelVerifierParams | None = None
    """Asked where the rules' verdict is unknown, or incorrect by shape, in rounds only; null for none. The paper: not
    known."""
