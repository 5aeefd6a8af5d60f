"""The judge that judges here against people who looked at the same steps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stages.common.params.evaluate import PeopleParams
from stages.common.statistics import CELLS, Resampling, count, interval, kappas, read_verdicts
from stages.evaluate.benchmarks import require_file

_RIGHT, _WRONG = pl.col("label").fill_null(False), ~pl.col("label").fill_null(True)
_KNOWN = pl.col("label").is_not_null()
_STEP = ["sample_id", "step"]


def read_people(params: PeopleParams) -> pl.DataFrame:
    """The last verdict of each person on each step: columns ``sample_id, step, right``.

    Raises `FileNotFoundError`, or `ValueError` for another file than the recipe's or naming the line at fault.
    """
    path = Path(params.path)
    require_file(path, params.sha256)
    # A number that no table can hold is on no step; null joins none.
    rows = [
        (said["sample_id"], said["step"] if abs(said["step"]) < 2**31 else None, said["right"])
        for said in read_verdicts(path)
    ]
    return pl.DataFrame(rows, schema={"sample_id": pl.String, "step": pl.Int32, "right": pl.Boolean}, orient="row")


def against_people(
    verdicts: pl.DataFrame, tables: Mapping[str, pl.DataFrame], resampling: Resampling
) -> dict[str, Any]:
    """How far the judge's labels agree with `verdicts` (rows of `read_people`) on the steps evaluated.

    `tables` are the evaluation's by folder: of each set ``judged`` (LABEL rows) and ``outcomes`` (OUTCOME rows).
    Several people on a step count as what most of them say; a tie says nothing. Agreement and kappa are of the steps
    that the judge knew. The `rates` are of whole solutions with a right answer, those whose stepwise errors
    `evaluate.judge_rates` corrects, and in its shape: people found a wrong step, or called every step right.
    """
    judged = _all(tables, "labels").unique(_STEP, keep="first")
    concerned = verdicts.join(judged.select(_STEP), on=_STEP, how="semi")
    report: dict[str, Any] = {"verdicts": verdicts.height, "concerned": concerned.height}
    if concerned.is_empty():
        return report | {"note": f"people's verdicts ({verdicts.height}) are on no step evaluated here"}
    steps = judged.join(_of_most(concerned), on=_STEP, how="left")
    told = steps.drop_nulls("right")
    return report | {
        "steps": told.height,
        "said_of": _said_of(told),
        "agreement": count(told, _KNOWN & (pl.col("label") == pl.col("right")), _KNOWN).estimate(resampling).report(),
        "kappa": _kappa(told, resampling),
        "rates": _rates(steps, _all(tables, "outcomes")),
    }


def _all(tables: Mapping[str, pl.DataFrame], name: str) -> pl.DataFrame:
    """The tables called `name` of all sets; a majority's outcomes join nothing, since nobody judged its samples."""
    return pl.concat(table for place, table in tables.items() if place.split("/")[-1] == name)


def _of_most(verdicts: pl.DataFrame) -> pl.DataFrame:
    balance = pl.when("right").then(1).otherwise(-1).sum().alias("balance")
    counted = verdicts.group_by(_STEP).agg(balance).filter(pl.col("balance") != 0)
    return counted.select(*_STEP, right=pl.col("balance") > 0)


def _said_of(told: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Steps by what people say, then by what the judge says; of the shape of a calibration."""
    labels = {"right": _RIGHT, "wrong": _WRONG, "unknown": ~_KNOWN}
    return {
        people: told.filter(pl.col("right") == truth).select(it.sum().alias(name) for name, it in labels.items()).row(
            0, named=True
        )
        for people, truth in (("right", True), ("wrong", False))
    }  # fmt: skip


def _kappa(told: pl.DataFrame, resampling: Resampling) -> dict[str, float | None]:
    """Cohen's kappa of judge and people with its interval, from problems resampled; nulls where it is not defined."""
    cells = [
        count(told, (pl.col("label") == judge) & (pl.col("right") == people) & _KNOWN, pl.lit(True)).numerators
        for judge, people in CELLS
    ]
    value = kappas(np.array([[cell.sum() for cell in cells]])).item()
    low, high = interval(kappas(resampling.sums(cells).T))
    return {"value": None, "low": None, "high": None} if np.isnan(value) else {"value": value, "low": low, "high": high}


def _rates(steps: pl.DataFrame, outcomes: pl.DataFrame) -> dict[str, dict[str, float | int | None]]:
    right_answers = outcomes.filter(pl.col("is_correct")).select("sample_id").unique()
    solutions = (
        steps.join(right_answers, on="sample_id", how="semi")
        .group_by("sample_id")
        .agg(
            flagged=_WRONG.any(),
            faulty=(~pl.col("right")).fill_null(False).any(),
            sound=pl.col("right").fill_null(False).all(),
        )
    )
    faulty, sound = (solutions.filter(name)["flagged"] for name in ("faulty", "sound"))
    return {
        "sensitivity": _rate(faulty.to_list().count(True), faulty.len()),
        "specificity": _rate(sound.to_list().count(False), sound.len()),
    }


def _rate(part: int, whole: int) -> dict[str, float | int | None]:
    return {"value": round(part / whole, 6) if whole else None, "denominator": whole}
