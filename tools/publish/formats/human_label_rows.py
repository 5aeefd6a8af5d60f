"""Labels by people, one row each: what every annotator said of every step, and how it came about."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from stages.common.human_labels import HumanLabel, hash_steps, keep_current, read_human_labels
from stages.common.tables import SAMPLE, STEP, Column
from tools.publish.exported_round import ExportedRound
from tools.publish.formats.export_format import ExportFormat, FunctionFormat, problem_column, sample_column
from tools.publish.private_data import make_pseudonyms

_MEANINGS = {
    "annotator": "who gave it: a number by the order in which people began, unless names are published",
    "step": "0-based step of the sample, as in `labels`",
    "text_hash": "first hex digits of the hash of the step's text, of which alone the label is",
    "label": "correct, incorrect, neutral (not wrong, but gets nowhere), cannot_tell or bad_split (not one step)",
    "kind": "own, gold (answer to an item whose label is known), adjudicated (settles where others differ), imported",
    "mode": "first_error: only the first incorrect step was looked for, later ones have no label; or per_step",
    "queue": "why it was asked: random, value (something was in doubt) or browsing; only random gives unbiased rates",
    "is_blind": "whether the judge's label, its reason and the outcome were not shown before",
    "seconds": "time spent on the step",
    "page_version": "first hex digits of the hash of the page that asked, or of the file imported",
    "guideline_version": "the same of the guideline that the person had",
    "judge_label": "the judge's label at that time: correct, incorrect, unknown or none",
    "judge": "hash of that judge, `none` where the step was not judged",
}
_TYPES = {"step": pl.Int32, "is_blind": pl.Boolean, "seconds": pl.Float64}
_COLUMNS = (
    sample_column(),
    problem_column(),
    *(Column(name, _TYPES.get(name, pl.String), meaning) for name, meaning in _MEANINGS.items()),
    Column("is_correct", pl.Boolean, "the label as training takes it: neutral is correct, the last two null", True),
)


def read_published_labels(path: Path, with_names: bool, rounds: Sequence[ExportedRound]) -> list[HumanLabel]:
    """The labels of a file that count and are of steps' texts in `rounds`; a line is printed if others are left out.

    Annotators are by number unless `with_names`, see `make_pseudonyms`.
    """
    names = {it.name for it in rounds}
    labels = [label for label in read_human_labels(path) if label.round in names]
    hashes = {it.name: _hash_steps(it, [label.sample_id for label in labels]) for it in rounds}
    current = keep_current(labels, lambda label: hashes[label.round].get(label.sample_id))
    if len(current) < len(labels):
        print(f"{path}: {len(labels) - len(current):,} labels are of another text of their step, and left out")
    pseudonyms = {} if with_names else make_pseudonyms(path)
    return [it.model_copy(update={"annotator": pseudonyms.get(it.annotator, it.annotator)}) for it in current]


def _hash_steps(exported: ExportedRound, sample_ids: Sequence[str]) -> dict[str, dict[int, str]]:
    hashes: dict[str, dict[int, str]] = {}
    of_labels = pl.col("sample_id").is_in(set(sample_ids))
    for shard in exported.shards:
        samples = exported.read_table("samples", SAMPLE, shard).filter(of_labels)
        hashes |= hash_steps(samples, exported.read_table("steps", STEP, shard).filter(of_labels))
    return hashes


def make_human_labels_format(labels: Sequence[HumanLabel]) -> ExportFormat:
    """The format that publishes those of `labels` that are of samples of the round, without the time of day."""

    def read_frames(exported: ExportedRound) -> Iterator[pl.DataFrame]:
        rows = [it.model_dump() | {"is_correct": it.is_correct} for it in labels if it.round == exported.name]
        schema = {column.name: column.dtype for column in _COLUMNS}
        frame = pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)
        for shard in exported.shards:
            samples = exported.read_table("samples", SAMPLE, shard).select("sample_id")
            of_shard = frame.join(samples, on="sample_id", how="semi").sort("sample_id", "step", "annotator", "kind")
            if of_shard.height or len(exported.shards) == 1:
                yield of_shard

    return FunctionFormat(
        "human_labels",
        "labels by people: every annotator's last one on every step, apart from the judge's in `labels`",
        lambda _: _COLUMNS,
        read_frames,
    )
