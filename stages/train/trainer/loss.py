"""The Step-KTO loss as pure functions of tensors (arXiv 2501.10799; the value function is KTO's, arXiv 2402.01306).

Suffixes name a tensor's dimensions: _B rows of the batch, _S steps of a row, _T tokens of a row. Log-ratios are
``log pi - log pi_ref`` in nats.
"""

from dataclasses import dataclass
from typing import Literal

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


@dataclass(frozen=True)
class ValueParams:
    """Params of one level's value function: of outcomes or of steps.

    `desirable` is lambda_D, `undesirable` lambda_U; the paper's values are not known. `is_normalized` divides
    log-ratios by their number of tokens (as SimPO does log-probs, arXiv 2405.14734, and length-normalized DPO
    log-ratios, arXiv 2411.15124).
    """

    beta: float
    desirable: float = 1.0
    undesirable: float = 1.0
    is_normalized: bool = False


@dataclass(frozen=True)
class LossParams:
    """Params of the joint loss; `nll_weight` 0 leaves the NLL term out."""

    outcome: ValueParams
    step: ValueParams
    w_step: float = 1.0
    nll_weight: float = 0.0
    nll_on: Literal["completions", "steps"] = "completions"


@dataclass(frozen=True)
class LabelledRatios:
    """Log-ratios with labels, and the policy's log-probs `logps`: of completions [B] or of steps [B, S].

    `num_tokens` is the number of tokens that each is a sum over. `is_known` (bool) masks entries without a label;
    `is_correct` (bool) is read where `is_known`.
    """

    log_ratio: torch.Tensor
    logps: torch.Tensor
    num_tokens: torch.Tensor
    is_correct: torch.Tensor
    is_known: torch.Tensor

    def compute_loss_ratio(self, params: ValueParams) -> torch.Tensor:
        """What the loss compares with z: log-ratios, or their means per token."""
        return self.log_ratio / self.num_tokens.clamp(min=1) if params.is_normalized else self.log_ratio


@dataclass(frozen=True)
class ReferencePoint:
    """One level's reference point and label counts, of a whole optimizer step.

    `z` (scalar, no gradient) is in nats, per token if log-ratios are; `unclamped` is the same before its clamp at 0.
    `num_known` and `num_correct` count labelled and correct entries, as means over processes, never 0.
    """

    z: torch.Tensor
    unclamped: torch.Tensor
    num_known: torch.Tensor
    num_correct: torch.Tensor


def compute_value_losses(
    log_ratio: torch.Tensor, is_correct: torch.Tensor, z: torch.Tensor, params: ValueParams
) -> torch.Tensor:
    """lambda - v for each entry, in (0, lambda).

    v = lambda_D sigmoid(beta (r - z)) where `is_correct`, else lambda_U sigmoid(beta (z - r)); at pi = pi_ref this is
    lambda / 2.
    """
    margin = torch.where(is_correct, log_ratio - z, z - log_ratio)
    weight = torch.full_like(log_ratio, params.undesirable).masked_fill(is_correct, params.desirable)
    return weight * torch.sigmoid(-params.beta * margin)


def compute_mean_loss(entries: LabelledRatios, point: ReferencePoint, params: ValueParams) -> torch.Tensor:
    """This pass's part of the mean of `compute_value_losses` over the optimizer step's labelled entries.

    The parts of all passes add up to that mean, and its mean over processes is the global one, so a batch that is
    accumulated or spread over processes has the loss of the batch in one pass. All steps count the same, however many
    a completion has; whether the paper averages so or per completion is not known. Without labelled entries it is 0.
    """
    losses = compute_value_losses(entries.compute_loss_ratio(params), entries.is_correct, point.z, params)
    return torch.where(entries.is_known, losses, 0.0).sum() / point.num_known


def compute_mean_nll(entries: LabelledRatios, point: ReferencePoint) -> torch.Tensor:
    """This pass's part of the mean over correct entries of their negative log-prob per token, in nats.

    The term of RPO and IRPO (arXiv 2404.19733, eq. 2), which keeps what is correct likely: a log-ratio's gradient alone
    may push it down with what is incorrect. Parts add up as in `compute_mean_loss`.
    """
    nll = -entries.logps / entries.num_tokens.clamp(min=1)
    return torch.where(entries.is_known & entries.is_correct, nll, 0.0).sum() / point.num_correct


@dataclass(frozen=True)
class JointLoss:
    """L = `outcome` + w_step `step` + nll_weight `nll`, of which `nll` is None if it is off."""

    total: torch.Tensor
    outcome: torch.Tensor
    step: torch.Tensor
    nll: torch.Tensor | None


def compute_joint_loss(
    outcome: tuple[LabelledRatios, ReferencePoint], step: tuple[LabelledRatios, ReferencePoint], params: LossParams
) -> JointLoss:
    """This pass's part of the loss of an optimizer step, from each level's entries and reference point."""
    outcome_loss, step_loss = compute_mean_loss(*outcome, params.outcome), compute_mean_loss(*step, params.step)
    total = outcome_loss + params.w_step * step_loss
    if not params.nll_weight:
        return JointLoss(total, outcome_loss, step_loss, None)
    nll = compute_mean_nll(*(outcome if params.nll_on == "completions" else step))
    return JointLoss(total + params.nll_weight * nll, outcome_loss, step_loss, nll)
