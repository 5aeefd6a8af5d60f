"""Log-probs of the reference policy, computed once for given rows and kept by content."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.common.journal import Journal

if TYPE_CHECKING:
    from datasets import Dataset

COLUMNS = ("prompt_ids", "completion_ids", "step_of_token", "KL_completion_ids", "KL_step_of_token")
"""What a row's log-probs depend on, beside the model and the rows that it shares a batch with."""

Sums = dict[str, list[list[float]]]
"""For each prefix ("" own, "KL_" mismatched) the log-probs of every row's steps, in nats."""


def reference_logps(
    dataset: Dataset,
    group: int,
    model: str,
    score: Callable[[Dataset], Iterator[Sums]],
    keep: Path | None,
    is_main: bool,
    broadcast: Callable[[Any], Any],
) -> Sums:
    """Reference log-probs of all rows of `dataset`, from the journal at `keep` where they are there.

    Rows go through the reference in groups of `group` consecutive ones; `score` does so for a data set, group by
    group. A group is kept under the hash of its rows' tokens and of `model`, which names everything else that decides
    the numbers: weights, precision, device. Settings of training (beta, learning rate, weights) are no part of it, so
    that changing them finds everything here. Only the main process (`is_main`) opens the journal; `broadcast` sends its
    finds to the others. `keep` None keeps nothing.
    """
    starts = range(0, len(dataset), group)
    keys = [_key(dataset[start : start + group], model) for start in starts]
    with Journal(keep) if is_main and keep else contextlib.nullcontext() as journal:
        kept = {} if journal is None else {key: journal.get(key) for key in keys if key in journal}
        found: dict[str, Sums] = broadcast(kept)
        missing = [(key, start) for key, start in zip(keys, starts, strict=True) if key not in found]
        if missing:
            rows = [at for _, start in missing for at in range(start, min(start + group, len(dataset)))]
            for (key, _), sums in zip(missing, score(dataset.select(rows)), strict=True):
                found[key] = sums
                if journal is not None:
                    journal.put({key: sums})
    return {prefix: [row for key in keys for row in found[key][prefix]] for prefix in ("", "KL_")}


def _key(rows: dict[str, list[list[int]]], model: str) -> str:
    digest = hashlib.sha256(f"reference log-probs\n{model}\n".encode())
    for column in COLUMNS:
        for row in rows[column]:
            digest.update(len(row).to_bytes(8, "little"))
            digest.update(np.asarray(row, dtype="<i4").tobytes())
    return digest.hexdigest()
