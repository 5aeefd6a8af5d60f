"""M0's policy folder: a toy model trained from scratch, a copy of a local model, a Hub model's manifest, or neither.

A model after a supervised pass is made by `supervised_pass`, from one of the others.
"""

from pathlib import Path
from typing import Any

from stages.common.params.runtime import RuntimeParams
from stages.common.params.seed_model import SeedModelParams, ToyModelParams
from stages.common.policies import write_manifest
from stages.common.tables import content_hash, replace_dir
from stages.seed_model.existing_model import convert_gguf, copy_model, write_hub_manifest


def write_seed_policy(params: SeedModelParams, seed: int, runtime: RuntimeParams, out: Path) -> dict[str, Any]:
    """Write policy M0 into `out` and return its report; raise `UserError` where a model cannot be used."""
    report: dict[str, Any] = {}
    with replace_dir(out) as folder:
        if params.kind == "toy_arithmetic":
            from stages.seed_model.train_toy_model import train_toy_model

            toy = params.toy_arithmetic or ToyModelParams()
            report = train_toy_model(toy, seed, runtime, folder)
            params_hash = content_hash(toy.model_dump(mode="json"), seed)
            write_manifest(folder, {"kind": "toy_arithmetic", "params_hash": params_hash})
        elif params.kind != "none":
            report = write_existing_model(params, folder)
        else:
            write_manifest(folder, {"kind": "none"})
    return report


def write_existing_model(params: SeedModelParams, folder: Path) -> dict[str, Any]:
    """Write into `folder` the model that `params` name in block hub or folder; raises as `write_seed_policy` does."""
    if params.hub is not None and params.kind != "folder":
        return write_hub_manifest(params.hub, folder)
    assert params.folder is not None
    source = Path(params.folder.path).expanduser()
    return (convert_gguf if source.suffix == ".gguf" else copy_model)(source, folder)
