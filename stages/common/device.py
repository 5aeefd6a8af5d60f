"""Where models run, and what is pinned so that they compute the same bytes."""

import os
import time
from typing import Literal

from stages.common.errors import UserError
from stages.common.logs import has_bars
from stages.common.params.runtime import RuntimeParams

Device = Literal["cpu", "cuda"]
Dtype = Literal["float32", "bfloat16"]

MIN_BFLOAT16_SPEEDUP = 1.5
"""By which a matrix product has to be faster in bfloat16 than in float32, for `auto` to choose it on a CPU: where
bfloat16 is emulated it is slower, and a small gain is not worth its three digits."""

_PROBE_S = 0.5
_PROBE_SIZE = 512
_CPU_DTYPE = "STEPKTO_CPU_DTYPE"
"""Environment variable that gives what was found to the processes which this one starts: all of them need the same."""


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


def choose_dtype(device: Device) -> Dtype:
    """What `auto` means on this machine: bfloat16 on a GPU, and on a CPU that is faster in it by a probe.

    What is computed then depends on the machine, and a result has to say which type it was.
    """
    if device == "cuda":
        return "bfloat16"
    if _CPU_DTYPE not in os.environ:
        is_faster = measure_bfloat16_speedup() >= MIN_BFLOAT16_SPEEDUP
        os.environ[_CPU_DTYPE] = "bfloat16" if is_faster else "float32"
    return "bfloat16" if os.environ[_CPU_DTYPE] == "bfloat16" else "float32"


def name_dtype(dtype: str | None) -> str | None:
    """What params key ``dtype`` adds to a model's name: the type, which for `auto` on a CPU is what the probe chose."""
    if dtype != "auto":
        return dtype
    return None if choose_device("auto") == "cuda" else choose_dtype("cpu")


def measure_bfloat16_speedup() -> float:
    """How many times as fast this CPU multiplies matrices in bfloat16 as in float32, in half a second.

    The types take turns and the fastest product of each counts, so that other work on the machine hardly matters.
    """
    import torch

    factors = {dtype: torch.ones(_PROBE_SIZE, _PROBE_SIZE, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
    fastest_s = dict.fromkeys(factors, float("inf"))
    end = time.monotonic() + _PROBE_S
    while time.monotonic() < end:
        for dtype, factor in factors.items():
            start = time.perf_counter()
            torch.mm(factor, factor)
            fastest_s[dtype] = min(fastest_s[dtype], time.perf_counter() - start)
    return fastest_s[torch.float32] / fastest_s[torch.bfloat16]
