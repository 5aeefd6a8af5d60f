"""Settings of the problems stage."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.common.params.block import ParamsBlock


class DayWorldParams(ParamsBlock):
    """How many day-world problems to make for each split."""

    train: int = Field(ge=1)
    validation: int = Field(ge=1)
    test: int = Field(ge=1)


class HubParams(ParamsBlock):
    """A data set of the Hub in NuminaMath-CoT's schema."""

    repo: str
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    """Commit of the data set; a branch name would make the round irreproducible."""
    split: str
    """Split of the data set to read."""


class FilesParams(ParamsBlock):
    """Local files in NuminaMath-CoT's schema, JSON Lines (.jsonl) or Parquet (.parquet).

    `question` is read as problem and `reference_solution` as solution; a column `answer`, where there is one, is the
    gold answer instead of the last box.
    """

    paths: list[str] = Field(min_length=1)
    source: str | None
    """Source of rows that have no column `source`; null: such a row is dropped."""


class FilterParams(ParamsBlock):
    """What makes a problem unfit, each with its own drop reason."""

    drop_sources: list[str]
    """Sources left out. The paper drops synthetic and orca_math data as not verified by people."""
    drop_proofs: bool
    """Problems that ask for a proof and nothing else."""
    drop_multiple_questions: bool
    """Problems in several parts, and solutions with several differing boxed answers."""
    drop_figures: bool
    """Problems that hold or mention a figure."""
    drop_non_text: bool
    """Texts that are badly encoded or mostly not Latin script and mathematics."""
    max_characters: int = Field(ge=100)
    """Longest problem or solution kept, in characters."""


class NearDuplicateParams(ParamsBlock):
    """Near-duplicate removal by MinHash over word n-grams."""

    ngram: int = Field(ge=1)
    """Words per shingle."""
    threshold: float = Field(gt=0, le=1)
    """Jaccard similarity from which the one of two problems with the greater id is dropped."""


class DecontaminationParams(ParamsBlock):
    """n-gram overlap against the evaluation sets; the paper's own method is not known."""

    files: list[str] = Field(min_length=1)
    """Evaluation problems, JSON Lines or Parquet with a `problem` (or `question`) column."""
    ngram: int = Field(ge=3)
    """Words per n-gram; a problem that shares one with an evaluation problem is dropped."""


class SplitShares(ParamsBlock):
    """Shares of problems held out, decided by the problem's id."""

    validation: float = Field(ge=0, lt=1)
    test: float = Field(ge=0, lt=1)

    @model_validator(mode="after")
    def _leave_some(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test leave no problem for training")
        return self


class ProblemsParams(ParamsBlock):
    """`problems` block."""

    reader: Literal["day_world", "hub", "files"]
    """Where rows come from; the block of the same name must be given, the two others are not read."""
    day_world: DayWorldParams | None
    hub: HubParams | None
    files: FilesParams | None
    filters: FilterParams
    near_duplicates: NearDuplicateParams | None
    decontamination: DecontaminationParams | None
    splits: SplitShares | None
    """How read rows are split; null for the day world, which makes its splits itself."""
    limit: int | None = Field(ge=1)
    """At most this many rows are read (null: all); for trying a recipe."""

    @model_validator(mode="after")
    def _reader_has_its_block(self) -> Self:
        if getattr(self, self.reader) is None:
            raise ValueError(f"reader {self.reader} needs the block {self.reader}, which is null")
        if (self.splits is None) != (self.reader == "day_world"):
            raise ValueError("splits are null for reader day_world, which makes its own, and must be given otherwise")
        return self
