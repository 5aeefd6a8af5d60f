"""What all passes of one optimiser step share: the reference points of both levels, and what is counted with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from stages.train.forward import Batch
from stages.train.loss import UNKNOWN, Anchor, ProcessMean, anchor


@dataclass(frozen=True)
class Anchors:
    """Of one optimiser step: the anchors of both levels, the mean length of this process's mismatched completions in
    tokens, and how many passes the step is made of."""

    outcome: Anchor
    step: Anchor
    tokens: torch.Tensor
    passes: int


def anchors(batches: Iterable[Batch], logps: Callable[[Batch], torch.Tensor], mean: ProcessMean) -> Anchors:
    """The anchors of an optimiser step made of `batches`, from one pass over their mismatched completions.

    `logps` gives those completions' log-probs by step [B, S], without gradient. Rows that only fill up the last batch
    do not count.
    """
    ratios, outcomes, steps, tokens = [], [], [], []
    for batch in batches:
        ratio_BS = logps(batch) - batch["ref_KL_step_logps"]
        real_B = ~batch["filler"]
        ratios.append((ratio_BS, real_B, batch["KL_steps"] & real_B[:, None]))
        outcomes.append(batch["outcome_known"])
        steps.append(batch["step_labels"] != UNKNOWN)
        tokens.append((batch["KL_completion_mask"] * real_B[:, None]).sum())
    return Anchors(
        outcome=anchor([(ratio_BS.sum(1), real_B) for ratio_BS, real_B, _ in ratios], outcomes, mean),
        step=anchor([(ratio_BS, steps_BS) for ratio_BS, _, steps_BS in ratios], steps, mean),
        tokens=torch.stack(tokens).sum() / torch.stack([real_B.sum() for _, real_B, _ in ratios]).sum(),
        passes=len(ratios),
    )
