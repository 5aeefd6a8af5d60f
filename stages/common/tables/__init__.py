"""The tables between stages, their ids, and how they are stored."""

from stages.common.tables.drops import DropLog
from stages.common.tables.ids import (
    content_hash,
    hash_sampling_params,
    hash_to_unit,
    make_problem_id,
    make_sample_id,
    normalise_text,
    seed_from,
)
from stages.common.tables.schema import (
    LABEL,
    OUTCOME,
    PROBLEM,
    REPLY,
    SAMPLE,
    SELECTION,
    STEP,
    VERIFIER_RESPONSE,
    Column,
    Table,
)
from stages.common.tables.store import (
    ShardWriter,
    check_replaceable,
    list_shards,
    read_shard,
    read_table,
    replace_dir,
    write_json,
    write_table,
)

__all__ = [
    "LABEL",
    "OUTCOME",
    "PROBLEM",
    "REPLY",
    "SAMPLE",
    "SELECTION",
    "STEP",
    "VERIFIER_RESPONSE",
    "Column",
    "DropLog",
    "ShardWriter",
    "Table",
    "check_replaceable",
    "content_hash",
    "hash_sampling_params",
    "hash_to_unit",
    "list_shards",
    "make_problem_id",
    "make_sample_id",
    "normalise_text",
    "read_shard",
    "read_table",
    "replace_dir",
    "seed_from",
    "write_json",
    "write_table",
]
