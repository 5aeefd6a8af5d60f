"""``python -m sglang.launch_server``: the stand-in, at a port and with a key; ``STAND_IN`` says how it fails."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

import yaml
from vllm.entrypoints.openai.api_server import StandIn

from tests.support.fault_server import FaultServer


class Keyed(StandIn):
    """Connections that have to show the key, except to ask for the server's health."""

    key = ""

    async def answer(self, path: str, headers: dict[str, str], body: bytes) -> None:
        if path != "/health" and headers.get("authorization") != f"Bearer {Keyed.key}":
            return self.send(401, "Unauthorized", '{"error": "Unauthorized"}')
        if path not in ("/health", "/v1/models", "/v1/chat/completions"):
            return self.send(404, "Not Found", '{"detail": "Not Found"}')
        return await super().answer(path, headers, body)


async def serve(host: str, port: int) -> None:
    settings = argparse.Namespace(always="", once="", faults=0.0, latency=0.01, hangs=0, refuse="", thinking=0.0)
    state = FaultServer(settings)
    server = await asyncio.get_running_loop().create_server(lambda: Keyed(state), host, port)
    await server.serve_forever()


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("model-path", "host", "config"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("served-model-name", "revision", "dtype", "quantization", "load-format", "reasoning-parser"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--sampling-defaults", choices=("openai", "model"))
    parser.add_argument("--log-level-http")
    for name in ("port", "tensor-parallel-size", "data-parallel-size", "context-length"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--mem-fraction-static", type=float)
    for name in ("deterministic-inference", "cache-report"):
        parser.add_argument(f"--enable-{name}", action="store_true")
    parser.add_argument("--constrained-json-disable-any-whitespace", action="store_true")
    parsed = parser.parse_args(arguments)
    config = Path(parsed.config)
    assert config.stat().st_mode & 0o077 == 0, "others may not read the key"
    Keyed.key = yaml.safe_load(config.read_text())["api-key"]
    print("arguments", " ".join(arguments), flush=True)
    print("secrets", os.environ.get("OPENAI_API_KEY"), Keyed.key in " ".join(arguments), flush=True)
    print("processes", os.getpid(), flush=True)
    asyncio.run(serve(parsed.host, parsed.port))


if __name__ == "__main__":
    main(sys.argv[1:])
