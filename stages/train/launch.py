"""Training in several processes: the stage starts itself again by ``accelerate launch``."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from stages.common.errors import UserError
from stages.common.params.train import LaunchParams

MACHINE_VARIABLES = ("MACHINE_RANK", "MAIN_ADDRESS", "MAIN_PORT")
"""Environment variables of each of several machines: its rank, and the address and port of the first one."""

STRATEGY_OPTIONS = {
    "ddp": "--multi_gpu",
    # Each process writes its own shards of a checkpoint: nothing is gathered before the policy itself.
    "fsdp2": "--use_fsdp --fsdp_version 2 --fsdp_auto_wrap_policy TRANSFORMER_BASED_WRAP "
    "--fsdp_reshard_after_forward true --fsdp_state_dict_type SHARDED_STATE_DICT "
    "--fsdp_cpu_ram_efficient_loading false",
    # The standard launcher is started on each machine; the default one would log in to all of them from each.
    "deepspeed": "--use_deepspeed --zero_stage 3 --zero3_init_flag false --zero3_save_16bit_model true "
    "--deepspeed_multinode_launcher standard",
}
"""Options of ``accelerate launch``, beside the number of processes."""

ACCELERATE_CONFIG = Path(__file__).with_name("accelerate.yaml")
"""Read instead of the user's own ``accelerate config``."""

_IS_LAUNCHED = "STEPKTO_LAUNCHED"
_HIDE_GPUS = {"CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"}
"""FSDP2 and DeepSpeed use any GPU that they see."""


def is_launched() -> bool:
    """Whether this process was started by `relaunch`."""
    return _IS_LAUNCHED in os.environ


def build_launch_command(launch: LaunchParams, arguments: Sequence[str]) -> list[str]:
    """The command that runs ``python -m stages.train`` with `arguments` in `launch.num_processes` processes.

    It is the same on CPU, where ``accelerate launch --cpu`` would start a single process. Raises `UserError` for
    several machines unless `MACHINE_VARIABLES` are set.
    """
    # Port 0: a free one.
    rank, address, port = _read_machine() if launch.num_machines > 1 else ("0", "127.0.0.1", "0")
    options = ["--config_file", str(ACCELERATE_CONFIG), "--num_machines", str(launch.num_machines)]
    options += ["--num_processes", str(launch.num_processes)]
    options += ["--machine_rank", rank, "--main_process_ip", address, "--main_process_port", port]
    options += ["--mixed_precision", "no", "--dynamo_backend", "no", *STRATEGY_OPTIONS[launch.strategy].split()]
    return [sys.executable, "-m", "accelerate.commands.launch", *options, "-m", "stages.train", *arguments]


def relaunch(launch: LaunchParams, arguments: Sequence[str], on_cpu: bool) -> None:
    """Replace this process by that command, which gets its signals and gives its exit status."""
    command = build_launch_command(launch, arguments)
    environment = {**os.environ, **(_HIDE_GPUS if on_cpu else {}), _IS_LAUNCHED: "1"}
    os.execve(command[0], command, environment)  # noqa: S606 - no shell; the command is our own


def _read_machine() -> tuple[str, str, str]:
    missing = [name for name in MACHINE_VARIABLES if not os.environ.get(name)]
    if missing:
        raise UserError(f"train.launch.num_machines: each machine needs the environment variables {missing}")
    rank, address, port = (os.environ[name] for name in MACHINE_VARIABLES)
    return rank, address, port
