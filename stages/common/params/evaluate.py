"""Settings of evaluation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from stages.common.params.block import ParamsBlock
from stages.common.params.judge import JudgeParams

BenchmarkName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
"""A name that can be a folder and the beginning of a column's name."""


class HubBenchmarkParams(ParamsBlock):
    """A benchmark among the Hub's data sets."""

    repo: str
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    """Commit of the data set: another one may have other problems."""
    split: str
    """Split of the data set; whatever it is called, all of it is evaluated."""


class FileBenchmarkParams(ParamsBlock):
    """A benchmark in a local file: JSON Lines."""

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the file's bytes: another file may have other problems."""


class BenchmarkParams(ParamsBlock):
    """Problems with gold answers: `problem` (or `question`), `answer`, and `solution` where there is one.

    Read whole or refused, since a benchmark with a row less is another benchmark.
    """

    hub: HubBenchmarkParams | None
    file: FileBenchmarkParams | None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.hub is None) == (self.file is None):
            raise ValueError("a benchmark is either of the hub or a file: give one of the two and null for the other")
        return self


class RateParams(ParamsBlock):
    """A measured share."""

    value: float = Field(ge=0, le=1)
    denominator: int | None = Field(ge=1)
    """Solutions that it was measured on, null for a share taken as exact."""


class JudgeRatesParams(ParamsBlock):
    """How often the judge is right about a whole solution, as measured on solutions that people labelled.

    Sensitivity is the share of solutions with a wrong step in which it calls some step wrong, specificity the share of
    solutions without one in which it calls none wrong; a step called unknown is not called wrong.
    """

    sensitivity: RateParams
    specificity: RateParams

    @model_validator(mode="after")
    def _better_than_chance(self) -> Self:
        if self.sensitivity.value + self.specificity.value <= 1:
            raise ValueError(
                "sensitivity and specificity add up to no more than 1: such a judge is no better than chance, and says "
                "nothing about the true share"
            )
        return self


class PeopleParams(ParamsBlock):
    """What people said of steps, as ``python -m tools.audit serve`` appends it to a file."""

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the file's bytes: verdicts that came later count once this says so, and no figure changes unasked."""


class EvaluateParams(ParamsBlock):
    """`evaluate` block. The paper: Pass@1 greedy, Maj@8 at temperature 0.7, on MATH-500, AMC23 and AIME24."""

    split: Literal["train", "validation", "test"] | None
    """Which problems; null for none. `train` is for recorded solutions, from which nothing was learnt."""
    benchmarks: dict[BenchmarkName, BenchmarkParams]
    """Problems from elsewhere, each set measured by itself."""
    problems: int | None = Field(ge=1)
    """Problems evaluated of the split and of each benchmark, the first by id; null for all."""
    majority: int = Field(ge=0)
    """k, samples per problem for the majority vote, Pass@k and Pass@1 averaged over k; 0 leaves them out."""
    temperature: float = Field(gt=0)
    """Temperature of these samples."""
    bootstrap: int = Field(ge=100)
    """Resamples of problems for the 95% intervals."""
    judge: JudgeParams | None
    """Who judges the steps here; null for the judge that labels the training data, without its flips. The paper
    trains on the labels of Llama-3.1-70B and measures with QwQ-32B."""
    judge_rates: JudgeRatesParams | None
    """Error rates of the judge that judges here, by which the share of stepwise errors is corrected; null for none."""
    people: PeopleParams | None
    """Verdicts of people on steps evaluated here, by which this judge is scored; null for none."""
