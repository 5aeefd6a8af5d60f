"""Several processes from one setting: the stage starts itself again by ``accelerate launch``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from stages.common.params.train import LaunchParams

MACHINE = ("MACHINE_RANK", "MAIN_ADDRESS", "MAIN_PORT")
"""Environment variables that set a machine apart, where there are several: which it is, and where the first one is."""

STRATEGIES = {
    "ddp": "--multi_gpu",
    # Each process writes its own shards of a checkpoint: nothing is gathered before the policy itself.
    "fsdp2": "--use_fsdp --fsdp_version 2 --fsdp_auto_wrap_policy TRANSFORMER_BASED_WRAP "
    "--fsdp_reshard_after_forward true --fsdp_state_dict_type SHARDED_STATE_DICT "
    "--fsdp_cpu_ram_efficient_loading false",
    # The standard launcher is started on each machine; the default one would log in to all of them from each.
    "deepspeed": "--use_deepspeed --zero_stage 3 --zero3_init_flag false --zero3_save_16bit_model true "
    "--deepspeed_multinode_launcher standard",
}
"""What ``accelerate launch`` is told, beside how many processes it is to start."""

CONFIG = Path(__file__).with_name("accelerate.yaml")
"""Read in place of what ``accelerate config`` has left in the user's home."""

_STARTED = "STEPKTO_LAUNCHED"
_NO_GPU = {"CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"}
"""FSDP2 and DeepSpeed would take a GPU that they see."""


def is_launched() -> bool:
    """Whether this process is one of those that `start` had started."""
    return _STARTED in os.environ


def command(launch: LaunchParams, arguments: Sequence[str]) -> list[str]:
    """The command that runs ``python -m stages.train`` with `arguments` in `launch.processes` processes.

    It is the same on CPU, where ``accelerate launch --cpu`` would start a single process. Raises `ValueError` for
    several machines when the variables of `MACHINE` do not say which one this is.
    """
    rank, address, port = _machine() if launch.machines > 1 else ("0", "127.0.0.1", "0")  # port 0: a free one
    words = ["--config_file", str(CONFIG), "--num_machines", str(launch.machines)]
    words += ["--num_processes", str(launch.processes)]
    words += ["--machine_rank", rank, "--main_process_ip", address, "--main_process_port", port]
    words += ["--mixed_precision", "no", "--dynamo_backend", "no", *STRATEGIES[launch.strategy].split()]
    return [sys.executable, "-m", "accelerate.commands.launch", *words, "-m", "stages.train", *arguments]


def start(launch: LaunchParams, arguments: Sequence[str], cpu: bool) -> None:
    """Become that command: signals and the exit status are its own."""
    words = command(launch, arguments)
    variables = {**os.environ, **(_NO_GPU if cpu else {}), _STARTED: "1"}
    os.execve(words[0], words, variables)  # noqa: S606 - no shell; the words are our own


def _machine() -> tuple[str, str, str]:
    missing = [name for name in MACHINE if not os.environ.get(name)]
    if missing:
        raise ValueError(f"train.launch.machines: each machine needs the environment variables {missing}")
    rank, address, port = (os.environ[name] for name in MACHINE)
    return rank, address, port
