"""From a judge's votes to labels."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from stages.judge.arithmetic import judge_arithmetic
from stages.judge.exact import judge_exactly
from stages.params.judge import JudgeParams
from stages.records import JUDGED, content_hash

Rule = Callable[[str, list[str]], list[tuple[bool | None, str]]]
"""From a problem and the steps of one of its samples to the label and reason of each."""


def judge_nothing(_problem: str, steps: list[str]) -> list[tuple[bool | None, str]]:
    return [(None, "no judge")] * len(steps)


RULES: dict[str, Rule] = {"exact": judge_exactly, "arithmetic": judge_arithmetic, "none": judge_nothing}
"""The judges that need no model, by `judge.kind`."""


def judge_samples(
    problems: pl.DataFrame, samples: pl.DataFrame, steps: pl.DataFrame, params: JudgeParams, seed: int
) -> pl.DataFrame:
    """Label each of `steps` (STEP rows of `samples`, SAMPLE rows, of `problems`); returns JUDGED rows.

    `seed` decides which labels are flipped where ``params.flip`` asks for it. Raises `ValueError` for a judge that is
    not there.
    """
    if params.kind == "served":
        raise ValueError("judge.kind: served is not built yet; exact, arithmetic and none are")
    judge = content_hash("judge", params.model_dump(mode="json"), seed if params.flip else None)
    problem_of = dict(problems.select("problem_id", "problem").iter_rows())
    text_of = dict(samples.select("sample_id", "text").iter_rows())
    rows = []
    ordered = steps.sort("problem_id", "sample_id", "step")
    for (problem_id, sample_id), group in ordered.group_by("problem_id", "sample_id", maintain_order=True):
        text = text_of[sample_id]
        spans = list(group.select("start", "end").iter_rows())
        labels = RULES[params.kind](problem_of[problem_id], [text[start:end] for start, end in spans])
        labels = [_flip(label, params.flip, seed, sample_id, step) for step, label in enumerate(labels)]
        first_error = next((step for step, (label, _) in enumerate(labels) if label is False), None)
        rows += [
            (
                sample_id,
                problem_id,
                step,
                label,
                reason,
                params.votes,
                0.0 if label is None else 1.0,
                first_error,
                judge,
            )
            for step, (label, reason) in enumerate(labels)
        ]
    return pl.DataFrame(rows, schema=JUDGED.schema, orient="row")


def _flip(
    label: tuple[bool | None, str], share: float, seed: int, sample: object, step: int
) -> tuple[bool | None, str]:
    """The label turned round for a `share` of steps, chosen by hash."""
    value, reason = label
    if value is None or share == 0 or int(content_hash("flip", seed, sample, step, digits=12), 16) >= share * 16**12:
        return label
    return not value, f"flipped on purpose: {reason}"
