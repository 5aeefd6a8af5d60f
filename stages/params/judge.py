"""Settings of the judge."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.params.base import Block
from stages.params.llm import EngineParams


class WeakJudgeParams(Block):
    """What a fake engine plays: a judge that knows the day world's rule and errs on purpose."""

    wrong: float = Field(ge=0, le=1)
    """Share of its verdicts that are the opposite of the rule's, which calls correct what it knows nothing about."""
    useless: float = Field(ge=0, le=1)
    """Share of its replies that cannot be used."""


class ServedJudgeParams(Block):
    """A language model that judges steps. The paper prompts Llama-3.1-70B and shows it the reference solution; its
    prompt, temperature and number of votes are not known."""

    engine: EngineParams
    weak: WeakJudgeParams | None
    """For engines of kind fake, null for every other."""
    model: str
    """A Hub id or a folder; for a vendor's API the name that it gives the model."""
    revision: str | None
    """Commit of a Hub model; null for a model that has none, as behind a vendor's API."""
    mode: Literal["solution", "step"]
    """One call for a whole solution, or one for each of its steps."""
    prompt: str = Field(pattern=r"^[a-z0-9_-]+$")
    """Template in stages/judge/prompts, without `.jinja`. Its text makes the judge what it is, not its name."""
    temperature: float = Field(ge=0)
    max_tokens: int = Field(ge=1)
    """Longest reply, in tokens; a longer one is cut, and a failed try."""
    tries: int = Field(ge=1)
    """How often a vote is asked for until a reply can be used."""
    max_characters: int = Field(ge=1)
    """Problem, reference and solution together; steps of longer ones are unknown. Keep it within the model's context:
    a server that refuses a prompt for its length stops the stage."""

    @model_validator(mode="after")
    def _a_fake_is_weak_and_nothing_else_is(self) -> Self:
        if (self.engine.kind == "fake") is (self.weak is None):
            raise ValueError("weak: says how a fake engine errs: set for one, null for every other")
        return self


class RequireParams(Block):
    """What the judge must reach on people's labels before it labels anything."""

    f1: float = Field(ge=0, le=1)
    """ProcessBench's F1: harmonic mean of the shares of erroneous solutions whose first wrong step it finds, and of
    correct ones in which it calls every step right."""
    files: list[str] = Field(min_length=1)
    """Solutions with known first errors: JSON Lines in the shape of ProcessBench."""
    solutions: int | None = Field(ge=1)
    """How many of them, drawn by hash; null for all."""


class JudgeParams(Block):
    """`judge` block."""

    kind: Literal["exact", "arithmetic", "none", "served"]
    """`exact` is the day world's rule; `arithmetic` calls a step wrong where it states a false numeric equality and
    leaves every other unknown; `none` leaves every step unknown; `served` prompts a language model."""
    served: ServedJudgeParams | None
    second: ServedJudgeParams | None
    """Another model, null for none: with it, a label counts where both agree."""
    votes: int = Field(ge=1)
    """V, votes per step and model."""
    min_agreement: float = Field(gt=0.5, le=1)
    """Share of votes that must agree, else the step is unknown."""
    require: RequireParams | None
    """A gate before labelling, null for none."""
    flip: float = Field(ge=0, le=1)
    """Share of known labels flipped on purpose, by the step's hash: for studies of label noise; 0 otherwise."""

    @property
    def models(self) -> list[ServedJudgeParams]:
        """The models asked: none for a rule."""
        return [model for model in (self.served, self.second) if model is not None] if self.kind == "served" else []

    @model_validator(mode="after")
    def _models_fit_the_kind(self) -> Self:
        if self.kind == "served" and self.served is None:
            raise ValueError("served: null, which kind served needs")
        if len({(model.model, model.revision, model.weak) for model in self.models}) < len(self.models):
            raise ValueError("second: the model of served, whose mistakes it shares; name another")
        if self.votes > 1 and any(model.temperature == 0 for model in self.models):
            raise ValueError("votes: more than one at temperature 0 are the same vote; raise the temperature")
        return self
