"""A policy on disk: a folder with a manifest, and either its weights or the Hub commit that holds them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.common.errors import UserError
from stages.common.provenance import hash_folder, hash_manifest
from stages.common.tables import write_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MANIFEST = "manifest.json"

CARD = "README.md"
"""The card in a policy's folder; not part of the policy's hash."""


@dataclass(frozen=True)
class Policy:
    """A policy; `hash` identifies its weights and tokenizer wherever they are stored."""

    folder: Path
    hash: str
    repo: str | None
    revision: str | None

    @property
    def source(self) -> str:
        """What transformers and vLLM take as the model's name: a folder, or a Hub repo id."""
        return self.repo or str(self.folder)

    def load_model(self, device: str = "cpu", dtype: str = "float32") -> PreTrainedModel:
        """The causal language model in evaluation mode; safetensors only, no remote code."""
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(
            self.source, revision=self.revision, dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
        return model.to(device).eval()

    def load_tokenizer(self) -> PreTrainedTokenizerBase:
        """The policy's tokenizer."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.source, revision=self.revision, trust_remote_code=False)


def hash_policy_files(files: dict[str, str]) -> str:
    """The hash of a policy with these files: of their names and sha256, without the card."""
    return hash_manifest({name: sha256 for name, sha256 in files.items() if name != CARD})


def write_manifest(folder: Path, made_from: dict[str, Any], hub: tuple[str, str, dict[str, str]] | None = None) -> None:
    """Write `folder`'s manifest: its files (or those of `hub`: repo, revision, files) and what it was made from.

    `made_from` names the data and params that the policy was made from. It is in the manifest but not in the policy's
    hash, so that equal weights are an equal policy.
    """
    repo, revision, files = hub if hub else (None, None, hash_folder(folder, exclude=(MANIFEST,)))
    value = {
        "repo": repo,
        "revision": revision,
        "files": files,
        "hash": hash_policy_files(files),
        "made_from": made_from,
    }
    write_json(folder / MANIFEST, value)


def read_policy(folder: Path) -> Policy:
    """Read a policy's manifest; raise `UserError` naming the file and what is wrong."""
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"{path}: missing; a policy is a folder with a manifest, made by seed_model or train")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        policy = Policy(folder, value["hash"], value["repo"], value["revision"])
        files = value["files"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not a policy manifest ({error!r}); run the stage that writes it again") from error
    if not isinstance(files, dict) or hash_policy_files(files) != policy.hash:
        raise UserError(f"{path}: hash does not belong to the files listed")
    return policy
