"""``python -m vllm.entrypoints.openai.api_server``: the stand-in. ``STAND_IN`` in the environment says how it fails:

`start` ends before it is ready, `slow` is never ready, `die` ends with the 30th request; `refuse`, `nonsense`,
`fewer` and `nan` are what pooling gives; nothing: it serves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
from typing import Any

from tests.support.fault_server import Connection, FaultServer

BECOMES_READY_AT = 3
"""Looks at its health until it is well."""

DEATH = """\
(EngineCore pid=7) ERROR 11-28 10:08:44 [core.py:100] Traceback (most recent call last):
(EngineCore pid=7) ERROR 11-28 10:08:44 [core.py:100] ValueError: Available memory on node 0 is less than desired
(APIServer pid=6) Traceback (most recent call last):
(APIServer pid=6) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
the end
"""

WORKER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


class StandIn(Connection):
    """Connections of a server that loads first."""

    looks = 0
    requests = 0

    async def answer(self, path: str, headers: dict[str, str], body: bytes) -> None:
        if path == "/health":
            StandIn.looks += 1
            ready = StandIn.looks >= BECOMES_READY_AT and os.environ.get("STAND_IN") != "slow"
            return self.send(200 if ready else 503, "Health", "")
        if path == "/v1/models":
            return self.send(200, "OK", json.dumps({"data": [{"id": "tiny", "max_model_len": 512}]}))
        StandIn.requests += 1
        print("request", path, body.decode(), flush=True)
        if StandIn.requests == 30 and os.environ.get("STAND_IN") == "die":
            sys.stderr.write(DEATH)
            os._exit(9)
        if path == "/pooling":
            return self.pool(json.loads(body))
        return await super().answer(path, headers, body)

    tag_id = 0
    """The token whose logits pooling gives."""

    def pool(self, body: dict[str, Any]) -> None:
        """For each step the logits 0 and the number of the step, unless ``STAND_IN`` says otherwise, by its number."""
        says = os.environ.get("STAND_IN")
        if says == "refuse":
            return self.send(500, "Error", "out of\nmemory")
        if says == "nonsense":
            return self.send(200, "OK", '{"data": [{"index": 0}]}')
        counts = [ids.count(StandIn.tag_id) - (says == "fewer") for ids in body["input"]]
        last = float("nan") if says == "nan" else 0.0
        rows = [{"index": at, "data": [[last, step] for step in range(count)]} for at, count in enumerate(counts)]
        return self.send(200, "OK", json.dumps({"data": rows[::-1]}))


async def serve(socket: str) -> None:
    settings = argparse.Namespace(always="", once="", faults=0.0, latency=0.01, hangs=0, refuse="", thinking=0.0)
    state = FaultServer(settings)
    server = await asyncio.get_running_loop().create_unix_server(lambda: StandIn(state), socket)
    await server.serve_forever()


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--model", required=True)
    parser.add_argument("--uds", required=True)
    for name in (
        "served-model-name",
        "revision",
        "tokenizer-revision",
        "dtype",
        "quantization",
        "load-format",
        "generation-config",
        "reasoning-parser",
        "runner",
    ):
        parser.add_argument(f"--{name}")
    parser.add_argument("--structured-outputs-config", type=json.loads)
    parser.add_argument("--pooler-config", type=json.loads, default={"step_tag_id": 0})
    for name in ("tensor-parallel-size", "data-parallel-size", "max-model-len"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--gpu-memory-utilization", type=float)
    for name in (
        "enable-prompt-tokens-details",
        "disable-uvicorn-access-log",
        "enforce-eager",
        "enable-chunked-prefill",
        "trust-remote-code",
    ):
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction)
    parsed = parser.parse_args(arguments)
    print("arguments", " ".join(arguments), flush=True)
    print("secrets", os.environ.get("OPENAI_API_KEY"), os.environ.get("HF_TOKEN"), flush=True)
    if os.environ.get("STAND_IN") == "start":
        sys.exit("CUDA out of memory: tried to load more than there is")
    worker = subprocess.Popen([sys.executable, "-c", WORKER])
    print("processes", os.getpid(), worker.pid, flush=True)
    StandIn.tag_id = parsed.pooler_config["step_tag_id"]
    asyncio.run(serve(parsed.uds))


if __name__ == "__main__":
    main(sys.argv[1:])
