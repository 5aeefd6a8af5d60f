"""Several processes from one setting: the stage starts itself again by ``accelerate launch``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from stages.params.train import LaunchParams

MACHINE = ("MACHINE_RANK", "MAIN_ADDRESS", "MAIN_PORT")
"""Environment variables that set a machine apart, where there are several: which it is, and where the first one is."""


_STARTED = "STEPKTO_LAUNCHED"


def is_launched() -> bool:
    """Whether this process is one of those that `start` had started."""
    return _STARTED in os.environ


def command(launch: LaunchParams, arguments: Sequence[str], cpu: bool) -> list[str]:
    """The command that runs ``python -m stages.train`` with `arguments` in `launch.processes` processes.

    On CPU it is torchrun's, since ``accelerate launch`` starts a single process there. Raises `ValueError` for several
    machines when the variables of `MACHINE` do not say which one this is, and for shards on CPU.
    """
    machine = _machine() if launch.machines > 1 else None
    words = _torchrun(launch, machine) if cpu else _accelerate(launch, machine)
    return [sys.executable, "-m", *words, "-m", "stages.train", *arguments]


def start(launch: LaunchParams, arguments: Sequence[str], cpu: bool) -> None:
    """Become that command: signals and the exit status are its own."""
    words = command(launch, arguments, cpu)
    os.execve(words[0], words, {**os.environ, _STARTED: "1"})  # noqa: S606 - no shell; the words are our own


def _accelerate(launch: LaunchParams, machine: tuple[str, str, str] | None) -> list[str]:
    words = ["accelerate.commands.launch", "--num_processes", str(launch.processes)]
    words += ["--num_machines", str(launch.machines), "--mixed_precision", "no", "--dynamo_backend", "no"]
    rank, address, port = machine or ("0", "127.0.0.1", "0")  # port 0: a free one
    words += ["--machine_rank", rank, "--main_process_ip", address, "--main_process_port", port]
    if launch.strategy == "fsdp2":
        words += ["--use_fsdp", "--fsdp_version", "2", "--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP"]
        words += ["--fsdp_reshard_after_forward", "true", "--fsdp_state_dict_type", "FULL_STATE_DICT"]
        words += ["--fsdp_cpu_ram_efficient_loading", "false"]
    elif launch.strategy == "deepspeed":
        words += ["--use_deepspeed", "--zero_stage", "3", "--zero3_save_16bit_model", "true"]
    else:
        words += ["--multi_gpu"]
    return words


def _torchrun(launch: LaunchParams, machine: tuple[str, str, str] | None) -> list[str]:
    if launch.strategy != "ddp":
        raise ValueError(f"train.launch.strategy: {launch.strategy} needs GPUs; on CPU there is ddp")
    words = ["torch.distributed.run", f"--nproc-per-node={launch.processes // launch.machines}"]
    if machine is None:
        return [*words, "--standalone"]
    rank, address, port = machine
    words += [f"--nnodes={launch.machines}", f"--node-rank={rank}"]
    return [*words, f"--master-addr={address}", f"--master-port={port}"]


def _machine() -> tuple[str, str, str]:
    missing = [name for name in MACHINE if not os.environ.get(name)]
    if missing:
        raise ValueError(f"train.launch.machines: each machine needs the environment variables {missing}")
    rank, address, port = (os.environ[name] for name in MACHINE)
    return rank, address, port
