"""Models that exist already: in a folder of transformers, in a GGUF file, or on the Hub. Weights are never pickled."""

import json
import shutil
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from stages.common.errors import UserError, describe_error
from stages.common.logs import has_bars
from stages.common.params.seed_model import HubModelParams
from stages.common.policies import MANIFEST, write_manifest
from stages.common.provenance import compute_sha256

INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"

_TEXT_SUFFIXES = (".json", ".jinja", ".model", ".tiktoken", ".txt")
"""Config, tokenizer and chat template."""

_PICKLED_SUFFIXES = (".bin", ".ckpt", ".pkl", ".pt", ".pth")

_CONVERT = (
    "pickled weights run code when they are loaded: convert them once where that does no harm (transformers: "
    "from_pretrained, then save_pretrained writes safetensors) and name the result"
)


def copy_model(source: Path, folder: Path) -> dict[str, Any]:
    """Copy what transformers loads of the model in `source`, and write its manifest.

    Files that it does not load (optimizer, other formats) stay behind, so that equal models are equal policies. Raises
    `UserError` for a folder that is no model, that lacks a file or is an adapter, and for pickled weights.
    """
    where = f"seed_model.folder: {source}"
    if not source.is_dir():
        raise UserError(f"{where}: no such folder; name one that holds config.json and {WEIGHTS}, or a .gguf file")
    names = {path.name for path in source.iterdir() if path.is_file()}
    for name in choose_files(names, lambda name: (source / name).read_text(encoding="utf-8"), where):
        shutil.copyfile(source / name, folder / name)
    _check_loadable(folder, where)
    write_manifest(folder, {"kind": "folder"})
    return {"files": len(list(folder.iterdir())) - 1}


def choose_files(names: Iterable[str], read: Callable[[str], str], where: str) -> list[str]:
    """Those of a folder's file `names` that make up the model, sorted; `read` gives the text of one of them.

    Raises `UserError` as `copy_model` does.
    """
    present = set(names)
    if "config.json" not in present:
        if "adapter_config.json" in present:
            raise UserError(f"{where}: is an adapter; merge it into its base model (peft: merge_and_unload) first")
        raise UserError(f"{where}: no config.json; name a model's folder as transformers writes it")
    if WEIGHTS not in present and INDEX not in present:
        if any(name.endswith(_PICKLED_SUFFIXES) for name in present):
            raise UserError(f"{where}: no {WEIGHTS}; {_CONVERT}")
        raise UserError(f"{where}: no {WEIGHTS}; other formats are not loaded")
    weights = {WEIGHTS}
    if WEIGHTS not in present:
        try:
            weights = set(json.loads(read(INDEX))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{where}: {INDEX}: not an index of weights ({error!r}); copy the model again") from error
    if missing := sorted(weights - present):
        raise UserError(f"{where}: {missing[0]} is missing, which {INDEX} names; copy the model again")
    unused = {MANIFEST, *({INDEX} if WEIGHTS in present else ())}
    return sorted(weights | {name for name in present if name.endswith(_TEXT_SUFFIXES)} - unused)


def convert_gguf(source: Path, folder: Path) -> dict[str, Any]:
    """Write the model of a GGUF file as float32 safetensors, with its tokenizer, and its manifest.

    Raises `UserError` where the file is missing or transformers cannot read it.
    """
    where = f"seed_model.folder: {source}"
    if not source.is_file():
        raise UserError(f"{where}: no such file; check the path")
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    if not has_bars():
        logging.disable_progress_bar()
    try:
        options: dict[str, Any] = {"gguf_file": source.name, "local_files_only": True, "trust_remote_code": False}
        model = AutoModelForCausalLM.from_pretrained(source.parent, dtype="float32", **options)
        tokenizer = AutoTokenizer.from_pretrained(source.parent, **options)
    except (
        OSError,
        ValueError,
        LookupError,
        RuntimeError,
        struct.error,
    ) as error:  # whatever a file can be that is none
        raise UserError(f"{where}: transformers cannot read it ({describe_error(error)})") from error
    model.hf_quantizer = None  # the weights are float32 now; transformers would refuse to save them as GGUF
    model.is_quantized = False
    model.config.__dict__.pop("quantization_config", None)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_manifest(folder, {"kind": "gguf", "sha256": compute_sha256(source)})
    return {"files": len(list(folder.iterdir())) - 1, "parameters": model.num_parameters()}


def write_hub_manifest(params: HubModelParams, folder: Path) -> dict[str, Any]:
    """Write the manifest of a Hub model, which is its commit: a hash of all its files that is known offline, too.

    Raises `UserError` where the model has no safetensors, and where it is neither in the Hub's cache nor reachable.
    """
    from httpx2 import TransportError
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    where = f"seed_model.hub: {params.repo} at {params.revision}"
    try:
        siblings = HfApi().model_info(params.repo, revision=params.revision).siblings or []
        names = [sibling.rfilename for sibling in siblings]
    except HfHubHTTPError as error:  # no such model, no login
        raise UserError(f"{where}: {describe_error(error)}") from error
    except (OfflineModeIsEnabled, TransportError, OSError) as error:
        try:
            snapshot = Path(snapshot_download(params.repo, revision=params.revision, local_files_only=True))
        except LocalEntryNotFoundError:
            raise UserError(
                f"{where}: not in the Hub's cache ({constants.HF_HUB_CACHE}), and the Hub cannot be reached "
                f"({type(error).__name__}); where there is a network: hf download {params.repo} --revision "
                f"{params.revision}"
            ) from error
        names = [path.name for path in snapshot.iterdir()]
        choose_files(names, lambda name: (snapshot / name).read_text(encoding="utf-8"), where)
    if not any(name.endswith(".safetensors") for name in names):
        raise UserError(f"{where}: no safetensors file; {_CONVERT}")
    write_manifest(folder, {"kind": "hub"}, hub=(params.repo, params.revision, {"commit": params.revision}))
    return {"commit": params.revision}


def _check_loadable(folder: Path, where: str) -> None:
    """Load config and tokenizer, so that what cannot work is said before anything is sampled."""
    from transformers import AutoConfig, AutoTokenizer
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    try:
        model_type = AutoConfig.from_pretrained(folder, trust_remote_code=False).model_type
        if model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
            raise ValueError(f"model_type {model_type}: not a causal language model")
        AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UserError(f"{where}: transformers cannot load config and tokenizer ({describe_error(error)})") from error
