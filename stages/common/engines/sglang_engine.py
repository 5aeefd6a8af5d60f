"""Kind `serve`: a server of vLLM or SGLang on this machine's accelerators, started and stopped with the stage.

SGLang listens at a port, which any user of the machine can reach: its key is new each time and stands in a file that
only this user can read. It gets chats as chats, and makes the prompt by the chat template beside the weights.
"""

import secrets
import socket
from pathlib import Path
from typing import Any

from stages.common.engines.engine import Engine, ModelId
from stages.common.engines.kinds import EngineContext
from stages.common.engines.openai_dialect import Dialect
from stages.common.engines.retry_policy import RetryPolicy
from stages.common.engines.server_process import ServerProcess
from stages.common.engines.servers import Secrets, Server
from stages.common.engines.vllm_engine import VllmEngine, VllmKind
from stages.common.engines.vllm_server import Option, find_installation, make_log_path
from stages.common.params.engine import EngineParams, VllmParams


class ServeKind(VllmKind):
    """The server that `params.server` names."""

    @classmethod
    def make_engine(cls, params: EngineParams, model: ModelId, context: EngineContext) -> Engine:
        """Its server starts with the first request."""
        if params.server == "vllm":
            return super().make_engine(params, model, context)
        policy = RetryPolicy(params.request_timeout_s, params.attempt_timeout_s)
        python = context.get_runtime().sglang_python
        return SglangEngine(model, params.vllm, params.concurrency, policy, python=python)

    @classmethod
    def limit_thinking(cls, params: EngineParams, num_tokens: int) -> dict[str, Any]:
        """SGLang has no such limit by a request's own name."""
        return super().limit_thinking(params, num_tokens) if params.server == "vllm" else {}


class SglangEngine(VllmEngine):
    """Starts SGLang's server with the first request, and stops it as `VllmEngine` stops vLLM's."""

    _sends_chats = True
    _dialect = Dialect(return_token_ids=False)

    def _launch(self) -> ServerProcess:
        return launch_sglang(self._model, self._vllm, self._python)


def launch_sglang(model: ModelId, params: VllmParams, python: str) -> ServerProcess:
    """A process of SGLang's server for `model`, still loading; raise `EngineError` where there is no SGLang."""
    find_installation(python, ("sglang",), "runtime.sglang_python", "install sglang for it")
    port, key = _find_free_port(), secrets.token_hex(32)

    def make_command(path: str) -> list[str]:
        config = Path(path).with_name("sglang.yaml")
        config.touch(mode=0o600)
        config.write_text(f"api-key: {key}\n", encoding="utf-8")
        flags = format_flags(make_options(model, params, port))
        return [python, "-m", "sglang.launch_server", "--config", str(config), *flags]

    process = ServerProcess(f"SGLang server of {model.source}", make_command, make_log_path(model), {})
    process.server, process.secrets = Server(f"http://127.0.0.1:{port}/v1", None), Secrets(key)
    return process


def _find_free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def make_options(model: ModelId, params: VllmParams, port: int) -> dict[str, Option]:
    """SGLang's options to serve `model` at `port` of this machine.

    A sample follows from its seed alone, whatever is generated beside it: SGLang ignores seeds otherwise. Weights are
    safetensors, no code of the model is run, and defaults in its generation_config are not used.
    """
    is_memory_set = "gpu_memory_utilization" in params.model_fields_set
    return {
        "model_path": model.source,
        "served_model_name": str(model),
        "revision": model.revision,
        "host": "127.0.0.1",
        "port": port,
        "dtype": params.dtype or "auto",
        "quantization": params.quantization,
        "tensor_parallel_size": params.tensor_parallel_size,
        "data_parallel_size": params.data_parallel_size,
        "context_length": params.max_model_len,
        "mem_fraction_static": params.gpu_memory_utilization if is_memory_set else None,
        "reasoning_parser": params.reasoning_parser,
        "load_format": "safetensors",
        "sampling_defaults": "openai",
        "enable_deterministic_inference": True,
        "constrained_json_disable_any_whitespace": True,
        "enable_cache_report": True,
        "log_level_http": "warning",
        **{name: value for name, value in params.engine_args.items() if name != "trust_remote_code"},
    }


def format_flags(options: dict[str, Option]) -> list[str]:
    """`options` as words of a command line; those that are None or false are left out, as SGLang wants it."""
    words = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            words.append(f"{flag}={value}")
    return words
