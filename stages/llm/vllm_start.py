"""Starting vLLM: how a model lies on the machine, and what vLLM is told about it."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from stages.llm.errors import EngineError

if TYPE_CHECKING:
    from vllm import LLMEngine

LONGEST_REASON = 300
"""Characters kept of what vLLM says."""


@dataclass(frozen=True)
class VllmSettings:
    """How a model lies on the machine. None of it is part of a request, though all may change last bits of floats."""

    tensor_parallel: int = 1
    """Accelerators that share one copy of the weights."""
    max_model_len: int | None = None
    """Longest prompt with its completion, in tokens; None for what the model was made for."""
    max_num_seqs: int | None = None
    """Sequences worked on at once; None for vLLM's own choice."""
    memory: float = 0.9
    """Share of each accelerator's memory that vLLM may take, weights included."""
    dtype: str = "auto"
    """Number format of weights and activations; auto takes the model's own, and float32 on a CPU."""


def start(source: str, revision: str | None, settings: VllmSettings) -> tuple[LLMEngine, str]:
    """vLLM with the model at `source` loaded, and vLLM's version; raises `EngineError` saying what is wrong."""
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    try:
        import vllm
        from vllm.exceptions import VLLMError
        from vllm.platforms import current_platform
    except ImportError as error:
        raise EngineError(
            f"engine vllm: vLLM cannot be imported ({error}); docs/engines.md says how to get it"
        ) from error
    cpu = current_platform.is_cpu()
    if cpu:
        _prepare_cpu(settings)
    try:
        arguments = vllm.EngineArgs(**engine_options(source, revision, settings, cpu))
        engine = vllm.LLMEngine.from_engine_args(arguments)
    except (VLLMError, ValueError, OSError, RuntimeError) as error:
        raise EngineError(f"vLLM cannot load {source}: {one_line(error)}") from error
    _watch(engine)
    return engine, vllm.__version__


def engine_options(source: str, revision: str | None, settings: VllmSettings, cpu: bool) -> dict[str, Any]:
    """vLLM's engine arguments. No code of the model's own is run; weights are safetensors, which can hold none."""
    options: dict[str, Any] = {
        "model": source,
        "revision": revision,
        "tokenizer_revision": revision,
        "trust_remote_code": False,
        "load_format": "safetensors",
        "tensor_parallel_size": settings.tensor_parallel,
        "max_model_len": settings.max_model_len,
        "max_num_seqs": settings.max_num_seqs,
        "gpu_memory_utilization": settings.memory,
        "dtype": settings.dtype,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        # In free whitespace a model that has lost its way goes on until it is cut.
        "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
    }
    if cpu:  # a seeded request whose prompt is prefilled in parts stops vLLM there, and bfloat16 is emulated
        dtype = "float32" if settings.dtype == "auto" else settings.dtype
        options |= {"dtype": dtype, "enforce_eager": True, "enable_chunked_prefill": False}
    return options


def _prepare_cpu(settings: VllmSettings) -> None:
    """What vLLM's CPU build reads from the environment, where the user has not set it."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; without it, a memory check refuses to start
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # bound threads starve where others use the cores
    if settings.tensor_parallel == 1:
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # starts in seconds


def _watch(engine: LLMEngine) -> None:
    """Wake whoever waits for vLLM's own process when that is killed, by lack of memory for one: vLLM does not."""
    from vllm.v1.engine.exceptions import EngineDeadError

    client: Any = engine.engine_core
    if not hasattr(client, "outputs_queue"):
        return  # it works in this process
    processes, outputs = client.resources.engine_manager.processes, client.outputs_queue

    def wait() -> None:
        connection.wait([process.sentinel for process in processes])
        outputs.put_nowait(EngineDeadError())

    threading.Thread(target=wait, name="llm-vllm-watch", daemon=True).start()


def one_line(error: BaseException) -> str:
    """What an exception says, on one bounded line."""
    return " ".join((str(error) or type(error).__name__).split())[:LONGEST_REASON]
