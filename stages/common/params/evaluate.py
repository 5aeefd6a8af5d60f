"""Params of evaluation."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from stages.common.params.block import ParamsBlock, read_yaml, validate
from stages.common.params.judge import JudgeParams

BenchmarkName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
"""A name that can be a folder and the prefix of a column's name."""


class HubBenchmarkParams(ParamsBlock):
    """A benchmark in a dataset of the Hugging Face Hub."""

    repo: str
    """The dataset's id, ``owner/name``."""
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    """Commit of the dataset: another commit may hold other problems."""
    split: str
    """Split of the dataset; all of it is evaluated."""


class FileBenchmarkParams(ParamsBlock):
    """A benchmark in a local JSON Lines file."""

    path: str
    """Path of the file."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the file's bytes: another file may hold other problems."""


class BenchmarkParams(ParamsBlock):
    """Problems with gold answers: `problem` (or `question`), `answer`, and optionally `solution`.

    Either every row is read or the benchmark is refused, since fewer rows would be another benchmark.
    """

    hub: HubBenchmarkParams | None = None
    """The dataset to read; null if `file` is given."""
    file: FileBenchmarkParams | None = None
    """The file to read; null if `hub` is given."""
    task: str = "math"
    """The task of its problems, which chooses the verifier of their answers."""

    @model_validator(mode="after")
    def _check_one_origin(self) -> Self:
        if (self.hub is None) == (self.file is None):
            raise ValueError("expected either hub or file; give exactly one of the two")
        return self


class RateParams(ParamsBlock):
    """A measured rate."""

    value: float = Field(ge=0, le=1)
    """The rate, 0 to 1."""
    denominator: int | None = Field(default=None, ge=1)
    """Completions that it was measured on; null if it is known exactly."""


class JudgeRatesParams(ParamsBlock):
    """How often the judge is correct about a whole completion, measured on completions with human labels.

    Sensitivity is the fraction of completions with an incorrect step in which it labels some step incorrect;
    specificity is the fraction of completions without one in which it labels none incorrect. Unknown is not incorrect.
    """

    sensitivity: RateParams
    """Of completions with an incorrect step."""
    specificity: RateParams
    """Of completions without an incorrect step."""

    @model_validator(mode="after")
    def _check_better_than_chance(self) -> Self:
        if self.sensitivity.value + self.specificity.value <= 1:
            raise ValueError(
                "sensitivity and specificity add up to no more than 1: such a judge is no better than chance and "
                "carries no information about the true rate"
            )
        return self


class HumanLabelsParams(ParamsBlock):
    """Human labels of steps, in a file that ``stepkto audit serve`` appends to."""

    path: str
    """Path of the file."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the file's bytes: later labels count once this hash is updated, so no number changes unnoticed."""


class EvaluateParams(ParamsBlock):
    """`evaluate` block. The paper: Pass@1 greedy, Maj@8 at temperature 0.7, on MATH-500, AMC23 and AIME24."""

    split: Literal["train", "validation", "test"] | None = "test"
    """Split of the problems to evaluate on; null for none. `train` is for recorded completions, which train nothing."""
    benchmarks: dict[BenchmarkName, BenchmarkParams] = Field(default_factory=dict)
    """Other sets of problems by name, each evaluated separately."""
    num_problems: int | None = Field(default=None, ge=1)
    """Problems evaluated of the split and of each benchmark, the first by id; null for all."""
    num_majority_samples: int = Field(default=8, ge=0)
    """k: samples per problem for Maj@k, Pass@k and Pass@1 averaged over k; 0 leaves these out."""
    temperature: float = Field(default=0.7, gt=0)
    """Temperature of these samples."""
    num_bootstrap_samples: int = Field(default=2000, ge=100)
    """Bootstrap draws of problems for the 95% intervals."""
    judge: JudgeParams | None = None
    """Judge of the evaluated steps; null for the judge that labels the training data, without its label noise. The
    paper trains on labels of Llama-3.1-70B and evaluates with QwQ-32B."""
    judge_rates: JudgeRatesParams | None = None
    """Error rates of this judge, used to correct the rate of stepwise errors; null for no correction."""
    human_labels: HumanLabelsParams | None = None
    """Human labels of evaluated steps, used to score this judge; null for none."""


def load_benchmarks(path: Path) -> dict[str, BenchmarkParams]:
    """The benchmarks of the YAML file `path` by name, without the rest of the block."""
    benchmarks = (read_yaml(path).get("evaluate") or {}).get("benchmarks") or {}
    return {
        name: validate(BenchmarkParams, value, f"{path}: evaluate.benchmarks.{name}")
        for name, value in benchmarks.items()
    }
