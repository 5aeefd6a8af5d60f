#!/usr/bin/env bash
# tools/install.sh PYTHON FOLDER ARGUMENTS...: what `pip install ARGUMENTS` would install, into the virtual environment in
# FOLDER, which is made with PYTHON. By uv, on the path or from the index, in a fraction of the time; without it by pip.
set -euo pipefail
python=$1 folder=$2
shift 2
[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
pip=("$folder/bin/python" -m pip --disable-pip-version-check)

# uv reads nothing of pip's configuration: hand on where packages are.
uv=(uv)
command -v uv >/dev/null || { "${pip[@]}" install --quiet -c requirements.lock uv && uv=("$folder/bin/uv"); } || {
    echo "uv cannot be had, see above; installing by pip, which takes longer" >&2
    uv=()
}
sources=()
find_links=${PIP_FIND_LINKS:-$("${pip[@]}" config get global.find-links 2>/dev/null || true)}
index=${PIP_INDEX_URL:-$("${pip[@]}" config get global.index-url 2>/dev/null || true)}
for link in $find_links; do sources+=(--find-links "$link"); done
[ -z "$index" ] || sources+=(--index-url "$index")

# PyPI's torch for Linux brings gigabytes of CUDA. Without a GPU take PyTorch's CPU build, or that of a folder of wheels.
cpu_index=https://download.pytorch.org/whl/cpu
if [ -n "$find_links" ] || [ "$(uname)" != Linux ] || command -v nvidia-smi >/dev/null; then
    cpu_index=
elif ! "$python" -c "import urllib.request as r; r.urlopen('$cpu_index/torch/', timeout=10)" 2>/dev/null; then
    echo "$cpu_index cannot be reached: taking the index's own torch, with CUDA" >&2
    cpu_index=
fi
if [ ${#uv[@]} -gt 0 ]; then
    "${uv[@]}" pip install --quiet --system-certs --python "$folder/bin/python" ${cpu_index:+--torch-backend cpu} \
        ${sources[@]+"${sources[@]}"} "$@" && exit
    echo "uv could not install it, see above; trying pip" >&2
fi
"${pip[@]}" install --quiet ${cpu_index:+--extra-index-url "$cpu_index"} "$@"
