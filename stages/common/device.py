"""Where models run."""

from __future__ import annotations

from typing import Literal

from stages.common.errors import UserError

Device = Literal["cpu", "cuda"]


def choose_device(setting: Literal["auto", "cpu", "cuda"]) -> Device:
    """The device for params key ``runtime.device``; raise `UserError` when CUDA is required but missing."""
    import torch

    is_available = setting != "cpu" and torch.cuda.is_available()
    if setting == "cuda" and not is_available:
        raise UserError("runtime.device is cuda, but no GPU is available; set it to auto or cpu")
    return "cuda" if is_available else "cpu"
