"""The Step-KTO loss as pure functions of tensors (arXiv 2501.10799; the KTO value function is of arXiv 2402.01306).

Suffixes name a tensor's dimensions: _B rows of the batch, _S steps of a row, _T tokens of a row. Log-ratios are
``log pi - log pi_ref`` in nats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

UNKNOWN = -1
"""Label of a step that is neither right (1) nor wrong (0): unknown to the judge, masked, or padding."""

NO_STEP = -1
"""Step of a token that belongs to none: prompt and padding."""

ProcessMean = Callable[[torch.Tensor], torch.Tensor]
"""Mean of a tensor over all training processes."""


def one_process(value: torch.Tensor) -> torch.Tensor:
    """The `ProcessMean` of a single process."""
    return value


def segment_sums(values_BT: torch.Tensor, step_of_token_BT: torch.Tensor, steps: int) -> torch.Tensor:
    """Sum token values by step: [B, `steps`]; tokens with `NO_STEP` are left out, a step without tokens gives 0."""
    target_BT = torch.where(step_of_token_BT == NO_STEP, steps, step_of_token_BT)
    sums = values_BT.new_zeros(values_BT.shape[0], steps + 1)
    return sums.scatter_add(1, target_BT, values_BT)[:, :steps]


@dataclass(frozen=True)
class Anchor:
    """What all entries of a level share in one optimiser step, over all its passes and processes.

    `z` is the reference point (scalar, no gradient); `known` the number of labelled entries, as a mean over processes.
    """

    z: torch.Tensor
    known: torch.Tensor


def anchor(
    mismatched: Sequence[tuple[torch.Tensor, torch.Tensor]],
    known: Sequence[torch.Tensor],
    mean: ProcessMean = one_process,
) -> Anchor:
    """The anchor of one optimiser step.

    `mismatched` holds, for each forward pass, the log-ratios of mismatched completions (for z0) or of their steps (for
    z_step) and which of them count (bool, masks padding); `known` which entries are labelled (bool). Sums and counts
    are averaged over processes apart, so that every entry weighs the same wherever it lies.
    """
    total = torch.stack([torch.where(counts, ratio.detach(), 0.0).sum() for ratio, counts in mismatched]).sum()
    entries = torch.stack([counts.sum() for _, counts in mismatched]).sum().to(total)
    labelled = torch.stack([mask.sum() for mask in known]).sum().to(total)
    # z is at least 0, and 0 where nothing was mismatched.
    z = (mean(total) / _at_least_tiny(mean(entries))).clamp(min=0)
    return Anchor(z, _at_least_tiny(mean(labelled)))


def value_loss(
    log_ratio: torch.Tensor, right: torch.Tensor, z: torch.Tensor, beta: float, desirable: float, undesirable: float
) -> torch.Tensor:
    """lambda - v for each entry, in (0, lambda).

    v = lambda_D sigmoid(beta (r - z)) where `right`, else lambda_U sigmoid(beta (z - r)); at pi = pi_ref this is
    lambda / 2. The paper's lambdas are not known.
    """
    margin = torch.where(right, log_ratio - z, z - log_ratio)
    weight = torch.full_like(log_ratio, undesirable).masked_fill(right, desirable)
    return weight * torch.sigmoid(-beta * margin)


@dataclass(frozen=True)
class Level:
    """One level of labels, outcomes of shape [B] or steps of shape [B, S].

    `known` (bool) masks entries without a label; `right` (bool) is read where `known`.
    """

    log_ratio: torch.Tensor
    right: torch.Tensor
    known: torch.Tensor
    desirable: float
    undesirable: float


def level_loss(level: Level, shared: Anchor, beta: float) -> torch.Tensor:
    """This pass's share of the mean of `value_loss` over all labelled entries of the optimiser step; 0 without any.

    The shares of all passes add up to that mean, and the mean of that over processes is the global one: a batch that is
    accumulated from parts, or spread over processes, has the loss that it has in one go. For steps the mean makes every
    step count the same, however many its solution has; whether the paper averages so or per solution is not known.
    """
    losses = value_loss(level.log_ratio, level.right, shared.z, beta, level.desirable, level.undesirable)
    return torch.where(level.known, losses, 0.0).sum() / shared.known


def _at_least_tiny(count: torch.Tensor) -> torch.Tensor:
    """`count`, or where it is 0 a number by which 0 can be divided; a mean count may lie between 0 and 1."""
    return count.clamp(min=torch.finfo(count.dtype).tiny)
