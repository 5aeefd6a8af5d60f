"""Settings of the judge."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.common.params.block import ParamsBlock
from stages.common.params.llm import EngineParams


class WeakJudgeParams(ParamsBlock):
    """What a fake engine plays: a judge that knows the day world's rule and errs on purpose."""

    wrong: float = Field(ge=0, le=1)
    """Share of its verdicts that are the opposite of the rule's, which calls correct what it knows nothing about."""
    useless: float = Field(ge=0, le=1)
    """Share of its replies that cannot be used."""


class ServedJudgeParams(ParamsBlock):
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


class PrmParams(ParamsBlock):
    """A process reward model: it gives each step a score, the probability that the step is right."""

    model: str
    """A Hub id or a folder; weights in safetensors, and no code of its own."""
    revision: str | None = Field(pattern=r"^[0-9a-f]{40}$")
    """Commit of a Hub model; null for a folder, which is known by the hash of its files."""
    layout: Literal["token_classification", "step_tag"]
    """`token_classification` (TRL): class 1 at the separator's last token. `step_tag` (Math-Shepherd): a language
    model's choice between two tokens after the tag."""
    problem: str
    """Text before the steps, with `{problem}` where the problem stands."""
    step: str
    """Text of a step, with `{step}`, and `{number}` if the steps are numbered, from 1."""
    separator: str = Field(min_length=1)
    """What follows each step: TRL's separator, or the tag."""
    between: str
    """What stands before each step but the first: a line feed with Math-Shepherd, nothing with TRL."""
    right_token: str | None
    """Token that calls a step right, as the vocabulary spells it (`▁+`, with `▁` for a space); for `step_tag`."""
    wrong_token: str | None
    right_from: float = Field(ge=0, le=1)
    """Score from which a step is right."""
    wrong_below: float = Field(ge=0, le=1)
    """Score below which it is wrong; it is unknown between the two."""
    max_tokens: int | None = Field(ge=1)
    """Longest problem and solution together; steps of longer ones are unknown. null: what the model can read."""
    dtype: Literal["float32", "bfloat16", "float16"]
    """Type of the weights in memory; another type is another judge."""
    batch: int = Field(ge=1)
    """Solutions scored at once."""

    def problem_text(self, problem: str) -> str:
        """What stands before the steps."""
        before, _, after = self.problem.partition("{problem}")
        return before + problem + after

    def step_text(self, number: int, step: str) -> str:
        """What stands for step `number`, counted from 1; braces in its own text mean nothing."""
        before, _, after = self.step.replace("{number}", str(number)).partition("{step}")
        return (self.between if number > 1 else "") + before + step + after

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        for key, text in (("problem", self.problem), ("step", self.step)):
            if text.count(f"{{{key}}}") != 1:
                raise ValueError(f"{key}: {{{key}}} must stand in it once, found {text!r}")
        tokens = [self.right_token, self.wrong_token]
        if self.layout == "step_tag" and (None in tokens or self.right_token == self.wrong_token):
            raise ValueError("right_token, wrong_token: layout step_tag needs two tokens")
        if self.layout == "token_classification" and tokens != [None, None]:
            raise ValueError("right_token, wrong_token: for layout step_tag, null for token_classification")
        if self.wrong_below > self.right_from:
            raise ValueError("wrong_below: above right_from, so that a score would be both")
        return self


class RequireParams(ParamsBlock):
    """What the judge must reach on people's labels before it labels anything."""

    f1: float = Field(ge=0, le=1)
    """ProcessBench's F1: harmonic mean of the shares of erroneous solutions whose first wrong step it finds, and of
    correct ones in which it calls every step right."""
    files: list[str] = Field(min_length=1)
    """Solutions with known first errors: JSON Lines in the shape of ProcessBench."""
    solutions: int | None = Field(ge=1)
    """How many of them, drawn by hash; null for all."""


class JudgeParams(ParamsBlock):
    """`judge` block."""

    kind: Literal["exact", "arithmetic", "none", "served", "prm"]
    """`exact` is the day world's rule; `arithmetic` calls a step wrong where it states a false numeric equality and
    leaves every other unknown; `none` leaves every step unknown; `served` prompts a language model; `prm` takes the
    scores of a process reward model."""
    served: ServedJudgeParams | None
    second: ServedJudgeParams | None
    """Another model, null for none: with it, a label counts where both agree."""
    prm: PrmParams | None
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
        """The models asked: none for a rule, or where scores are computed here."""
        return [model for model in (self.served, self.second) if model is not None] if self.kind == "served" else []

    @model_validator(mode="after")
    def _models_fit_the_kind(self) -> Self:
        if self.kind == "served" and self.served is None:
            raise ValueError("served: null, which kind served needs")
        if self.kind == "prm" and self.prm is None:
            raise ValueError("prm: null, which kind prm needs")
        if self.kind == "prm" and self.votes > 1:
            raise ValueError("votes: a process reward model gives the same score each time; set 1")
        if len({(model.model, model.revision, model.weak) for model in self.models}) < len(self.models):
            raise ValueError("second: the model of served, whose mistakes it shares; name another")
        if self.votes > 1 and any(model.temperature == 0 for model in self.models):
            raise ValueError("votes: more than one at temperature 0 are the same vote; raise the temperature")
        return self
