"""Floating-point operations that a row's training needs, whatever the trainer really does: for the MFU."""

from typing import Any

from trl.trainer.utils import compute_flops_per_token, get_peak_flops


def count_row_flops(config: Any, row: dict[str, Any]) -> float:
    """Forward and backward (three times the forward) of an encoded row, and the forward of its mismatched completion.

    Not counted: padding, the optimizer, and the reference, which is scored before training.
    """
    prompt, completion, mismatched = (len(row[f"{part}_ids"]) for part in ("prompt", "completion", "KL_completion"))
    return 3 * count_forward_flops(config, prompt, completion) + count_forward_flops(config, prompt, mismatched)


def count_forward_flops(config: Any, prompt: int, completion: int) -> float:
    """2 per weight and token, and of attention 4 per layer, head, dimension and pair of tokens that see each other.

    The output layer scores the completion's tokens alone.
    """
    length = prompt + completion
    head = 2 * config.vocab_size * config.hidden_size
    # TRL counts three forwards in which each token sees `seq_len` tokens; it sees half of the row on average.
    per_token = compute_flops_per_token(config, length / 2) / 3
    return (per_token - head) * length + head * completion


def compute_mfu(flops_per_second: float, device: str) -> float | None:
    """The fraction of the device's peak in bfloat16, by TRL's table (TorchTitan's); None for a device not in it."""
    peak = get_peak_flops(device, "bfloat16")
    return None if peak is None else flops_per_second / peak
