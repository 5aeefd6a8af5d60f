"""What the plan assumes where nothing has been measured yet: sizes of problems that are not there, speed, prices."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import yaml
from pydantic import Field

from stages.common.errors import UsageError, describe_error
from stages.common.params.block import ParamsBlock, ParamsError, validate
from stages.common.params.problems import HubDatasetParams, ProblemsParams
from stages.problems.candidate import read_candidate
from stages.problems.problem_readers import read_rows

SAMPLED_ROWS = 200
"""Rows of a local reader from which lengths are taken."""

_KNOWN_ROWS = {"AI-MO/NuminaMath-CoT": 859_494}
"""Rows of data sets whose count is needed where the Hub cannot be reached."""


class Assumptions(ParamsBlock):
    """Each can be set by ``stepkto plan --assume NAME=VALUE``."""

    rows: int | None = Field(default=None, ge=1)
    """Rows that the reader gives; null: counted, or as the Hub counts them."""
    kept: float = Field(default=0.4, gt=0, le=1)
    """Fraction of rows that pass the filters: of NuminaMath-CoT 55% have a source that is kept."""
    problem_chars: float = Field(default=224.0, gt=0)
    """Mean characters of a problem; as in docs/scale.md."""
    solution_chars: float = Field(default=372.0, gt=0)
    """Mean characters of a reference solution."""
    completion_tokens: float | None = Field(default=None, gt=0)
    """Mean tokens of a completion; null: those of earlier rounds, else the recipe's limit."""
    reply_tokens: float | None = Field(default=None, gt=0)
    """Mean tokens of a judge's reply; null: those of earlier rounds, else the recipe's limit."""
    selected: float | None = Field(default=None, ge=0, le=1)
    """Fraction of samples that `select` keeps; null: that of earlier rounds, else the most that its rule can keep."""
    unknown: float | None = Field(default=None, ge=0, le=1)
    """Fraction of samples about which the second verifier is asked; null: that of earlier rounds, else 0.01."""
    tokens_per_s: float = Field(default=10_000.0, gt=0)
    """Completion tokens that the policy generates in a second: an H100 with a model of 8B parameters, docs/scale.md."""
    prompt_tokens_per_s: float = Field(default=24_750.0, gt=0)
    """Prompt tokens that it reads in a second."""
    judge_tokens_per_s: float = Field(default=1_000.0, gt=0)
    """Completion tokens that a judge or a second verifier generates in a second: the same with 70B parameters."""
    judge_prompt_tokens_per_s: float = Field(default=2_829.0, gt=0)
    """Prompt tokens that it reads in a second."""
    price_per_hour: float | None = Field(default=None, ge=0)
    """Price of an hour of these machines, for engines without prices of their own."""


def read_assumptions(assignments: Sequence[str]) -> Assumptions:
    """The assumptions with ``NAME=VALUE`` of each of `assignments` in place of the default; raises `UsageError`."""
    values = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"--assume {assignment}: expected NAME=VALUE, such as kept=0.3")
        value = yaml.safe_load(text)
        is_float = Assumptions.model_fields.get(name, Field()).annotation != int | None
        values[name] = float(value) if isinstance(value, int) and is_float else value
    try:
        return validate(Assumptions, values, "--assume")
    except ParamsError as error:
        raise UsageError(describe_error(error)) from error


def assume_splits(
    params: ProblemsParams, seed: int, assumptions: Assumptions
) -> tuple[dict[str, tuple[int, float, float]], str]:
    """Sizes by split as `InputSizes` has them, for problems that have not been read, and a sentence that states them.

    Raises `UserError` for files that are missing, and `UsageError` for a data set of which no count is known.
    """
    problem, solution = assumptions.problem_chars, assumptions.solution_chars
    count, origin = assumptions.rows or 0, "--assume"
    if params.reader != "hub":
        first = [row.value for row in islice(read_rows(params, seed), SAMPLED_ROWS) if isinstance(row.value, dict)]
        candidates = [it for row in first if not isinstance(it := read_candidate(row, params.columns), str)]
        if candidates:
            problem = sum(len(it.problem) for it in candidates) / len(candidates)
            solution = sum(len(it.solution) for it in candidates) / len(candidates)
    if not count and params.hub is not None and params.reader == "hub":
        count, origin = _count_hub_rows(params.hub)
    elif not count:
        count, origin = sum(1 for _ in read_rows(params, seed)), "counted"
    count = min(count, params.limit or count)
    if params.makes_problems:
        block = getattr(params, params.reader)
        sizes = {split: getattr(block, split) for split in ("train", "validation", "test")}
    else:
        assert params.splits is not None  # the readers of files and the Hub need it
        kept = count * assumptions.kept
        sizes = {"validation": round(kept * params.splits.validation), "test": round(kept * params.splits.test)}
        sizes["train"] = round(kept) - sum(sizes.values())
        origin += f"; {assumptions.kept:.0%} of them kept"
    text = ", ".join(f"{size:,} {split}" for split, size in sizes.items())
    return {split: (size, problem, solution) for split, size in sizes.items()}, f"{count:,} rows ({origin}): {text}"


def _count_hub_rows(params: HubDatasetParams) -> tuple[int, str]:
    """Number of rows of a data set, and where it is known from."""
    import datasets

    try:
        builder = datasets.load_dataset_builder(params.repo, params.name, revision=params.revision)
        splits = builder.info.splits or {}
        if params.split in splits:
            return int(splits[params.split].num_examples), "as the Hub counts them"
    except (OSError, ValueError, datasets.exceptions.DatasetsError):  # no network, or the data set does not say
        pass
    if params.repo in _KNOWN_ROWS:
        return _KNOWN_ROWS[params.repo], "assumed, since the Hub does not say"
    raise UsageError(f"{params.repo}: the Hub does not say how many rows it has; give them: --assume rows=N")
