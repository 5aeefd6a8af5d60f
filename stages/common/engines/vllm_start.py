"""Starting vLLM: how a model lies on the machine, and what vLLM is told about it."""

from __future__ import annotations

import os
import threading
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from stages.common.engines.errors import EngineError
from stages.common.engines.model import Model
from stages.common.params.llm import VllmParams

if TYPE_CHECKING:
    from vllm import LLMEngine

LONGEST_REASON = 300
"""Characters kept of what vLLM says."""


def start(model: Model, vllm: VllmParams) -> tuple[LLMEngine, str]:
    """vLLM with `model` loaded, and its version; raises `EngineError` saying what is wrong."""
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    try:
        from vllm import EngineArgs, LLMEngine, __version__
        from vllm.exceptions import VLLMError
        from vllm.platforms import current_platform
    except ImportError as error:
        raise EngineError(
            f"engine vllm: vLLM cannot be imported ({error}); pip install 'stepkto-data[vllm]'"
        ) from error
    cpu = current_platform.is_cpu()
    if cpu:
        _prepare_cpu(vllm)
    try:
        engine = LLMEngine.from_engine_args(EngineArgs(**engine_options(model, vllm, cpu)))
    except (VLLMError, TypeError, ValueError, OSError, RuntimeError) as error:
        raise EngineError(f"vLLM cannot load {model.source}: {one_line(error)}") from error
    _watch(engine)
    return engine, __version__


def engine_options(model: Model, vllm: VllmParams, cpu: bool) -> dict[str, Any]:
    """vLLM's engine arguments. No code of the model's own is run; weights are safetensors, which can hold none."""
    options: dict[str, Any] = {
        "model": model.source,
        "revision": model.revision,
        "tokenizer_revision": model.revision,
        "dtype": vllm.dtype,
        "quantization": vllm.quantization,
        "tensor_parallel_size": vllm.tensor_parallel,
        "max_model_len": vllm.max_model_len,
        "gpu_memory_utilization": vllm.gpu_memory,
        "load_format": "safetensors",
        "generation_config": "vllm",  # a request says all; where the model ends its answers is heeded nonetheless
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        # In free whitespace a model that has lost its way goes on until it is cut.
        "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
    }
    if cpu:  # a seeded request whose prompt is prefilled in parts stops vLLM there, and bfloat16 is emulated
        dtype = "float32" if vllm.dtype == "auto" else vllm.dtype
        options |= {"dtype": dtype, "enforce_eager": True, "enable_chunked_prefill": False}
    return {**options, **vllm.options, "trust_remote_code": False}


def _prepare_cpu(vllm: VllmParams) -> None:
    """What vLLM's CPU build reads from the environment, where the user has not set it."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; without it, a memory check refuses to start
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # bound threads starve where others use the cores
    if vllm.tensor_parallel == 1:
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
