"""Forward passes: log-probs of completions by step, without logits, in micro-batches of rows of similar length."""

from typing import Any

import torch

from stages.train.trainer.loss import sum_by_step

Batch = dict[str, torch.Tensor]


def compute_step_logps(model: Any, batch: Batch, prefix: str, with_router: bool = False) -> tuple[torch.Tensor, Any]:
    """Log-probs of a batch's completions summed by step [B, S], in nats, and the model's output.

    `prefix` is "" for the batch's own completions and "KL_" for the mismatched ones; `with_router` makes a mixture of
    experts return its load-balancing loss.
    """
    # Padding follows the completion, so causal attention never looks at it: without a mask attention takes its fast
    # path. Only a router's loss counts padding.
    inputs = {"output_router_logits": True, "attention_mask": batch[f"{prefix}attention_mask"]} if with_router else {}
    ids_BT = batch[f"{prefix}input_ids"]
    output = model(
        input_ids=ids_BT,
        labels=ids_BT.masked_fill(batch[f"{prefix}completion_mask"] == 0, -100),
        fused_lm_head=True,
        use_cache=False,
        **inputs,
    )
    num_steps = batch["KL_steps" if prefix else "step_labels"].shape[1]
    return sum_by_step(output.log_probs, batch[f"{prefix}step_of_token"][:, 1:], num_steps), output


@torch.no_grad()
def compute_step_logps_without_grad(model: Any, batch: Batch, prefix: str, size: int | None) -> torch.Tensor:
    """The log-probs of `compute_step_logps` from passes over at most `size` rows each (None: all rows)."""
    order, sums = [], []
    for rows_B in split_by_length(batch, prefix, size):
        order.append(rows_B)
        sums.append(compute_step_logps(model, select_rows(batch, rows_B), prefix)[0])
    return torch.cat(sums)[torch.cat(order).argsort()]


def split_by_length(batch: Batch, prefix: str, size: int | None) -> list[torch.Tensor]:
    """Indices of the batch's rows in parts of at most `size`, longest rows first; for None one part in given order."""
    lengths_B = batch[f"{prefix}attention_mask"].sum(1)
    if size is None or size >= len(lengths_B):
        return [torch.arange(len(lengths_B), device=lengths_B.device)]
    return list(torch.split(lengths_B.argsort(descending=True, stable=True), size))


def select_rows(batch: Batch, rows_B: torch.Tensor) -> Batch:
    """Rows of a batch, without the padding that only other rows needed."""
    part = {name: value[rows_B] for name, value in batch.items()}
    for prefix in ("", "KL_"):
        longest = int(part[f"{prefix}attention_mask"].sum(1).max())
        for name in ("input_ids", "attention_mask", "completion_mask", "step_of_token"):
            part[f"{prefix}{name}"] = part[f"{prefix}{name}"][:, :longest]
    return part
