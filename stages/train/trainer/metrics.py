"""Logged metrics of a batch, reduced over all processes at once."""

from collections.abc import Mapping, Sequence

import torch

from stages.train.trainer.loss import LabelledRatios
from stages.train.trainer.reference_point import ReduceMean, StepReferencePoints
from stages.train.trainer.step_logps import Batch, TokenOutputs

SumAndCount = tuple[torch.Tensor, torch.Tensor]
"""Sum and count of a mean over this process's micro-batch."""

ADDITIVE_METRICS = ("loss/outcome", "loss/step", "num_tokens")
"""Metrics that are summed over a batch's micro-batches."""

MARGINS = (
    ("rewards/margins", "rewards/chosen", "rewards/rejected"),
    ("steps/rewards/margins", "steps/rewards/correct", "steps/rewards/incorrect"),
)
"""A margin, and the two means of which it is the difference."""


def compute_loss_metrics(
    points: StepReferencePoints,
    outcome: tuple[LabelledRatios, torch.Tensor],
    step: tuple[LabelledRatios, torch.Tensor],
    beta: float,
) -> dict[str, SumAndCount]:
    """Metrics of reference points, log-ratios and losses; `outcome` and `step` are log-ratios and their loss."""
    (outcomes, outcome_loss), (steps, step_loss) = outcome, step
    return {
        "kl": _count_once(points.outcome.z),
        "kl/step": _count_once(points.step.z),
        "kl/token": _count_once(points.outcome.z / points.mean_tokens.clamp(min=1)),
        "loss/outcome": _count_once(outcome_loss),
        "loss/step": _count_once(step_loss),
        **_compute_rewards(outcomes, beta, "rewards/chosen", "rewards/rejected"),
        **_compute_rewards(steps, beta, "steps/rewards/correct", "steps/rewards/incorrect"),
        # A correct step's log-ratio should be above z_step, an incorrect one's not.
        "steps/accuracy": _sum_where((steps.log_ratio > points.step.z) == steps.is_correct, steps.is_known),
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


def _compute_rewards(entries: LabelledRatios, beta: float, correct: str, incorrect: str) -> dict[str, SumAndCount]:
    """Implied rewards, beta times the log-ratio, of correct and incorrect entries."""
    return {
        correct: _sum_where(beta * entries.log_ratio, entries.is_known & entries.is_correct),
        incorrect: _sum_where(beta * entries.log_ratio, entries.is_known & ~entries.is_correct),
    }


def _sum_where(values: torch.Tensor, mask: torch.Tensor) -> SumAndCount:
    return torch.where(mask, values.detach().double(), 0.0).sum(), mask.sum()


def _count_once(value: torch.Tensor) -> SumAndCount:
    """A number of the whole batch."""
    return value, torch.ones_like(value)
