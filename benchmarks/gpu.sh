#!/usr/bin/env bash
# benchmarks/gpu.sh [--tiny] [--parts train sample round] [--out FILE]: docs/training-speed.md, "On a GPU".
# PYTHON names another interpreter than the project's own, VLLM_PYTHON that of vLLM.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
PATH="$(cd "$(dirname "$python")" && pwd):$PATH" exec "$python" -m benchmarks.gpu "$@"
