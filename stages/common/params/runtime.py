"""Settings of the machine: no stage tracks them, since they must not change a result."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from stages.common.params.base import Block, load


class RuntimeParams(Block):
    """`runtime` block, read from params.yaml by the stages themselves and tracked by none."""

    threads: int = Field(ge=1, le=256)
    """Torch threads per process. The day world is fastest with 1; another number may change last bits of floats."""
    workers: int = Field(ge=1, le=256)
    """Worker processes for CPU work (grading)."""
    spread: Literal["ray"] | None
    """Where stage outcome grades: null on this machine, ray by tasks of `workers` processes all over a Ray cluster."""
    device: Literal["auto", "cpu", "cuda"]
    """Where models run; auto takes CUDA where there is one."""


def load_runtime(path: Path = Path("params.yaml")) -> RuntimeParams:
    """The machine's settings, from the recipe in force."""
    return load(RuntimeParams, path, "runtime")
