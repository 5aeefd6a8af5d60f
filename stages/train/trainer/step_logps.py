"""Forward passes: log-probs of completions by step, without logits, in micro-batches, padded or packed."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad

from stages.train.trainer.loss import UNKNOWN, LabelledRatios, sum_by_step
from stages.train.trainer.packing import PackedRows

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class PassLayout:
    """How a batch is laid out in forward passes, which decides time and memory but no log-prob."""

    max_rows: int | None = None
    """Rows of a pass; None: all."""
    is_packed: bool = False
    """Whether the rows of a pass are one sequence without padding instead of a rectangle."""

    def split(self, batch: Batch, prefix: str) -> list[torch.Tensor]:
        """Indices of the batch's rows, pass by pass.

        Padded rows are split by length, longest first, so that they need little padding; packed ones so that passes
        have about the same number of tokens. One pass takes the rows in the given order.
        """
        lengths_B = batch[f"{prefix}attention_mask"].sum(1)
        if self.max_rows is None or self.max_rows >= len(lengths_B):
            return [torch.arange(len(lengths_B), device=lengths_B.device)]
        order_B = lengths_B.argsort(descending=True, stable=True)
        if not self.is_packed:
            return list(torch.split(order_B, self.max_rows))
        num_passes = -(-len(order_B) // self.max_rows)
        return [order_B[first::num_passes] for first in range(num_passes)]


@dataclass(frozen=True)
class TokenOutputs:
    """What a pass says of its tokens: each [B, T - 1], at t of token t + 1, 0 where it is of no completion."""

    log_probs: torch.Tensor
    """In nats."""
    entropy: torch.Tensor
    """In nats."""
    num_positions: int
    """Positions that the model computed, padding included."""
    aux_loss: torch.Tensor | None
    """The load-balancing loss of a mixture of experts."""


def compute_step_logps(
    model: Any, batch: Batch, prefix: str, is_packed: bool = False, with_router: bool = False
) -> tuple[torch.Tensor, TokenOutputs]:
    """Log-probs of a batch's completions summed by step [B, S], in nats, and what the pass says of single tokens.

    `prefix` is "" for the batch's own completions and "KL_" for the mismatched ones; `is_packed` lays the rows end to
    end, for a model with `use_packed_attention`; `with_router` makes a mixture of experts return its load-balancing
    loss.
    """
    ids_BT, mask_BT = batch[f"{prefix}input_ids"], batch[f"{prefix}attention_mask"]
    labels_BT = ids_BT.masked_fill(batch[f"{prefix}completion_mask"] == 0, -100)
    inputs: dict[str, Any] = {"output_router_logits": True} if with_router else {}
    if is_packed:
        rows = PackedRows(mask_BT.bool())
        labels_BT[:, 0] = -100  # what precedes it in the sequence is another row
        inputs |= {"input_ids": rows.pack(ids_BT), "labels": rows.pack(labels_BT), **rows.make_model_inputs()}
    else:
        # Padding follows the completion, so causal attention never looks at it: without a mask attention takes its fast
        # path. Only a router's loss counts padding.
        inputs |= {"input_ids": ids_BT, "labels": labels_BT} | ({"attention_mask": mask_BT} if with_router else {})
    output = model(fused_lm_head=True, use_cache=False, **inputs)
    logps_BT, entropy_BT = (
        rows.unpack(pad(values, (1, 0)))[:, 1:] if is_packed else values
        for values in (output.log_probs, output.entropy)
    )
    tokens = TokenOutputs(logps_BT, entropy_BT, inputs["input_ids"].numel(), output.aux_loss)
    num_steps = batch["KL_steps" if prefix else "step_labels"].shape[1]
    return sum_by_step(tokens.log_probs, batch[f"{prefix}step_of_token"][:, 1:], num_steps), tokens


def count_step_tokens(batch: Batch, prefix: str, num_steps: int) -> torch.Tensor:
    """The number of tokens of each step [B, S], as floats."""
    steps_BT = batch[f"{prefix}step_of_token"]
    return sum_by_step(torch.ones_like(steps_BT, dtype=torch.float32), steps_BT, num_steps)


def label_ratios(logps_BS: torch.Tensor, batch: Batch) -> tuple[LabelledRatios, LabelledRatios]:
    """Log-ratios of a batch's completions [B] and of their steps [B, S], with labels, from log-probs by step."""
    ratio_BS, labels_BS = logps_BS - batch["ref_step_logps"], batch["step_labels"]
    tokens_BS = count_step_tokens(batch, "", labels_BS.shape[1])
    outcome = LabelledRatios(
        ratio_BS.sum(1), logps_BS.sum(1), tokens_BS.sum(1), batch["label"].bool(), batch["outcome_known"]
    )
    return outcome, LabelledRatios(ratio_BS, logps_BS, tokens_BS, labels_BS == 1, labels_BS != UNKNOWN)


@torch.no_grad()
def compute_step_logps_without_grad(model: Any, batch: Batch, prefix: str, layout: PassLayout) -> torch.Tensor:
    """The log-probs of `compute_step_logps` from passes in `layout`."""
    order, sums = [], []
    for rows_B in layout.split(batch, prefix):
        order.append(rows_B)
        sums.append(compute_step_logps(model, select_rows(batch, rows_B), prefix, layout.is_packed)[0])
    return torch.cat(sums)[torch.cat(order).argsort()]


def select_rows(batch: Batch, rows_B: torch.Tensor) -> Batch:
    """Rows of a batch, without the padding that only other rows needed."""
    part = {name: value[rows_B] for name, value in batch.items()}
    for prefix in ("", "KL_"):
        longest = int(part[f"{prefix}attention_mask"].sum(1).max())
        for name in ("input_ids", "attention_mask", "completion_mask", "step_of_token"):
            part[f"{prefix}{name}"] = part[f"{prefix}{name}"][:, :longest]
    return part
