"""Everything known of every sample, kept or not: the tables of a round joined, and the raw replies of its judges."""

from collections.abc import Iterator

import polars as pl

from stages.common.errors import UserError
from stages.common.tables import LABEL, OUTCOME, PROBLEM, REPLY, SAMPLE, SELECTION, STEP, Column, Table, read_shard
from stages.judge.llm import VOTE_COUNTS, count_kept_votes
from stages.select import keep_in_scope
from tools.publish.exported_round import ExportedRound
from tools.publish.formats.export_format import FunctionFormat

_KEYS = ("sample_id", "problem_id")
_OUTCOME_NAMES = {"answer": "final_answer", "reason": "outcome_reason"}
_PROBLEM_NAMES = {"answer": "gold_answer"}

_ROUND = Column("round", pl.String, "name of the round")
_VOTES = tuple(
    Column(name, pl.Int32, f"votes of all judging models {which}, null where a rule judged", nullable=True)
    for name, which in (
        ("votes_correct", "for correct"),
        ("votes_incorrect", "for incorrect"),
        ("votes_invalid", "without a verdict in their last attempt"),
    )
)
_STEP_COLUMNS = (
    *(column for column in STEP.columns if column.name not in _KEYS),
    *(column for column in LABEL.columns if column.name not in (*_KEYS, "step", "first_error")),
    *_VOTES,
)
_REASONING_COLUMNS = (*REPLY.key, "request_hash", "reasoning")
_FIRST_ERROR = next(column for column in LABEL.columns if column.name == "first_error")


def _select_columns(table: Table, names: dict[str, str], without: tuple[str, ...]) -> tuple[Column, ...]:
    """The columns of `table`, some under new `names`, `without` those given."""
    return tuple(
        Column(names.get(column.name, column.name), column.dtype, column.meaning, column.nullable)
        for column in table.columns
        if column.name not in without
    )


def _list_columns(_: bool) -> tuple[Column, ...]:
    fields = "; ".join(f"{column.name}: {column.meaning}" for column in _STEP_COLUMNS)
    return (
        _ROUND,
        *SAMPLE.columns,
        *_select_columns(PROBLEM, _PROBLEM_NAMES, ("problem_id",)),
        Column(
            "steps",
            pl.List(pl.Struct({column.name: column.dtype for column in _STEP_COLUMNS})),
            f"the steps in order, none of a sample that was not judged. {fields}",
        ),
        _FIRST_ERROR,
        Column("judge_models", pl.List(pl.String), "the judging models with their revisions, none where a rule judged"),
        Column("judge_prompts", pl.List(pl.String), "for each judging model, the hash of its prompt's template"),
        *_select_columns(OUTCOME, _OUTCOME_NAMES, _KEYS),
        *_select_columns(SELECTION, {}, _KEYS),
        Column(
            "row",
            pl.Int64,
            "0-based row in `step_kto`, and in `kto` if all have a label; null if not kept",
            nullable=True,
        ),
    )


def _read_frames(exported: ExportedRound) -> Iterator[pl.DataFrame]:
    """A frame per shard of the tables, so that memory holds one shard."""
    rows = exported.rows.select("sample_id", "row")
    for shard in exported.shards:
        problems = exported.read_table("problems", PROBLEM, shard).rename(_PROBLEM_NAMES)
        samples = exported.read_table("samples", SAMPLE, shard)
        outcomes = exported.read_table("outcomes", OUTCOME, shard).rename(_OUTCOME_NAMES).drop("problem_id")
        selection = exported.read_table("selections", SELECTION, shard)
        joined = (
            samples.join(problems, on="problem_id")
            .join(_read_steps(exported, shard), on="sample_id", how="left")
            .join(outcomes, on="sample_id")
            .join(selection.drop("problem_id"), on="sample_id")
        )
        num_missing = samples.height - joined.height
        num_missing += keep_in_scope(joined, selection, exported.judge.params.scope)["steps"].null_count()
        if num_missing:
            raise UserError(
                f"{exported.locate('samples')}, shard {shard}: {num_missing} samples have no problem, no verdict, no "
                "steps or no labels, or are not in the selection"
            )
        yield (
            joined.join(rows, on="sample_id", how="left")
            .with_columns(
                pl.col("steps").fill_null([]),
                round=pl.lit(exported.name),
                judge_models=pl.lit(exported.judge_models, pl.List(pl.String)),
                judge_prompts=pl.lit(exported.judge_prompts, pl.List(pl.String)),
            )
            .sort("problem_id", "sample_index", "sample_id")
        )


def _read_steps(exported: ExportedRound, shard: str) -> pl.DataFrame:
    """sample_id, steps and first_error: the steps of each sample with their labels and votes."""
    key = ["sample_id", "step"]
    steps = exported.read_table("steps", STEP, shard).drop("problem_id")
    labels = _retract(exported.read_table("labels", LABEL, shard).drop("problem_id"), exported.retractions)
    votes = pl.DataFrame(schema=VOTE_COUNTS)
    if exported.replies is not None:
        replies = read_shard(exported.replies, REPLY, shard)
        votes = count_kept_votes(replies, steps, exported.judge.params.num_votes, exported.judge.llms)
    return (
        steps.join(labels, on=key, how="inner")
        .join(votes, on=key, how="left")
        .sort(key)
        .group_by("sample_id", maintain_order=True)
        .agg(steps=pl.struct(column.name for column in _STEP_COLUMNS), first_error=pl.col("first_error").first())
    )


def _retract(labels: pl.DataFrame, retractions: pl.DataFrame) -> pl.DataFrame:
    """`labels` with those of `retractions` unknown, for the reason given there; the first error follows."""
    key, is_retracted = ["sample_id", "step"], pl.col("why").is_not_null()
    why = retractions.select(*key, why=pl.concat_str(pl.lit("retracted: "), "reason"))
    rows = labels.join(why, on=key, how="left", maintain_order="left")
    rows = rows.with_columns(label=pl.when(~is_retracted).then("label"), reason=pl.coalesce("why", "reason"))
    first = pl.when(~pl.col("label")).then("step").min().over("sample_id")
    return rows.with_columns(first_error=first).drop("why")


def _read_replies(exported: ExportedRound) -> Iterator[pl.DataFrame]:
    for shard in exported.shards if exported.replies is not None else ():
        assert exported.replies is not None
        yield read_shard(exported.replies, REPLY, shard).with_columns(round=pl.lit(exported.name))


def _read_reasoning(exported: ExportedRound) -> Iterator[pl.DataFrame]:
    for frame in _read_replies(exported):
        if not (rows := frame.drop_nulls("reasoning")).is_empty():
            yield rows


LABELS = FunctionFormat(
    "labels",
    "everything: every sample of the round, kept for training or not, with its lineage and the origin of each label",
    _list_columns,
    _read_frames,
)

REPLIES = FunctionFormat(
    "replies",
    "every raw reply of the judging models without its thinking, failed attempts included: the votes in `labels` are "
    "counted from these",
    lambda _: (_ROUND, *(column for column in REPLY.columns if column.name != "reasoning")),
    _read_replies,
)

REASONING = FunctionFormat(
    "reasoning",
    "what the judging models thought before their replies; `request_hash` leads to the reply in `replies`",
    lambda _: (_ROUND, *(column for column in REPLY.columns if column.name in _REASONING_COLUMNS)),
    _read_reasoning,
)
