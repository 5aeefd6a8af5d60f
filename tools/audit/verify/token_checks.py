"""Token ids of samples must be those of their policy's tokenizer, and spell their completions."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from stages.common.errors import UserError
from stages.common.policies import MANIFEST, read_policy
from stages.common.token_ids import decode_ids, hash_tokenizer, spells_text
from tools.audit.check_results import CheckResults
from tools.audit.table_sets import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_token_ids(results: CheckResults, path: str, samples: pl.DataFrame, policy: Path) -> None:
    """Errors of check ``samples``; ids of a policy whose tokenizer is not on this machine are counted only."""
    rows = samples.drop_nulls("completion_ids")
    if rows.is_empty():
        return
    known = _load_tokenizer(policy)
    if known is None and read_json(policy / MANIFEST).get("files") == {}:  # such as that of recorded completions
        for sample in rows["sample_id"]:
            results.add_error("samples", f"{path}: sample {sample}", "has token ids; its policy has no tokenizer")
        return
    if known is None:
        results.note_not_recomputed("samples", "texts of token ids, whose tokenizer is not here", rows.height)
        return
    tokenizer, tokenizer_hash = known
    for sample, text, ids, of_ids in rows.select("sample_id", "completion", "completion_ids", "tokenizer").iter_rows():
        where = f"{path}: sample {sample}"
        if of_ids != tokenizer_hash:
            results.add_error("samples", where, f"tokenizer is {of_ids}; the policy's is {tokenizer_hash}")
        elif max(ids, default=0) >= len(tokenizer) or not spells_text(decode_ids(tokenizer, ids), text):
            results.add_error("samples", where, "token ids do not spell the completion")


@cache
def _load_tokenizer(policy: Path) -> tuple[PreTrainedTokenizerBase, str] | None:
    """The tokenizer beside a policy's weights with its hash; nothing is downloaded."""
    try:
        found = read_policy(policy)
        if found.repo is not None:
            return None
        tokenizer = found.load_tokenizer()
    except (UserError, OSError, ValueError):
        return None
    return tokenizer, hash_tokenizer(tokenizer)
