"""The tables between stages, their ids, and how they are stored."""

from stages.common.tables.drops import DropLog
from stages.common.tables.ids import (
    content_hash,
    hash_to_unit,
    normalise_text,
    problem_id,
    sample_id,
    seed_from,
    settings_hash,
)
from stages.common.tables.schema import LABEL, OUTCOME, PROBLEM, REPLY, SAMPLE, STEP, Column, Table
from stages.common.tables.store import (
    ShardWriter,
    read_shard,
    read_table,
    replace_dir,
    shard_names,
    write_json,
    write_table,
)

__all__ = [
    "LABEL",
    "OUTCOME",
    "PROBLEM",
    "REPLY",
    "SAMPLE",
    "STEP",
    "Column",
    "DropLog",
    "ShardWriter",
    "Table",
    "content_hash",
    "hash_to_unit",
    "normalise_text",
    "problem_id",
    "read_shard",
    "read_table",
    "replace_dir",
    "sample_id",
    "seed_from",
    "settings_hash",
    "shard_names",
    "write_json",
    "write_table",
]
