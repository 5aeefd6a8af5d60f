"""What is logged of a batch, gathered over all processes at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from stages.train.loss import Level, ProcessMean

Share = tuple[torch.Tensor, torch.Tensor]
"""Sum and count of a mean over this process's part of the batch."""


def share(values: torch.Tensor, mask: torch.Tensor) -> Share:
    """`values` where `mask`."""
    return torch.where(mask, values.detach().double(), 0.0).sum(), mask.sum()


def rewards(level: Level, beta: float, right: str, wrong: str) -> dict[str, Share]:
    """Implied rewards, beta times the log-ratio, of the right and the wrong labelled entries."""
    return {
        right: share(beta * level.log_ratio, level.known & level.right),
        wrong: share(beta * level.log_ratio, level.known & ~level.right),
    }


def accuracy(level: Level, z: torch.Tensor) -> Share:
    """Labelled entries whose log-ratio lies on their label's side of z: above it when right, not above when wrong."""
    return share((level.log_ratio > z) == level.right, level.known)


def averages(shares: Mapping[str, Share], mean: ProcessMean) -> dict[str, float]:
    """Every share as a mean over all processes, in one exchange; names without entries are left out."""
    flat = torch.stack([part.detach().double() for share in shares.values() for part in share])
    numbers = mean(flat).tolist()
    return {
        name: total / count for name, total, count in zip(shares, numbers[::2], numbers[1::2], strict=True) if count > 0
    }
