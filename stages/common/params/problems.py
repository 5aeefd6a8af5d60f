"""Params of the problems stage."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stages.common.params.block import LocalFile, ParamsBlock
from stages.common.params.evaluate import HubBenchmarkParams


class ToyProblemsParams(ParamsBlock):
    """Number of toy arithmetic problems to make for each split."""

    train: int = Field(default=1500, ge=1)
    validation: int = Field(default=300, ge=1)
    test: int = Field(default=500, ge=1)


class SchoolProblemsParams(ParamsBlock):
    """School problems: their number in each split, and the numbers in them, on which hangs how hard they are."""

    train: int = Field(default=3000, ge=1)
    validation: int = Field(default=300, ge=1)
    test: int = Field(default=500, ge=1)
    min_factor: int = Field(default=2, ge=2)
    """Least number of things, prices and rates in a story."""
    max_factor: int = Field(default=6, le=12)
    """Greatest of these. Small models fail to multiply: with 6 SmolLM2-135M has about half of the answers right after a
    supervised pass, with two-digit numbers nearly none."""

    @model_validator(mode="after")
    def _check_factors(self) -> Self:
        if self.max_factor < self.min_factor + 3:
            raise ValueError(f"max_factor: expected {self.min_factor + 3} or more, found {self.max_factor}")
        return self


Columns = dict[Annotated[str, Field(pattern="^(problem|solution|answer|source)$")], str]
"""``{field: column}`` where the columns of a data set have other names than those that are known."""


class HubDatasetParams(ParamsBlock):
    """A data set of the Hub in one of the shapes that `files` has."""

    repo: str = "AI-MO/NuminaMath-CoT"
    name: str | None = None
    """Configuration of the data set (`main` of openai/gsm8k); null where it has one only."""
    revision: str = Field(default="9d8d210c9f6a36c8f3cd84045668c9b7800ef517", pattern=r"^[0-9a-f]{40}$")
    """Commit of the data set; a branch name would make the round irreproducible."""
    split: str = "train"
    """Split of the data set to read."""
    columns: Columns = Field(default_factory=dict)
    """As in `files`."""


class FilesParams(ParamsBlock):
    """Local files: JSON Lines or CSV, with .gz after it where they are compressed, or Parquet.

    Read as they are: NuminaMath-CoT and 1.5, MATH (problem, solution) and GSM8K (question, answer that ends in `####`).
    A column `answer` beside the solution is the gold answer instead of the last box.
    """

    paths: list[LocalFile] = Field(min_length=1)
    source: str | None = None
    """Source of rows that have no column `source`; null: the file's name up to its first dot."""
    get_from: str | None = None
    """Where files that are missing can be found: for the message."""
    columns: Columns = Field(default_factory=dict)
    """Names of the columns where they are others: `{problem: prompt, solution: response, answer: result}`."""


class FilterParams(ParamsBlock):
    """Which problems are dropped; each filter has its own drop reason."""

    drop_sources: list[str] = Field(default=["orca_math", "synthetic_math", "synthetic_amc"])
    """Sources to drop. The paper drops synthetic and orca_math data as not verified by people."""
    drop_invalid: bool = True
    """Rows whose `problem_is_valid` or `solution_is_valid` is not Yes; columns of NuminaMath-1.5, as the next."""
    drop_synthetic: bool = True
    """Rows whose `synthetic` is true."""
    drop_proofs: bool = True
    """Problems that ask only for a proof, and rows whose `question_type` is proof."""
    drop_conflicting_answers: bool = True
    """Rows whose column `answer` is not equal to the last box of the solution; one that may be equal is kept."""
    drop_multiple_questions: bool = True
    """Problems in several parts, and solutions with several different boxed answers."""
    drop_figures: bool = True
    """Problems that contain or mention a figure."""
    drop_non_text: bool = True
    """Texts that are badly encoded or mostly not Latin script and mathematics."""
    max_chars: int = Field(default=20_000, ge=100)
    """Longest problem or solution kept, in characters."""


class NearDuplicateParams(ParamsBlock):
    """Near-duplicate removal by MinHash over word n-grams."""

    ngram: int = Field(default=5, ge=1)
    """Words per shingle."""
    threshold: float = Field(default=0.8, gt=0, le=1)
    """Jaccard similarity from which the problem with the greater id is dropped."""


class DecontaminationParams(ParamsBlock):
    """n-gram overlap against the evaluation sets, those that `evaluate.benchmarks` names and further ones.

    The paper's own method is not known.
    """

    hub: list[HubBenchmarkParams] = Field(default_factory=list)
    """Further evaluation problems of the Hub, with a column `problem` (or `question`)."""
    files: list[LocalFile] = Field(default_factory=list)
    """Further ones of local files, with the same columns."""
    ngram: int = Field(default=10, ge=3)
    """Words per n-gram; a problem that shares one with an evaluation problem is dropped."""


class SplitFractions(ParamsBlock):
    """Fractions of the problems held out, decided by the problem's id."""

    validation: float = Field(ge=0, lt=1)
    test: float = Field(ge=0, lt=1)

    @model_validator(mode="after")
    def _check_train_fraction(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test leave no problem for training")
        return self


class ProblemsParams(ParamsBlock):
    """`problems` block."""

    reader: Literal["toy_arithmetic", "school", "hub", "files"] = "hub"
    """Where rows come from; only the block of the same name is read."""
    toy_arithmetic: ToyProblemsParams | None = ToyProblemsParams()
    school: SchoolProblemsParams | None = SchoolProblemsParams()
    hub: HubDatasetParams | None = HubDatasetParams()
    files: FilesParams | None = None
    """Required for reader `files`."""
    task: str = "math"
    """The task of the problems, which chooses the verifier of their answers."""
    filters: FilterParams = FilterParams()
    near_duplicates: NearDuplicateParams | None = None
    """How near-duplicates are dropped; null keeps them."""
    decontamination: DecontaminationParams | None = DecontaminationParams()
    """How problems of the evaluation sets are dropped; null keeps them. `toy_arithmetic` and `school`, whose problems
    are made from a few templates, are held against further sets alone."""
    splits: SplitFractions | None = None
    """How rows are split; needed by readers `hub` and `files`, null for `toy_arithmetic` and
    `school`, which make their splits."""
    limit: int | None = Field(default=None, ge=1)
    """At most this many rows are read (null: all); for trying a recipe."""

    @property
    def makes_problems(self) -> bool:
        """Whether the reader in use makes problems and their splits, from a few templates."""
        return self.reader in ("toy_arithmetic", "school")

    @property
    def columns(self) -> Columns:
        """The map of columns of the reader in use."""
        block = {"hub": self.hub, "files": self.files}.get(self.reader)
        return block.columns if block else {}

    @model_validator(mode="after")
    def _check_reader(self) -> Self:
        if getattr(self, self.reader) is None:
            raise ValueError(f"reader {self.reader} needs the block {self.reader}, which is null")
        if self.splits is not None and self.makes_problems:
            raise ValueError(f"splits: reader {self.reader} makes its own; leave this out")
        if self.splits is None and not self.makes_problems:
            raise ValueError(
                f"splits: missing; give reader {self.reader} the fractions to hold out, such as splits: "
                "{validation: 0.05, test: 0.1}, or set reader to toy_arithmetic"
            )
        return self
