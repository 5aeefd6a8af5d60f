"""The reference points of an optimizer step, z0 (KTO's, of outcomes) and z_step (of steps), over all its passes.

Suffixes as in `stages.train.trainer.loss`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from stages.train.trainer.loss import UNKNOWN, LossParams, ReferencePoint
from stages.train.trainer.reference_point_estimator import ReferencePointEstimator
from stages.train.trainer.step_logps import Batch, count_step_tokens

ReduceMean = Callable[[torch.Tensor], torch.Tensor]
"""Mean of a tensor over all training processes."""


def compute_reference_point(
    mismatched: Sequence[tuple[torch.Tensor, torch.Tensor]],
    labels: Sequence[tuple[torch.Tensor, torch.Tensor]],
    reduce_mean: ReduceMean,
    estimate: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
) -> ReferencePoint:
    """The reference point of one optimizer step; both sequences have one item per forward pass.

    `mismatched` holds the log-ratios of mismatched completions (for z0) or of their steps (for z_step) and a mask of
    those that count; `labels` which entries are labelled, and which of them are correct. Sums and counts are averaged
    over processes separately, so that every entry has the same weight wherever it is processed. Where nothing was
    mismatched the mean that `estimate` gets is 0.
    """
    total = torch.stack([torch.where(mask, ratio.detach(), 0.0).sum() for ratio, mask in mismatched]).sum()
    masks = ([mask for _, mask in mismatched], [known for known, _ in labels], [correct for _, correct in labels])
    counts = [torch.stack([mask.sum() for mask in passes]).sum().to(total) for passes in masks]
    total, count, num_known, num_correct = reduce_mean(torch.stack([total, *counts]))
    z, unclamped = estimate(total / _clamp_to_tiny(count))
    return ReferencePoint(z, unclamped, _clamp_to_tiny(num_known), _clamp_to_tiny(num_correct))


@dataclass(frozen=True)
class StepReferencePoints:
    """Both reference points of an optimizer step, the sums of log-ratios and of tokens over this process's mismatched
    completions and their number [3], and the number of forward passes that the step is made of."""

    outcome: ReferencePoint
    step: ReferencePoint
    mismatched: torch.Tensor
    num_passes: int


def compute_reference_points(
    batches: Iterable[Batch],
    compute_logps: Callable[[Batch], torch.Tensor],
    reduce_mean: ReduceMean,
    params: LossParams,
    estimator: ReferencePointEstimator,
) -> StepReferencePoints:
    """The reference points of an optimizer step over `batches`.

    `compute_logps` gives the log-probs of a batch's mismatched completions by step [B, S], without gradient. Filler
    rows do not count.
    """
    outcomes, steps, outcome_labels, step_labels, sums = [], [], [], [], []
    for batch in batches:
        ratio_BS = compute_logps(batch) - batch["ref_KL_step_logps"]
        real_B = ~batch["is_filler"]
        tokens_BS = count_step_tokens(batch, "KL_", ratio_BS.shape[1])
        outcome_B = ratio_BS.sum(1)
        parts_B = (outcome_B, tokens_BS.sum(1), torch.ones_like(outcome_B))
        sums.append(torch.stack([torch.where(real_B, part_B, 0.0).sum() for part_B in parts_B]))
        if params.outcome.is_normalized:
            outcome_B = outcome_B / tokens_BS.sum(1).clamp(min=1)
        step_BS = ratio_BS / tokens_BS.clamp(min=1) if params.step.is_normalized else ratio_BS
        outcomes.append((outcome_B, real_B))
        steps.append((step_BS, batch["KL_steps"] & real_B[:, None]))
        outcome_labels.append((batch["outcome_known"], batch["outcome_known"] & batch["label"].bool()))
        step_labels.append((batch["step_labels"] != UNKNOWN, batch["step_labels"] == 1))
    return StepReferencePoints(
        outcome=compute_reference_point(
            outcomes, outcome_labels, reduce_mean, lambda mean: estimator.estimate("outcome", mean)
        ),
        step=compute_reference_point(steps, step_labels, reduce_mean, lambda mean: estimator.estimate("step", mean)),
        mismatched=torch.stack(sums).sum(0),
        num_passes=len(outcomes),
    )


def _clamp_to_tiny(count: torch.Tensor) -> torch.Tensor:
    """`count`, or the smallest positive number for 0, by which 0 can be divided; a mean count may be below 1."""
    return count.clamp(min=torch.finfo(count.dtype).tiny)
