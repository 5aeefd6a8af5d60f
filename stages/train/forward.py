"""The forward pass: a batch's completions scored step by step, without logits."""

from __future__ import annotations

from typing import Any

import torch

from stages.train.loss import segment_sums

Batch = dict[str, torch.Tensor]


def step_logps(model: Any, batch: Batch, prefix: str, router: bool = False) -> tuple[torch.Tensor, Any]:
    """Log-probs of a batch's completions summed by step [B, S], in nats, and the model's output.

    `prefix` is "" for the batch's own completions and "KL_" for the mismatched ones; `router` asks a mixture of experts
    for its load-balancing loss.
    """
    inputs = {"output_router_logits": True} if router else {}
    ids_BT = batch[f"{prefix}input_ids"]
    output = model(
        input_ids=ids_BT,
        attention_mask=batch[f"{prefix}attention_mask"],
        labels=ids_BT.masked_fill(batch[f"{prefix}completion_mask"] == 0, -100),
        fused_lm_head=True,
        use_cache=False,
        **inputs,
    )
    steps = batch["KL_steps" if prefix else "step_labels"].shape[1]
    return segment_sums(output.log_probs, batch[f"{prefix}step_of_token"][:, 1:], steps), output
