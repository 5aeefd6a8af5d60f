"""The Step-KTO loss as pure functions of tensors (arXiv 2501.10799; the value function is KTO's, arXiv 2402.01306).

Suffixes name a tensor's dimensions: _B rows of the batch, _S steps of a row, _T tokens of a row. Log-ratios are
``log pi - log pi_ref`` in nats.
"""

from dataclasses import dataclass

import torch

UNKNOWN = -1
"""Label of a step that is neither correct (1) nor incorrect (0): unknown to the judge, masked, or padding."""

NO_STEP = -1
"""Step of a token that belongs to none: prompt and padding."""


def sum_by_step(values_BT: torch.Tensor, step_of_token_BT: torch.Tensor, num_steps: int) -> torch.Tensor:
    """Sum token values by step: [B, `num_steps`]. Tokens with `NO_STEP` are left out; a step without tokens gives 0."""
    target_BT = torch.where(step_of_token_BT == NO_STEP, num_steps, step_of_token_BT)
    sums = values_BT.new_zeros(values_BT.shape[0], num_steps + 1)
    return sums.scatter_add(1, target_BT, values_BT)[:, :num_steps]


def compute_value_losses(
    log_ratio: torch.Tensor,
    is_correct: torch.Tensor,
    z: torch.Tensor,
    beta: float,
    desirable: float,
    undesirable: float,
) -> torch.Tensor:
    """lambda - v for each entry, in (0, lambda).

    v = lambda_D sigmoid(beta (r - z)) where `is_correct`, else lambda_U sigmoid(beta (z - r)); at pi = pi_ref this is
    lambda / 2. `desirable` is lambda_D, `undesirable` lambda_U; the paper's values are not known.
    """
    margin = torch.where(is_correct, log_ratio - z, z - log_ratio)
    weight = torch.full_like(log_ratio, undesirable).masked_fill(is_correct, desirable)
    return weight * torch.sigmoid(-beta * margin)


@dataclass(frozen=True)
class LabelledRatios:
    """Log-ratios with labels: outcomes of shape [B] or steps of shape [B, S].

    `is_known` (bool) masks entries without a label; `is_correct` (bool) is read where `is_known`. `desirable` and
    `undesirable` are lambda_D and lambda_U.
    """

    log_ratio: torch.Tensor
    is_correct: torch.Tensor
    is_known: torch.Tensor
    desirable: float
    undesirable: float


def compute_mean_loss(entries: LabelledRatios, z: torch.Tensor, num_known: torch.Tensor, beta: float) -> torch.Tensor:
    """This pass's part of the mean of `compute_value_losses` over the optimizer step's `num_known` labelled entries.

    The parts of all passes add up to that mean, and its mean over processes is the global one, so a batch that is
    accumulated or spread over processes has the loss of the batch in one pass. All steps count the same, however many
    a completion has; whether the paper averages so or per completion is not known. Without labelled entries it is 0.
    """
    losses = compute_value_losses(
        entries.log_ratio, entries.is_correct, z, beta, entries.desirable, entries.undesirable
    )
    return torch.where(entries.is_known, losses, 0.0).sum() / num_known
