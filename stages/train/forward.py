"""Forward passes: a batch's completions scored step by step, without logits, in parts of rows of like length."""

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
    # Padding lies behind a row, where no token of the row looks: without a mask attention takes its fast causal path.
    # A router's loss alone counts padding.
    inputs = {"output_router_logits": True, "attention_mask": batch[f"{prefix}attention_mask"]} if router else {}
    ids_BT = batch[f"{prefix}input_ids"]
    output = model(
        input_ids=ids_BT,
        labels=ids_BT.masked_fill(batch[f"{prefix}completion_mask"] == 0, -100),
        fused_lm_head=True,
        use_cache=False,
        **inputs,
    )
    steps = batch["KL_steps" if prefix else "step_labels"].shape[1]
    return segment_sums(output.log_probs, batch[f"{prefix}step_of_token"][:, 1:], steps), output


@torch.no_grad()
def step_logps_in_parts(model: Any, batch: Batch, prefix: str, rows: int | None) -> torch.Tensor:
    """The log-probs of `step_logps`, without gradient, from passes over at most `rows` rows (None: all) each."""
    order, sums = [], []
    for rows_B in by_length(batch, prefix, rows):
        order.append(rows_B)
        sums.append(step_logps(model, take(batch, rows_B), prefix)[0])
    return torch.cat(sums)[torch.cat(order).argsort()]


def by_length(batch: Batch, prefix: str, rows: int | None) -> list[torch.Tensor]:
    """The batch's rows in parts of at most `rows`, the longest first; one part in the given order for None."""
    lengths_B = batch[f"{prefix}attention_mask"].sum(1)
    if rows is None or rows >= len(lengths_B):
        return [torch.arange(len(lengths_B), device=lengths_B.device)]
    return list(torch.split(lengths_B.argsort(descending=True, stable=True), rows))


def take(batch: Batch, rows_B: torch.Tensor) -> Batch:
    """Rows of a batch, without the padding that only others needed."""
    part = {name: value[rows_B] for name, value in batch.items()}
    for prefix in ("", "KL_"):
        longest = int(part[f"{prefix}attention_mask"].sum(1).max())
        for name in ("input_ids", "attention_mask", "completion_mask", "step_of_token"):
            part[f"{prefix}{name}"] = part[f"{prefix}{name}"][:, :longest]
    return part
