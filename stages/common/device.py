"""Where models run, and what is pinned so that they compute the same bytes."""

import os
from typing import Literal

from stages.common.errors import UserError
from stages.common.logs import has_bars
from stages.common.params.runtime import RuntimeParams

Device = Literal["cpu", "cuda"]


def choose_device(setting: Literal["auto", "cpu", "cuda"]) -> Device:
    """The device for params key ``runtime.device``; raise `UserError` when CUDA is required but missing."""
    import torch

    is_available = setting != "cpu" and torch.cuda.is_available()
    if setting == "cuda" and not is_available:
        raise UserError("runtime.device is cuda, but no GPU is available; set it to auto or cpu")
    return "cuda" if is_available else "cpu"


def prepare_torch(runtime: RuntimeParams) -> Device:
    """Pin what moves the results of torch in this process, and return the device of `choose_device`.

    The number of threads decides the order of sums, whatever OMP_NUM_THREADS says. On a GPU, algorithms whose sums
    have no fixed order are replaced where torch has another one. Off a terminal, libraries show no bars.
    """
    import torch
    from transformers.utils import logging

    torch.set_num_threads(runtime.num_threads)
    device = choose_device(runtime.device)
    if device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    if not has_bars():
        logging.disable_progress_bar()
    return device
