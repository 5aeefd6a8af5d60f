"""Every table between stages, declared once: column, type, unit and meaning."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Column:
    """One column; the `meaning` of a `nullable` one says what null means."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A table: its columns in order, and the columns by which its rows are sorted and unique."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def schema(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        return {column.name: column.dtype for column in self.columns}

    def check(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return `frame` with the columns in order; raise `ValueError` naming the first that does not match."""
        missing = [name for name in self.schema if name not in frame.columns]
        extra = [name for name in frame.columns if name not in self.schema]
        if missing or extra:
            raise ValueError(f"table {self.name}: missing columns {missing}, unexpected columns {extra}")
        frame = frame.select(list(self.schema))
        for column in self.columns:
            try:
                frame = frame.with_columns(pl.col(column.name).cast(column.dtype))
            except pl.exceptions.PolarsError as error:
                reason = " ".join(str(error).split())
                raise ValueError(f"table {self.name}: column {column.name} is no {column.dtype}: {reason}") from error
            if not column.nullable and (nulls := frame[column.name].null_count()):
                raise ValueError(f"table {self.name}: column {column.name} has {nulls} nulls and allows none")
        return frame


_PROBLEM_ID = Column("problem_id", pl.String, "content hash of the normalised problem text and gold answer")
_SAMPLE_ID = Column("sample_id", pl.String, "content hash of problem, policy, sampling params, index and completion")

PROBLEM = Table(
    "problem",
    ("problem_id",),
    (
        _PROBLEM_ID,
        Column("split", pl.String, "train, validation or test"),
        Column("source", pl.String, "the collection that the problem came from, as NuminaMath names it"),
        Column("problem", pl.String, "problem text as given"),
        Column("solution", pl.String, "reference solution as given"),
        Column("answer", pl.String, "gold answer: content of the reference solution's last box, or as given"),
        Column("origin", pl.String, "source of the row: generator, or data set and revision, or file and sha256"),
        Column("origin_row", pl.Int64, "0-based row in its origin"),
        Column("task", pl.String, "the task of the problem, which chooses the verifier of its answers, e.g. math"),
    ),
)

SAMPLE = Table(
    "sample",
    ("problem_id", "sample_index", "sample_id"),
    (
        _SAMPLE_ID,
        _PROBLEM_ID,
        Column("policy", pl.String, "manifest hash of the policy that wrote the sample"),
        Column("sampling_hash", pl.String, "hash of the sampling params"),
        Column("sample_index", pl.Int32, "0-based index among the problem's samples"),
        Column("seed", pl.Int64, "seed of this sample's random draws, null where the sampler has none", nullable=True),
        Column("completion", pl.String, "the sampled completion, special tokens removed"),
        Column("finish_reason", pl.String, "stop, or length when cut by the token limit"),
        Column("prompt_tokens", pl.Int32, "tokens in, null where not recorded", nullable=True),
        Column("completion_tokens", pl.Int32, "tokens out, null where not recorded", nullable=True),
        Column(
            "completion_ids",
            pl.List(pl.Int32),
            "the sampled token ids, with the end token where the finish reason is stop, null where not known",
            nullable=True,
        ),
        Column("tokenizer", pl.String, "hash of the tokenizer of these ids, null without them", nullable=True),
    ),
)

STEP = Table(
    "step",
    ("problem_id", "sample_id", "step"),
    (
        _SAMPLE_ID,
        _PROBLEM_ID,
        Column("step", pl.Int32, "0-based position of the step in its sample"),
        Column("start", pl.Int32, "first character of the step, in code points from the start of the sample"),
        Column("end", pl.Int32, "one past the step's last character; the next step starts here"),
    ),
)

LABEL = Table(
    "labels",
    ("problem_id", "sample_id", "step"),
    (
        _SAMPLE_ID,
        _PROBLEM_ID,
        Column("step", pl.Int32, "0-based position of the step in its sample"),
        Column("label", pl.Boolean, "True correct, False incorrect, null unknown", nullable=True),
        Column("reason", pl.String, "reason for the label, in a few words"),
        Column("num_votes", pl.Int32, "number of votes of the judge"),
        Column("agreement", pl.Float64, "fraction of the votes that agree with the label, 0 to 1"),
        Column("first_error", pl.Int32, "0-based first incorrect step of the sample, null if none", nullable=True),
        Column("judge", pl.String, "hash of the judge: its kind, model, prompt and params"),
    ),
)

_REPLY_FACTS = ("finish_reason", "model", "prompt_tokens", "completion_tokens")

REPLY = Table(
    "reply",
    ("problem_id", "sample_id", "judge_index", "step", "vote", "attempt"),
    (
        _SAMPLE_ID,
        _PROBLEM_ID,
        Column("judge_index", pl.Int32, "0 for the judge, 1 for the second judge"),
        Column("step", pl.Int32, "0-based step of the request, -1 for all steps of the sample in one request"),
        Column("vote", pl.Int32, "0-based vote"),
        Column("attempt", pl.Int32, "0-based attempt at this vote"),
        Column("request_hash", pl.String, "hash of everything that determined the reply"),
        Column("text", pl.String, "the raw reply without its thinking, null where there is none", nullable=True),
        Column(
            "reasoning",
            pl.String,
            "the judge's thinking before the reply, null without, empty if hidden",
            nullable=True,
        ),
        Column("error", pl.String, "why the reply has no verdicts, null where it has", nullable=True),
        Column("finish_reason", pl.String, "as reported by the server, null where there is no reply", nullable=True),
        Column(
            "model",
            pl.String,
            "model name reported by the server, null where there is no reply",
            nullable=True,
        ),
        Column("prompt_tokens", pl.Int64, "tokens in, null where not reported", nullable=True),
        Column("completion_tokens", pl.Int64, "tokens out, null where not reported", nullable=True),
    ),
)

OUTCOME = Table(
    "outcome",
    ("problem_id", "sample_id"),
    (
        _SAMPLE_ID,
        _PROBLEM_ID,
        Column("answer", pl.String, "the final answer as extracted, null if none was found", nullable=True),
        Column("extraction_rule", pl.String, "the extraction rule that found it, null if none", nullable=True),
        Column(
            "is_correct",
            pl.Boolean,
            "True equals the gold answer, False does not, null unknown",
            nullable=True,
        ),
        Column("reason", pl.String, "reason for the verdict, in a few words"),
        Column(
            "verifier",
            pl.String,
            "who gave the verdict: packages and hash of the rules, or a model and its prompt's hash",
        ),
    ),
)

SELECTION = Table(
    "selection",
    ("problem_id", "sample_id"),
    (
        _SAMPLE_ID,
        _PROBLEM_ID,
        Column(
            "rank",
            pl.Int32,
            "0-based position among the problem's samples with its verdict, by hash of seed and id, null if dropped",
            nullable=True,
        ),
        Column("drop_reason", pl.String, "the first rule that drops the sample, null if it is kept", nullable=True),
    ),
)

VERIFIER_RESPONSE = Table(
    "verifier_response",
    ("problem_id", "sample_id", "is_swapped"),
    (
        _SAMPLE_ID,
        _PROBLEM_ID,
        Column("is_swapped", pl.Boolean, "whether the answer stood in the gold answer's place, and the reverse"),
        Column("request_hash", pl.String, "hash of everything that determined the reply"),
        Column("text", pl.String, "the raw reply, null where there is none", nullable=True),
        *(column for column in REPLY.columns if column.name in _REPLY_FACTS),
    ),
)
