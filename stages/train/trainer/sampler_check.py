"""Whether the reference gives samples the log-probs that their sampler gave: what training off the policy breaks."""

import logging
from collections.abc import Sequence

from datasets import Dataset

from stages.common.runs import record_facts

MAX_MEAN_GAP = 0.02
"""Nats per token of a sample, as a mean over samples, above which the run warns.

The same model in float32 differs by less than 1e-4. A repetition penalty, another chat template or other weights give
tenths. The value between is ours.
"""

logger = logging.getLogger(__name__)


def compare_with_sampler(dataset: Dataset, step_logps: Sequence[Sequence[float]]) -> dict[str, float] | None:
    """Compare the reference's log-probs of the rows of an encoded `dataset`, by step, with their `sampled_logp`.

    Returns the number of `samples` and the `mean` and `max` difference in nats per token, None where no sampler's
    log-prob is known; they are kept with the run as `ref_vs_sampler`. They are of the run and not of the data: a
    sampler's last digits depend on what it generated side by side.
    """
    if "sampled_logp" not in dataset.column_names:
        return None
    columns = (dataset[name] for name in ("sampled_logp", "completion_ids", "is_filler"))
    gaps = [
        abs(sum(logps) - sampled) / len(ids)
        for logps, sampled, ids, is_filler in zip(step_logps, *columns, strict=True)
        if sampled is not None and not is_filler
    ]
    if not gaps:
        return None
    found = {"samples": len(gaps), "mean": round(sum(gaps) / len(gaps), 7), "max": round(max(gaps), 7)}
    record_facts(ref_vs_sampler=found)
    if found["mean"] > MAX_MEAN_GAP:
        logger.warning(
            "ref_vs_sampler: the reference's log-probs differ from the sampler's by %.3f nats per token (mean of %d "
            "samples, at most %.3f), above %g: the samples are not the reference's own; compare its weights, "
            "precision, chat template and sampling params with the sampler's",
            found["mean"],
            len(gaps),
            found["max"],
            MAX_MEAN_GAP,
        )
    return found
