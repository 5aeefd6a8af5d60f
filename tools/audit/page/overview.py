"""Counts of samples by round and source, and how many steps and characters they have."""

from typing import Any

import polars as pl

MAX_SOURCES = 30
"""Sources that are counted apart, the largest; all others are counted as one."""

MAX_BINS = 24
"""Bars of a histogram; the last holds all that is longer."""

CONTRADICTION = "correct answer, incorrect step"
UNKNOWN_STEP = "unknown step"
CELL = ["round", "source"]
BY_ANSWER = {"correct": True, "incorrect": False, "unknown": None}


def summarize_samples(samples: pl.DataFrame) -> dict[str, Any]:
    """`samples` has the columns of `ProblemIndex.tag_samples`.

    `cells`: per round and source the counts of samples, and of those per verdict in each bin of `histograms`; a source
    of None is all beyond `MAX_SOURCES`. `histograms`: per column the width of a bin, in steps or characters, and their
    number.
    """
    sources = samples["source"].value_counts(sort=True)["source"].head(MAX_SOURCES)
    is_large = pl.col("source").is_in(sources.to_list())
    samples = samples.with_columns(source=pl.when(is_large).then("source"))
    tags = pl.col("tags").list
    counts = samples.group_by(CELL, maintain_order=True).agg(
        num_samples=pl.len(),
        num_correct=pl.col("is_correct").sum(),
        num_unknown_answers=pl.col("is_correct").is_null().sum(),
        num_with_unknown_step=tags.contains(UNKNOWN_STEP).sum(),
        num_contradictions=tags.contains(CONTRADICTION).sum(),
        num_judged=pl.col("num_steps").count(),
    )
    cells = {(row["round"], row["source"]): row for row in counts.iter_rows(named=True)}
    for cell in cells.values():
        cell["histograms"] = {}
    histograms = {}
    for column in ("num_steps", "num_chars"):
        width, num_bins = choose_bins(samples[column])
        histograms[column] = {"width": width, "num_bins": num_bins}
        for cell in cells.values():
            cell["histograms"][column] = {verdict: [0] * num_bins for verdict in BY_ANSWER}
        position = (pl.col(column) // width).clip(upper_bound=num_bins - 1).alias("bin")
        known = samples.drop_nulls(column).group_by(*CELL, "is_correct", position).len()
        words = {value: word for word, value in BY_ANSWER.items()}
        for name, source, is_correct, at, count in known.iter_rows():
            cells[name, source]["histograms"][column][words[is_correct]][at] = count
    return {"cells": list(cells.values()), "sources": [*sources], "histograms": histograms}


def choose_bins(values: pl.Series) -> tuple[int, int]:
    """Width and number of bins from 0 on: width 1, 2 or 5 times a power of ten; 99% of `values` lie before the last."""
    high = int(values.quantile(0.99) or 0)
    width = next(
        width
        for power in range(19)
        for width in (10**power, 2 * 10**power, 5 * 10**power)
        if high // width < MAX_BINS - 1
    )
    return width, min(int(values.max() or 0) // width + 1, MAX_BINS)  # type: ignore[arg-type]  # integers
