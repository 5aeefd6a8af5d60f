"""``python -m vllm.entrypoints.cli.main serve MODEL``: the stand-in by its other name."""

from __future__ import annotations

import sys

from vllm.entrypoints.openai import api_server

if __name__ == "__main__":
    command, model, *rest = sys.argv[1:]
    assert command == "serve"
    api_server.main(["--model", model, *rest])
