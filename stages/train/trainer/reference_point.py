"""The reference points of an optimizer step, z0 (KTO's, of outcomes) and z_step (of steps), over all its passes.

Suffixes as in `stages.train.trainer.loss`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from stages.train.trainer.loss import UNKNOWN
from stages.train.trainer.step_logps import Batch

ReduceMean = Callable[[torch.Tensor], torch.Tensor]
"""Mean of a tensor over all training processes."""


@dataclass(frozen=True)
class ReferencePoint:
    """`z` (scalar, nats, no gradient), and the number of labelled entries as a mean over processes."""

    z: torch.Tensor
    num_known: torch.Tensor


def compute_reference_point(
    mismatched: Sequence[tuple[torch.Tensor, torch.Tensor]], known: Sequence[torch.Tensor], reduce_mean: ReduceMean
) -> ReferencePoint:
    """The reference point of one optimizer step; both sequences have one item per forward pass.

    `mismatched` holds the log-ratios of mismatched completions (for z0) or of their steps (for z_step) and a mask of
    those that count; `known` which entries are labelled. Sums and counts are averaged over processes separately, so
    that every entry has the same weight wherever it is processed.
    """
    total = torch.stack([torch.where(mask, ratio.detach(), 0.0).sum() for ratio, mask in mismatched]).sum()
    count = torch.stack([mask.sum() for _, mask in mismatched]).sum().to(total)
    num_known = torch.stack([mask.sum() for mask in known]).sum().to(total)
    # z is at least 0, and 0 where nothing was mismatched.
    z = (reduce_mean(total) / _clamp_to_tiny(reduce_mean(count))).clamp(min=0)
    return ReferencePoint(z, _clamp_to_tiny(reduce_mean(num_known)))


@dataclass(frozen=True)
class StepReferencePoints:
    """Both reference points of an optimizer step, the mean length of this process's mismatched completions in tokens,
    and the number of forward passes that the step is made of."""

    outcome: ReferencePoint
    step: ReferencePoint
    mean_tokens: torch.Tensor
    num_passes: int


def compute_reference_points(
    batches: Iterable[Batch], compute_logps: Callable[[Batch], torch.Tensor], reduce_mean: ReduceMean
) -> StepReferencePoints:
    """The reference points of an optimizer step over `batches`.

    `compute_logps` gives the log-probs of a batch's mismatched completions by step [B, S], without gradient. Filler
    rows do not count.
    """
    ratios, outcomes, steps, tokens = [], [], [], []
    for batch in batches:
        ratio_BS = compute_logps(batch) - batch["ref_KL_step_logps"]
        real_B = ~batch["is_filler"]
        ratios.append((ratio_BS, real_B, batch["KL_steps"] & real_B[:, None]))
        outcomes.append(batch["outcome_known"])
        steps.append(batch["step_labels"] != UNKNOWN)
        tokens.append((batch["KL_completion_mask"] * real_B[:, None]).sum())
    return StepReferencePoints(
        outcome=compute_reference_point([(ratio.sum(1), real) for ratio, real, _ in ratios], outcomes, reduce_mean),
        step=compute_reference_point([(ratio, mask) for ratio, _, mask in ratios], steps, reduce_mean),
        mean_tokens=torch.stack(tokens).sum() / torch.stack([real.sum() for _, real, _ in ratios]).sum(),
        num_passes=len(ratios),
    )


def _clamp_to_tiny(count: torch.Tensor) -> torch.Tensor:
    """`count`, or the smallest positive number for 0, by which 0 can be divided; a mean count may be below 1."""
    return count.clamp(min=torch.finfo(count.dtype).tiny)
