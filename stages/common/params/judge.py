"""Params of the judge."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from stages.common.params.block import KindParams, LocalFile, ModelName, ParamsBlock, read_yaml, validate
from stages.common.params.engine import EngineParams
from stages.common.params.judge_checks import JudgeChecksParams
from stages.common.params.prm import PrmParams

VotingMode = Literal["completion", "step", "critique"]

ReasoningMode = Literal["none", "verdict_first", "before_verdict", "tags", "field", "two_turns"]

FREE_REASONING = ("tags", "field", "two_turns")
"""Modes in which the judge thinks freely before its JSON."""

JudgeScope = Literal["selected", "all"]


class MockJudgeParams(ParamsBlock):
    """What a mock engine plays: a judge that knows the rule of toy arithmetic and errs at set rates."""

    error_rate: float = Field(default=0.0, ge=0, le=1)
    """Fraction of its verdicts that are the opposite of the rule's; steps unknown to the rule are called correct."""
    invalid_rate: float = Field(default=0.0, ge=0, le=1)
    """Fraction of its replies that are invalid."""


class LlmJudgeParams(ParamsBlock):
    """A language model as judge. The paper prompts Llama-3.1-70B and shows it the reference solution; its prompt,
    temperature and number of votes are not known."""

    engine: EngineParams
    """How the model is run or reached."""
    mock: MockJudgeParams | None = None
    """How the judge errs on an engine of kind mock; null for every other kind."""
    model: ModelName
    """A Hub repo, or a folder, which is known by the hash of its files; behind a vendor's API the vendor's name."""
    revision: str | None = None
    """Commit of a Hub model; null for a model that has none, as behind a vendor's API."""
    mode: VotingMode = "completion"
    """`completion`: one request per completion, with a verdict for each step. `step`: one per step, which shows the
    steps up to it. `critique`, the task of ProcessBench: one per completion, for the first incorrect step; those before
    it are then correct, those after it unknown."""
    reasoning: ReasoningMode = "before_verdict"
    """Where the judge reasons. In its JSON: `before_verdict`, an analysis before each verdict; `verdict_first`, a
    rationale after it; `none`, verdicts alone. Freely, before the JSON: `tags`, between <think> tags in its text;
    `field`, apart from the text, as a server with a reasoning parser gives it; `two_turns`, for models that think
    without marks: a first request for the reasoning, a second one in the same conversation for the verdicts."""
    reasoning_tokens: int = Field(default=8192, ge=1)
    """Longest free thinking in tokens, besides `max_tokens`. A reply whose thinking is cut is invalid."""
    prompt: str | None = Field(default=None, pattern=r"^[a-z0-9_-]+$")
    """Template in stages/judge/llm/prompts, without `.jinja`; null: the one named after the mode. The judge's identity
    is the template's text, not its name."""
    temperature: float | None = Field(default=0.0, ge=0)
    """Not known of the paper. More than one vote needs a temperature above 0. null: the server's own."""
    max_tokens: int = Field(default=4096, ge=1)
    """Longest reply in tokens, without free thinking. A longer one is cut, and therefore invalid."""
    max_attempts: int = Field(default=3, ge=1)
    """Requests for one vote until a reply is valid."""
    max_chars: int = Field(default=100_000, ge=1)
    """Limit on problem, reference solution and steps together; steps of longer ones are unknown. Keep it within the
    model's context: a server that refuses a prompt for its length stops the stage."""

    @property
    def template(self) -> str:
        """Name of the prompt template."""
        return self.prompt or self.mode

    @property
    def has_two_turns(self) -> bool:
        """Whether a vote takes two requests."""
        return self.reasoning == "two_turns"

    @property
    def max_vote_tokens(self) -> int:
        """Most tokens generated for one vote, thinking included."""
        thinking = self.reasoning_tokens if self.reasoning in FREE_REASONING else 0
        return thinking + self.max_tokens

    @model_validator(mode="after")
    def _check_mock(self) -> Self:
        if (self.engine.kind == "mock") is (self.mock is None):
            raise ValueError("mock: expected a block for an engine of kind mock, and null for every other kind")
        return self


class HumanJudgeParams(ParamsBlock):
    """Labels by people instead of a judge's."""

    file: LocalFile
    """Human labels as the label page writes them, known by the hash of the file. A step is labelled where all people
    say the same of it, or as it was adjudicated; every other is unknown."""


class GateParams(ParamsBlock):
    """What the judge must reach on human labels before it labels anything."""

    min_f1: float = Field(ge=0, le=1)
    """ProcessBench's F1: harmonic mean of the fraction of erroneous solutions whose first error is found, and of the
    fraction of correct ones in which every step is called correct."""
    files: list[LocalFile] = Field(min_length=1)
    """Solutions whose steps people labelled, in a format of `stepkto calibrate`. The gate reads their test split: their
    dev split is for choosing prompts and thresholds."""
    max_solutions: int | None = Field(default=None, ge=1)
    """Number of solutions used, chosen by hash; null for all of the split."""


class JudgeParams(KindParams):
    """`judge` block."""

    seam = "judge"
    built_in = ("arithmetic", "human", "llm", "none", "prm", "reference", "rules", "toy_arithmetic")

    kind: str
    """`llm` prompts a language model; `prm` takes the scores of a process reward model; `arithmetic` calls a step
    incorrect if it states a false numeric equality and leaves every other unknown; `reference` calls a step correct
    whose computations are those of the reference solution; `rules` are several rules in order; `toy_arithmetic` is the
    exact rule of toy arithmetic; `human` takes labels by people; `none` leaves every step unknown."""
    rules: list[str] | None = Field(default=None, min_length=1)
    """For kind rules: kinds of rules in order. The first that calls a step correct or incorrect labels it."""
    llm: LlmJudgeParams | None = None
    """For kind llm."""
    second_judge: LlmJudgeParams | None = None
    """Another model for kind llm, null for none: a step is then labelled only if both models agree."""
    prm: PrmParams | None = None
    """For kind prm."""
    human: HumanJudgeParams | None = None
    """For kind human."""
    scope: JudgeScope = "selected"
    """Which of a round's samples are split and judged: those that `select` keeps, or `all`, for labels of samples that
    are not trained on. An evaluation judges all of its own."""
    num_votes: int = Field(default=1, ge=1)
    """V, votes per step and model. Not known of the paper."""
    min_agreement: float = Field(default=0.6, gt=0.5, le=1)
    """Fraction of votes that must agree, otherwise the step is unknown."""
    gate: GateParams | None = None
    """What the judge must reach before it labels; null for no gate."""
    checks: JudgeChecksParams = JudgeChecksParams()
    """Signs of a degenerate judge, looked for before it labels."""
    label_noise: float = Field(default=0.0, ge=0, le=1)
    """Fraction of known labels flipped on purpose, chosen by the step's hash: for experiments with label noise."""

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        if self.kind in ("human", "llm", "prm", "rules") and self.kind_params is None:
            raise ValueError(f"{self.kind}: null, but kind {self.kind} requires it")
        if self.kind == "rules" and "human" in (self.rules or ()) and self.human is None:
            raise ValueError("human: null, but kind human requires it")
        if self.kind == "prm" and self.num_votes > 1:
            raise ValueError("num_votes: a process reward model gives the same score each time; set 1")
        models = [model for model in (self.llm, self.second_judge) if model is not None] if self.kind == "llm" else []
        if len({(model.model, model.revision, model.mock) for model in models}) < len(models):
            raise ValueError("second_judge: the same model as llm, with the same errors; name another")
        if self.num_votes > 1 and any(model.temperature == 0 for model in models):
            raise ValueError("num_votes: at temperature 0 all votes are the same; raise temperature, or set 1")
        return self


class _ScopeParams(ParamsBlock):
    scope: JudgeScope = "selected"


def load_scope(recipe: Path) -> JudgeScope:
    """`judge.scope` alone, for stages that do not change with how the judge judges."""
    judge = read_yaml(recipe).get("judge") or {}
    own = {key: judge[key] for key in judge if key == "scope"}
    return validate(_ScopeParams, own, f"{recipe}: judge").scope
