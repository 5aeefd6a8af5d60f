"""What is logged of a batch, gathered over all processes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from stages.train.anchors import Anchors
from stages.train.forward import Batch
from stages.train.loss import Level, ProcessMean

Share = tuple[torch.Tensor, torch.Tensor]
"""Sum and count of a mean over this process's part of the batch."""


ADDITIVE = ("loss/outcome", "loss/step", "num_tokens")
"""Shares whose parts add up to the batch's figure."""

MARGINS = (
    ("rewards/margins", "rewards/chosen", "rewards/rejected"),
    ("steps/rewards/margins", "steps/rewards/right", "steps/rewards/wrong"),
)
"""A margin's name, and the two means of which it is the difference."""


def of_levels(
    shared: Anchors, outcome: tuple[Level, torch.Tensor], step: tuple[Level, torch.Tensor], beta: float
) -> dict[str, Share]:
    """What is read off the two levels and their losses."""
    (outcomes, outcome_loss), (steps, step_loss) = outcome, step
    return {
        "kl": scalar(shared.outcome.z),
        "kl/step": scalar(shared.step.z),
        "kl/token": scalar(shared.outcome.z / shared.tokens.clamp(min=1)),
        "loss/outcome": scalar(outcome_loss),
        "loss/step": scalar(step_loss),
        **rewards(outcomes, beta, "rewards/chosen", "rewards/rejected"),
        **rewards(steps, beta, "steps/rewards/right", "steps/rewards/wrong"),
        "steps/accuracy": accuracy(steps, shared.step.z),
    }


def share(values: torch.Tensor, mask: torch.Tensor) -> Share:
    """`values` where `mask`."""
    return torch.where(mask, values.detach().double(), 0.0).sum(), mask.sum()


def scalar(value: torch.Tensor) -> Share:
    """A number of the whole batch."""
    return value, torch.ones_like(value)


def of_tokens(batch: Batch, output: Any, outcome: Level) -> dict[str, Share]:
    """What is read off single tokens: log-probs of completions and of the token that ends them, entropy, padding."""
    completion_BT = batch["completion_mask"][:, 1:].bool() & ~batch["filler"][:, None]
    logps_BT = output.log_probs.detach()
    logps_B = torch.where(completion_BT, logps_BT, 0.0).sum(1)
    lengths_B = batch["attention_mask"].sum(1)
    ends_B = logps_BT.gather(1, lengths_B[:, None] - 2)[:, 0]  # the log-prob of token t stands at t - 1
    right_B, wrong_B = outcome.known & outcome.right, outcome.known & ~outcome.right
    tokens = lengths_B.sum()
    places = torch.full_like(tokens, batch["attention_mask"].numel())
    return {
        "logps/chosen": share(logps_B, right_B),
        "logps/rejected": share(logps_B, wrong_B),
        "logps/end": share(ends_B, right_B),
        "entropy": share(output.entropy, completion_BT),
        "padding": (places - tokens, places),
        "num_tokens": scalar(tokens),
    }


def rewards(level: Level, beta: float, right: str, wrong: str) -> dict[str, Share]:
    """Implied rewards, beta times the log-ratio, of the right and the wrong labelled entries."""
    return {
        right: share(beta * level.log_ratio, level.known & level.right),
        wrong: share(beta * level.log_ratio, level.known & ~level.right),
    }


def accuracy(level: Level, z: torch.Tensor) -> Share:
    """Labelled entries whose log-ratio lies on their label's side of z: above it when right, not above when wrong."""
    return share((level.log_ratio > z) == level.right, level.known)


def averages(parts: Sequence[Mapping[str, Share]], mean: ProcessMean) -> dict[str, float]:
    """Every share of a batch as a mean over its `parts` and all processes, in one exchange, with the margins between
    them; names without entries are left out."""
    shares = _joined(parts)
    flat = torch.stack([part.detach().double() for share in shares.values() for part in share])
    numbers = mean(flat).tolist()
    values = {
        name: total / count for name, total, count in zip(shares, numbers[::2], numbers[1::2], strict=True) if count > 0
    }
    for margin, right, wrong in MARGINS:
        if right in values and wrong in values:
            values[margin] = values[right] - values[wrong]
    return values


def _joined(parts: Sequence[Mapping[str, Share]]) -> dict[str, Share]:
    """The shares of a batch, of those of its parts."""
    return {
        name: (
            torch.stack([part[name][0] for part in parts]).sum(),
            parts[0][name][1] if name in ADDITIVE else torch.stack([part[name][1] for part in parts]).sum(),
        )
        for name in parts[0]
    }
