"""How vLLM is started: its engine arguments and what it reads from the environment."""

from __future__ import annotations

import json
import os
import threading
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from stages.common.engines.engine import EngineError, ModelId
from stages.common.errors import describe_error
from stages.common.params.engine import VllmParams

if TYPE_CHECKING:
    from vllm import LLMEngine

STRUCTURED_OUTPUTS = '{"backend": "guidance", "disable_any_whitespace": true}'
"""With free white space, a model that has lost track generates spaces until it is cut."""


def start_vllm(model: ModelId, vllm: VllmParams) -> tuple[LLMEngine, str]:
    """vLLM with `model` loaded, and its version; raise `EngineError` with the cause where that fails."""
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
    is_cpu = current_platform.is_cpu()
    if is_cpu:
        _prepare_cpu(vllm)
    try:
        engine = LLMEngine.from_engine_args(EngineArgs(**make_engine_args(model, vllm, is_cpu)))
    except (VLLMError, TypeError, ValueError, OSError, RuntimeError) as error:
        raise EngineError(f"vLLM cannot load {model.source}: {describe_error(error)}") from error
    _watch_process(engine)
    return engine, __version__


def make_engine_args(model: ModelId, vllm: VllmParams, is_cpu: bool) -> dict[str, Any]:
    """vLLM's engine arguments. No code of the model is run; weights are safetensors, which can hold none."""
    options: dict[str, Any] = {
        "model": model.source,
        "revision": model.revision,
        "tokenizer_revision": model.revision,
        "dtype": vllm.dtype,
        "quantization": vllm.quantization,
        "tensor_parallel_size": vllm.tensor_parallel_size,
        "max_model_len": vllm.max_model_len,
        "gpu_memory_utilization": vllm.gpu_memory_utilization,
        "load_format": "safetensors",
        "generation_config": "vllm",  # requests hold all values; the model's own end tokens still count
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "structured_outputs_config": json.loads(STRUCTURED_OUTPUTS),
    }
    if is_cpu:  # a seeded request whose prompt is prefilled in chunks stops vLLM there, and bfloat16 is emulated
        dtype = "float32" if vllm.dtype == "auto" else vllm.dtype
        options |= {"dtype": dtype, "enforce_eager": True, "enable_chunked_prefill": False}
    return {**options, **vllm.engine_args, "trust_remote_code": False}


def _prepare_cpu(vllm: VllmParams) -> None:
    """Set what vLLM's CPU build reads from the environment, unless the user has."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; without it, a memory check refuses to start
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # bound threads starve where others use the cores
    if vllm.tensor_parallel_size == 1:
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # starts in seconds


def _watch_process(engine: LLMEngine) -> None:
    """Report the death of vLLM's own process, such as by lack of memory, to whoever waits for it: vLLM does not."""
    from vllm.v1.engine.exceptions import EngineDeadError

    client: Any = engine.engine_core
    if not hasattr(client, "outputs_queue"):
        return  # it runs in this process
    processes, outputs = client.resources.engine_manager.processes, client.outputs_queue

    def wait() -> None:
        connection.wait([process.sentinel for process in processes])
        outputs.put_nowait(EngineDeadError())

    threading.Thread(target=wait, name="llm-vllm-watch", daemon=True).start()
