"""Agreement of the evaluation's judge with human labels of the same steps."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stages.common.benchmarks import check_file
from stages.common.human_labels import ANOTHER_TEXT, HumanLabel, hash_steps, read_human_labels
from stages.common.params.evaluate import HumanLabelsParams
from stages.common.resolved_labels import resolve_labels
from stages.common.statistics import (
    CONTINGENCY_CELLS,
    Bootstrap,
    count_by_problem,
    estimate_kappa,
)

_STEP_KEY = ["sample_id", "step"]
_HUMAN = pl.col("is_correct")
_JUDGE = pl.col("label")
_JUDGE_NAMES = {"correct": _JUDGE.fill_null(False), "incorrect": ~_JUDGE.fill_null(True), "unknown": _JUDGE.is_null()}


def load_human_labels(params: HumanLabelsParams) -> list[HumanLabel]:
    """The labels of the recipe's file that count, see `read_human_labels`.

    Raises `UserError` for a file with another hash than the recipe's or naming a bad line.
    """
    path = Path(params.path)
    check_file(path, params.sha256)
    return read_human_labels(path)


def _explain_left_out(label: HumanLabel, hashes: Mapping[str, Mapping[int, str]]) -> str | None:
    """Why `label` says nothing on how often a judge is correct, None where it does.

    `hashes` are those of the evaluated steps' texts, by sample_id and step.
    """
    if label.kind == "gold":
        return "answer to a gold item"
    if not label.is_blind and label.kind != "adjudicated":
        return "judge's label was shown"
    if label.queue != "random":
        return "not drawn at random"
    is_current = hashes.get(label.sample_id, {}).get(label.step, label.text_hash) == label.text_hash
    return None if is_current else ANOTHER_TEXT


def score_judge(
    human_labels: Sequence[HumanLabel], tables: Mapping[str, pl.DataFrame], bootstrap: Bootstrap
) -> dict[str, Any]:
    """Agreement of the judge's labels with `human_labels` on the evaluated steps.

    `tables` are the evaluation's by folder: of each set ``samples``, ``steps``, ``labels`` and ``outcomes`` (SAMPLE,
    STEP, LABEL and OUTCOME rows). Only labels of the steps' texts as they are count, and only blind labels of items
    drawn at random count: a judge's label in view anchors people, and items picked for a doubtful label have more
    errors than most. Of several annotators on a step, see `resolve_labels`. Agreement and kappa cover the steps that
    both know. The `rates` are of whole completions with a correct answer, whose stepwise errors `evaluate.judge_rates`
    corrects, in the format of that block: the annotators found an incorrect step, or labelled every step correct.
    """
    labels = _concat_tables(tables, "labels").unique(_STEP_KEY, keep="first")
    evaluated = set(labels.select(_STEP_KEY).iter_rows())
    has_label = pl.col("sample_id").is_in({label.sample_id for label in human_labels})
    samples, spans = (_concat_tables(tables, name).filter(has_label) for name in ("samples", "steps"))
    hashes = hash_steps(samples, spans)
    reasons = [_explain_left_out(label, hashes) for label in human_labels]
    left_out = Counter(filter(None, reasons))
    counted = [label for label, reason in zip(human_labels, reasons, strict=True) if reason is None]
    matched = [label for label in counted if (label.sample_id, label.step) in evaluated]
    resolved = resolve_labels(matched)
    report: dict[str, Any] = {
        "num_labels": len(human_labels),
        "num_left_out": dict(sorted(left_out.items())),
        "num_matched": len(matched),
    }
    if not matched:
        note = f"none of the {len(counted)} human labels that count is on an evaluated step"
        return report | {"note": f"{note}; {left_out.total()} do not count"}
    rows = [(*key, label.is_correct) for key, label in resolved.items()]
    schema = {"sample_id": pl.String, "step": pl.Int32, "is_correct": pl.Boolean}
    steps = labels.join(pl.DataFrame(rows, schema=schema, orient="row"), on=_STEP_KEY, how="left")
    labelled = steps.drop_nulls("is_correct")
    agreement = count_by_problem(labelled, _JUDGE.eq(_HUMAN).fill_null(False), _JUDGE.is_not_null())
    return report | {
        "num_steps": labelled.height,
        "num_unknown": len(resolved) - labelled.height,
        "confusion": _count_confusion(labelled),
        "agreement": agreement.estimate(bootstrap).to_dict(),
        "kappa": _estimate_kappa(labelled, bootstrap),
        "rates": _compute_rates(steps, _concat_tables(tables, "outcomes")),
    }


def _concat_tables(tables: Mapping[str, pl.DataFrame], name: str) -> pl.DataFrame:
    """The tables called `name` of all sets; outcomes of majority samples join nothing, since those are not judged."""
    return pl.concat(table for folder, table in tables.items() if folder.split("/")[-1] == name)


def _count_confusion(labelled: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Steps by human label, then by the judge's label."""
    sums = [expression.sum().alias(name) for name, expression in _JUDGE_NAMES.items()]
    return {
        name: labelled.filter(is_correct == _HUMAN).select(sums).row(0, named=True)
        for name, is_correct in (("correct", True), ("incorrect", False))
    }


def _estimate_kappa(labelled: pl.DataFrame, bootstrap: Bootstrap) -> dict[str, float | None]:
    """Cohen's kappa of judge and annotators with its interval over problems; None where it is not defined."""
    cells = [
        count_by_problem(labelled, (_JUDGE.eq(judge) & _HUMAN.eq(human)).fill_null(False), pl.lit(True)).numerators
        for judge, human in CONTINGENCY_CELLS
    ]
    return estimate_kappa(np.stack(cells, axis=1), bootstrap)


def _compute_rates(steps: pl.DataFrame, outcomes: pl.DataFrame) -> dict[str, dict[str, float | int | None]]:
    """Sensitivity and specificity over whole completions with a correct answer."""
    completions = (
        steps.join(outcomes.filter("is_correct").select("sample_id").unique(), on="sample_id", how="semi")
        .group_by("sample_id")
        .agg(
            is_flagged=_JUDGE_NAMES["incorrect"].any(),
            has_error=(~_HUMAN).fill_null(False).any(),
            is_flawless=_HUMAN.fill_null(False).all(),
        )
    )
    with_error, flawless = (completions.filter(name)["is_flagged"] for name in ("has_error", "is_flawless"))
    hits = {"sensitivity": with_error, "specificity": ~flawless}
    return {
        name: {"value": round(int(hit.sum()) / hit.len(), 6) if hit.len() else None, "denominator": hit.len()}
        for name, hit in hits.items()
    }
