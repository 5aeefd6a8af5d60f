"""Logged metrics of a batch, reduced over all processes at once."""

from collections.abc import Mapping, Sequence

import torch

from stages.train.trainer.loss import JointLoss, LabelledRatios, LossParams, ReferencePoint, ValueParams
from stages.train.trainer.reference_point import ReduceMean, StepReferencePoints
from stages.train.trainer.step_logps import Batch, TokenOutputs

SumAndCount = tuple[torch.Tensor, torch.Tensor]
"""Sum and count of a mean over this process's micro-batch."""

ADDITIVE_METRICS = ("loss/outcome", "loss/step", "loss/nll", "num_tokens")
"""Metrics that are summed over a batch's micro-batches."""

MARGINS = (
    ("rewards/margins", "rewards/chosen", "rewards/rejected"),
    ("steps/rewards/margins", "steps/rewards/correct", "steps/rewards/incorrect"),
)
"""A margin, and the two means of which it is the difference."""


def compute_loss_metrics(
    points: StepReferencePoints, outcomes: LabelledRatios, steps: LabelledRatios, losses: JointLoss, params: LossParams
) -> dict[str, SumAndCount]:
    """Metrics of reference points, log-ratios and losses."""
    log_ratio, num_tokens, num_mismatched = points.mismatched
    terms = {"outcome": losses.outcome, "step": losses.step, "nll": losses.nll}
    return {
        **_compute_kl_metrics(points.outcome, "kl"),
        **_compute_kl_metrics(points.step, "kl/step"),
        # Sums, since a process may have filler rows alone.
        "kl/token": (points.outcome.z * num_mismatched, num_mismatched if params.outcome.is_normalized else num_tokens),
        "log_ratios/mismatched/token": (log_ratio, num_tokens),
        # The parts of the loss of all batches of an optimizer step add up to it: of one batch it is a multiple.
        **{f"loss/{name}": _count_once(points.num_passes * term) for name, term in terms.items() if term is not None},
        **_compute_level_metrics(outcomes, points.outcome, params.outcome, "", ("chosen", "rejected")),
        **_compute_level_metrics(steps, points.step, params.step, "steps/", ("correct", "incorrect")),
    }


def compute_token_metrics(batch: Batch, output: TokenOutputs, outcome: LabelledRatios) -> dict[str, SumAndCount]:
    """Metrics of single tokens: log-probs of completions and of the token that ends them, entropy, padding."""
    completion_BT = batch["completion_mask"][:, 1:].bool() & ~batch["is_filler"][:, None]
    logps_BT = output.log_probs.detach()
    logps_B = torch.where(completion_BT, logps_BT, 0.0).sum(1)
    lengths_B = batch["attention_mask"].sum(1)
    eos_B = logps_BT.gather(1, lengths_B[:, None] - 2)[:, 0]  # the log-prob of token t is at t - 1
    correct_B, incorrect_B = outcome.is_known & outcome.is_correct, outcome.is_known & ~outcome.is_correct
    num_tokens = lengths_B.sum()
    num_positions = torch.full_like(num_tokens, output.num_positions)
    return {
        "logps/chosen": _sum_where(logps_B, correct_B),
        "logps/rejected": _sum_where(logps_B, incorrect_B),
        "logps/eos": _sum_where(eos_B, correct_B),
        "entropy": _sum_where(output.entropy, completion_BT),
        "padding": (num_positions - num_tokens, num_positions),
        "num_tokens": _count_once(num_tokens),
    }


def reduce_metrics(parts: Sequence[Mapping[str, SumAndCount]], reduce_mean: ReduceMean) -> dict[str, float]:
    """Every metric of a batch as a mean over its micro-batches `parts` and all processes, in one exchange, and margins.

    Metrics without entries are left out.
    """
    metrics = _sum_parts(parts)
    flat = torch.stack([part.detach().double() for metric in metrics.values() for part in metric])
    numbers = reduce_mean(flat).tolist()
    values = {
        name: total / count
        for name, total, count in zip(metrics, numbers[::2], numbers[1::2], strict=True)
        if count > 0
    }
    for margin, correct, incorrect in MARGINS:
        if correct in values and incorrect in values:
            values[margin] = values[correct] - values[incorrect]
    return values


def _sum_parts(parts: Sequence[Mapping[str, SumAndCount]]) -> dict[str, SumAndCount]:
    return {
        name: (
            torch.stack([part[name][0] for part in parts]).sum(),
            parts[0][name][1] if name in ADDITIVE_METRICS else torch.stack([part[name][1] for part in parts]).sum(),
        )
        for name in parts[0]
    }


def _compute_kl_metrics(point: ReferencePoint, name: str) -> dict[str, SumAndCount]:
    """z, the same before its clamp, and whether the clamp holds it."""
    is_clamped = (point.z != point.unclamped).to(point.z)
    values = {name: point.z, f"{name}/unclamped": point.unclamped, f"{name}/clamped": is_clamped}
    return {key: _count_once(value) for key, value in values.items()}


def _compute_level_metrics(
    entries: LabelledRatios, point: ReferencePoint, params: ValueParams, prefix: str, names: tuple[str, str]
) -> dict[str, SumAndCount]:
    """Of one level's labelled entries: accuracy, and by label (`names` of correct and incorrect) accuracy, rewards,
    which are beta times what the loss compares with z, and log-ratios per entry and per token."""
    ratio = entries.compute_loss_ratio(params)
    # A correct entry's log-ratio should be above z, an incorrect one's not.
    is_accurate = (ratio > point.z) == entries.is_correct
    metrics = {f"{prefix}accuracy": _sum_where(is_accurate, entries.is_known)}
    for name, has_label in zip(names, (entries.is_correct, ~entries.is_correct), strict=True):
        mask = entries.is_known & has_label
        total, count = _sum_where(entries.log_ratio, mask)
        metrics |= {
            f"{prefix}accuracy/{name}": _sum_where(is_accurate, mask),
            f"{prefix}rewards/{name}": _sum_where(params.beta * ratio, mask),
            f"{prefix}log_ratios/{name}": (total, count),
            f"{prefix}log_ratios/{name}/token": (total, _sum_where(entries.num_tokens, mask)[0]),
        }
    return metrics


def _sum_where(values: torch.Tensor, mask: torch.Tensor) -> SumAndCount:
    return torch.where(mask, values.detach().double(), 0.0).sum(), mask.sum()


def _count_once(value: torch.Tensor) -> SumAndCount:
    """A number of the whole batch."""
    return value, torch.ones_like(value)
