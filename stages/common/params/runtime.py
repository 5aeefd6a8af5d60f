"""Params of the machine: no stage tracks them, since they must not change a result."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from stages.common.params.block import ParamsBlock, load

MAX_WORKERS = 256


class RuntimeParams(ParamsBlock):
    """`runtime` block, read from params.yaml by the stages themselves and tracked by none."""

    num_threads: int = Field(default=1, ge=1, le=256)
    """Torch threads per process. Toy arithmetic is fastest with 1; another number may change last bits of floats."""
    num_workers: int = Field(default_factory=lambda: min(os.cpu_count() or 1, MAX_WORKERS), ge=1, le=MAX_WORKERS)
    """Worker processes for CPU work such as grading; by default one per core."""
    distributed: Literal["ray"] | None = None
    """Where stage outcome grades: null on this machine, ray in tasks of `num_workers` processes on a Ray cluster."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models run; auto takes CUDA if there is a GPU."""
    vllm_python: str | None = None
    """Interpreter that runs vLLM for the engines `vllm` and `ray`; null: that of .venv-vllm, where `make vllm` installs
    vLLM's CPU build, if there is one, else the stage's own."""
    sglang_python: str | None = None
    """Interpreter that runs SGLang for the engine `serve` with `server: sglang`; null: the stage's own."""


def load_runtime(path: Path = Path("params.yaml")) -> RuntimeParams:
    """The machine's params, from the recipe in force."""
    return load(RuntimeParams, path, "runtime")
