"""vLLM's server as a process: where vLLM is, what the server is told, and how it is waited for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stages.common.device import choose_dtype
from stages.common.engines.engine import EngineError, ModelId
from stages.common.engines.server_process import ServerProcess
from stages.common.params.engine import VllmParams
from stages.common.params.runtime import RuntimeParams
from stages.common.tables import content_hash

if TYPE_CHECKING:
    from httpx2 import Client

LOGS = Path("work/servers")
"""Where servers' logs lie, below the repository's root: ignored by Git and DVC."""

OWN_PYTHON = Path(".venv-vllm/bin/python")
"""vLLM's CPU build in an environment of its own, below the repository's root: it wants older versions of packages."""

START_TIMEOUT_S = 3600.0
"""Seconds that a server may take to start: large models load slowly, and one that ends is noticed at once."""

STRUCTURED_OUTPUTS = '{"backend": "guidance", "disable_any_whitespace": true}'
"""With free white space, a model that has lost track generates spaces until it is cut."""

CPU_FLAGS = {"enforce_eager": True, "enable_chunked_prefill": False}
"""vLLM's CPU build stops at a seeded request whose prompt is prefilled in chunks."""

CPU_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB; without it, a memory check refuses to start
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # bound threads starve where others use the cores
}

_NUMBERS = count(1)
"""Of the servers of this process, for the names of their logs."""

_DESCRIBE = """
import sys
from importlib.metadata import distributions
print(*{f"{d.name} {d.version}" for d in distributions() if d.name in sys.argv[1:]}, sep="\\n")
"""


def launch_server(model: ModelId, params: VllmParams, python: str) -> ServerProcess:
    """A process of vLLM's server for `model`, which is still loading; raise `EngineError` where there is no vLLM."""
    vllm = find_vllm(python)
    return ServerProcess(
        f"vLLM server of {model.source}",
        lambda socket: [
            *vllm.command,
            model.source,
            *format_flags(make_options(model, params, vllm.is_cpu, socket)),
        ],
        make_log_path(model),
        make_environment(vllm),
    )


def make_environment(vllm: VllmInstallation) -> dict[str, str]:
    """What a process of vLLM finds in its environment, unless the user has set it."""
    return {"VLLM_NO_USAGE_STATS": "1", **(CPU_ENVIRONMENT if vllm.is_cpu else {})}


def make_log_path(model: ModelId) -> Path:
    """A path for the log of a server of `model` that no other server of any stage has."""
    digest = content_hash(model.source, model.revision, digits=12)
    return LOGS / f"{digest}-{os.getpid()}-{next(_NUMBERS)}.log"


def wait_for_server(server: ServerProcess, timeout_s: float = START_TIMEOUT_S) -> None:
    """Return once `server` answers requests; raise `EngineError` when it ends or takes longer."""
    server.wait_until(lambda: fetch(server, "/health") is not None, timeout_s)


def open_client(process: ServerProcess, timeout_s: float) -> Client:
    """A client for the server's own paths, such as `/health`."""
    from httpx2 import Client, HTTPTransport

    key, server = process.secrets.key, process.server
    return Client(
        base_url=server.url.removesuffix("/v1"),
        transport=HTTPTransport(uds=server.socket),
        headers={"Authorization": f"Bearer {key}"} if key else {},
        trust_env=False,
        timeout=timeout_s,
    )


def fetch(process: ServerProcess, path: str) -> bytes | None:
    """What the server replies to a GET; None where it does not, or with an error."""
    from httpx2 import TransportError

    with open_client(process, 10.0) as client:
        try:
            reply = client.get(path)
        except TransportError:
            return None
        return reply.content if reply.status_code == 200 else None


class VllmInstallation(NamedTuple):
    """An environment that has vLLM: the words that begin its server's command, and whether vLLM is its CPU build."""

    command: tuple[str, ...]
    is_cpu: bool
    batch_command: tuple[str, ...]
    """Those of the command that runs a file of requests."""


def find_python(runtime: RuntimeParams) -> str:
    """The interpreter that runs vLLM."""
    return runtime.vllm_python or (str(OWN_PYTHON) if OWN_PYTHON.exists() else sys.executable)


def find_vllm(python: str) -> VllmInstallation:
    """vLLM in the environment of the interpreter `python`; raise `EngineError` where there is none.

    The command is ``vllm serve``, or its module where the CPU build has another name, under which the command fails.
    """
    hint = "run make vllm, set runtime.vllm_python to an interpreter that has it, or use kind openai or transformers"
    found = find_installation(python, ("vllm", "vllm-cpu"), "runtime.vllm_python", hint)
    if "vllm-cpu" in found:
        server, batch = (f"vllm.entrypoints.openai.{name}" for name in ("api_server", "run_batch"))
        return VllmInstallation((python, "-m", server, "--model"), True, (python, "-m", batch))
    command = (python, "-m", "vllm.entrypoints.cli.main")
    return VllmInstallation((*command, "serve"), found[1].endswith("+cpu"), (*command, "run-batch"))


def find_installation(python: str, names: tuple[str, ...], param: str, hint: str) -> list[str]:
    """Name and version of the first of the packages `names` in the environment of the interpreter `python`.

    Raises `EngineError` that names `param` where there is no such interpreter, and `hint` where it has none of them.
    """
    if shutil.which(python) is None:
        raise EngineError(f"{param}: {python}: no such interpreter; correct it, or set it to null")
    command = [python, "-c", _DESCRIBE, *names]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()  # noqa: S603
    if not found:
        label = {"vllm": "vLLM", "sglang": "SGLang"}[names[0]]
        raise EngineError(f"engine {names[0]}: {label} is not installed for {python}; {hint}")
    return found


Option = str | int | float | bool | None


def make_options(model: ModelId, vllm: VllmParams, is_cpu: bool, socket: str) -> dict[str, Option]:
    """vLLM's options to serve `model` at the path `socket`.

    No code of the model is run; weights are safetensors, which can hold none. Defaults in the model's own
    generation_config are not used: requests hold all values. A CPU may emulate bfloat16: there the model's own type
    counts for nothing.
    """
    own = vllm.model_dump(exclude={"engine_args"})
    return {
        **own,
        "dtype": _choose_dtype(vllm, is_cpu),
        "uds": socket,
        "served_model_name": str(model),
        "revision": model.revision,
        "tokenizer_revision": model.revision,
        "load_format": "safetensors",
        "generation_config": "vllm",
        "structured_outputs_config": STRUCTURED_OUTPUTS,
        "enable_prompt_tokens_details": True,  # cached tokens are reported
        "disable_uvicorn_access_log": True,
        **(CPU_FLAGS if is_cpu else {}),
        **vllm.engine_args,
        "trust_remote_code": False,
    }


def _choose_dtype(vllm: VllmParams, is_cpu: bool) -> str:
    if not is_cpu or vllm.dtype not in (None, "auto"):
        return vllm.dtype or "auto"
    return "float32" if vllm.dtype is None else choose_dtype("cpu")


def format_flags(options: dict[str, Option]) -> list[str]:
    """`options` as words of a command line; those that are None are left out."""
    words = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            words.append(f"--{flag}={value}")
    return words
