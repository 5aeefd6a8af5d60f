"""Rows laid end to end in one sequence, without padding, each attending to itself alone.

Suffixes as in `stages.train.trainer.loss`, and _N: positions of the sequence, all rows' tokens in order.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import pad
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from stages.common.errors import UserError

PACKED_ATTENTION = "attention_within_rows"
"""Name of `attend_within_rows` among the attention functions of transformers."""

_ATTENTION_LAYERS = {"full_attention", "sliding_attention"}
_UNSUPPORTED = ("softcap", "s_aux", "position_bias")
_FLASH_DTYPES = (torch.bfloat16, torch.float16)
_MAX_FLASH_HEAD_SIZE = 256


@dataclass(frozen=True)
class PackedRows:
    """Where the rows of a padded batch lie in one sequence; padding follows a row's tokens."""

    is_token: torch.Tensor
    """[B, T]."""

    def pack(self, values_BT: torch.Tensor) -> torch.Tensor:
        """The values of tokens, rows end to end: [1, N]."""
        return values_BT[self.is_token][None]

    def unpack(self, values_N: torch.Tensor) -> torch.Tensor:
        """The values [B, T], 0 on padding; the inverse of `pack`, through which gradients flow."""
        return values_N.new_zeros(self.is_token.shape).masked_scatter(self.is_token, values_N)

    def make_model_inputs(self) -> dict[str, Any]:
        """What a model with `use_packed_attention` needs beside ids: positions that start again with each row, and the
        rows' bounds, under the names that transformers passes on to attention."""
        lengths_B = self.is_token.sum(1)
        bounds = pad(lengths_B.cumsum(0), (1, 0)).to(torch.int32)
        longest = int(lengths_B.max())
        positions_T = torch.arange(self.is_token.shape[1], device=lengths_B.device)
        return {
            "position_ids": self.pack(positions_T.expand_as(self.is_token)),
            "cu_seq_lens_q": bounds,
            "cu_seq_lens_k": bounds,
            "max_length_q": longest,
            "max_length_k": longest,
        }


def use_packed_attention(model: Any) -> None:
    """Make `model` attend within packed rows, and read nothing else from now on.

    Raises `UserError` for a model in which rows would reach each other by other ways than attention (recurrent or
    convolution layers), or whose attention cannot be replaced.
    """
    layers = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    if not model._supports_attention_backend or model._is_stateful or layers - _ATTENTION_LAYERS:
        raise UserError(
            f"packing: expected a model whose tokens meet in attention layers alone, found {model.config.model_type}; "
            "set packing: false"
        )
    model.set_attn_implementation(PACKED_ATTENTION)


def attend_within_rows(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int = 0,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention [1, N, heads, size] within rows, of query, key and value [1, heads, N, size].

    `cu_seq_lens_q` are the rows' bounds. On a GPU in half precision it is one call of PyTorch's FlashAttention for rows
    of any length; elsewhere one call of its attention per row. Raises `ValueError` for a pass that is not packed, and
    `UserError` for what neither computes: dropout, capped scores, sinks, position biases.
    """
    if cu_seq_lens_q is None or attention_mask is not None:
        raise ValueError(
            "the model reads packed rows alone; model.set_attn_implementation('sdpa') makes it a usual one again"
        )
    found = [name for name in _UNSUPPORTED if others.get(name) is not None] + ["dropout"] * (dropout > 0)
    if found:
        raise UserError(f"packing: the model's attention has {', '.join(found)}; set packing: false")
    query, key, value = (_cast_for_autocast(tensor) for tensor in (query, key, value))
    is_flash = query.is_cuda and query.dtype in _FLASH_DTYPES
    if is_flash and query.shape[-1] == value.shape[-1] <= _MAX_FLASH_HEAD_SIZE:
        return _attend_in_one_call(query, key, value, scaling, sliding_window, cu_seq_lens_q, max_length_q), None
    lengths: list[int] = cu_seq_lens_q.diff().tolist()
    rows = zip(*(torch.split(tensor, lengths, dim=2) for tensor in (query, key, value)), strict=True)
    outputs = [
        sdpa_attention_forward(module, *row, _make_window_mask(row[0], sliding_window), scaling=scaling)[0]
        for row in rows
    ]
    return torch.cat(outputs, dim=1), None


def _attend_in_one_call(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
    window: int | None,
    bounds: torch.Tensor,
    longest: int,
) -> torch.Tensor:
    q_N, k_N, v_N = [tensor.squeeze(0).transpose(0, 1) for tensor in (query, key, value)]
    window_size = (-1 if window is None else window - 1, 0)
    output_N = varlen_attn(
        q_N, k_N, v_N, bounds, bounds, longest, longest, scale=scaling, window_size=window_size, enable_gqa=True
    )
    assert isinstance(output_N, torch.Tensor)  # other results were not asked for
    return output_N[None]


def _cast_for_autocast(tensor: torch.Tensor) -> torch.Tensor:
    """`tensor` as autocast would pass it to PyTorch's own attention; it does not know `varlen_attn`."""
    device = tensor.device.type
    return tensor.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else tensor


def _make_window_mask(query: torch.Tensor, window: int | None) -> torch.Tensor | None:
    """Where a token of one row may look if it sees `window` tokens, itself included; None: all before it."""
    length = query.shape[2]
    if window is None or window >= length:
        return None
    return torch.ones(length, length, dtype=torch.bool, device=query.device).tril().triu(1 - window)[None, None]


AttentionInterface.register(PACKED_ATTENTION, attend_within_rows)
