"""M0's policy folder: a toy model trained from scratch, the manifest of a Hub model, or an empty one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from stages.common.params.runtime import RuntimeParams
from stages.common.params.seed_model import HubModelParams, SeedModelParams, ToyModelParams
from stages.common.policies import write_manifest
from stages.common.provenance import describe_environment
from stages.common.tables import content_hash, replace_dir


def write_seed_policy(params: SeedModelParams, seed: int, runtime: RuntimeParams, out: Path) -> dict[str, Any]:
    """Write policy M0 into `out` and return its report; raise `UserError` where kind hub has no block."""
    started = time.monotonic()
    report: dict[str, Any] = {}
    with replace_dir(out) as folder:
        if params.kind == "toy_arithmetic":
            from stages.seed_model.train_toy_model import train_toy_model

            toy = params.toy_arithmetic or ToyModelParams()
            report = train_toy_model(toy, seed, runtime.num_threads, folder)
            params_hash = content_hash(toy.model_dump(mode="json"), seed)
            write_manifest(folder, {"kind": "toy_arithmetic", "params_hash": params_hash})
        elif params.kind == "hub":
            if params.hub is None:
                raise UserError("seed_model.hub is required for kind hub")
            report = _write_hub_manifest(params.hub, folder)
        else:
            write_manifest(folder, {"kind": "none"})
    return {**report, "seconds": round(time.monotonic() - started, 1), "environment": describe_environment()}


def _write_hub_manifest(params: HubModelParams, folder: Path) -> dict[str, Any]:
    """Write the manifest of a Hub model: file names with the hashes that the Hub keeps for them."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(params.repo, revision=params.revision, files_metadata=True)
    hashes = {f.rfilename: f.lfs.sha256 if f.lfs else f.blob_id for f in info.siblings or []}
    files = {name: value for name, value in hashes.items() if value is not None}
    if not any(name.endswith(".safetensors") for name in files):
        raise UserError(
            f"seed_model.hub: {params.repo} at {params.revision} has no safetensors file; other formats are not loaded"
        )
    write_manifest(folder, {"kind": "hub"}, hub=(params.repo, params.revision, files))
    return {"files": len(files)}
