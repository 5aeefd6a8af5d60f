"""Which labels changed since a revision, how many, and because of which stage.

Each change is attributed to the earliest stage that caused it. Old tables are read from the DVC cache.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from stages.common.errors import UserError, describe_error
from stages.common.progress import progress
from tools.audit.key_ranges import SAMPLE_KEY, STEP_KEY, UNREADABLE, KeyRange, join_edges
from tools.audit.lineage.lock_diff import explain_change
from tools.dvc_files import find_cache, find_cached_file, read_cached_listing
from tools.dvc_lock import LOCK, Lock, read_lock

MAX_EXAMPLES = 5
"""Changed labels named per cause."""

RANGE_ROWS = 1 << 18
"""Rows compared at a time, about."""

LABEL_WORD = pl.col("label").replace_strict(
    {True: "correct", False: "incorrect"}, default="unknown", return_dtype=pl.String
)
NO_LABEL = "none"
ROWS = "step_kto.parquet"
"""The file of a data set that names all of its samples."""


@dataclass(frozen=True)
class LabelLevel:
    """Labels of steps or of answers: the tables that hold them (the last has the label), and their stages.

    Labels of steps may be those of selected samples only.
    """

    name: str
    key: list[str]
    column: str
    folders: dict[str, str]
    """Folder below data/ of each table, by the stage that writes it."""
    has_selection: bool = False


SELECT = {"select": "selections"}
LEVELS = (
    LabelLevel("labels of steps", STEP_KEY, "label", {"split": "steps", "judge": "labels"}, has_selection=True),
    LabelLevel("verdicts", SAMPLE_KEY, "is_correct", {"outcome": "outcomes"}),
)


@dataclass
class LabelChanges:
    """Changed labels of one round and level."""

    round: str
    level: LabelLevel
    num_before: int = 0
    num_after: int = 0
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By (stage that caused it, before, after)."""
    examples: dict[str, list[str]] = field(default_factory=dict)
    """The first changed labels by stage that caused them."""
    error: str | None = None
    """Why the tables were not compared, None where they were."""


Shards = dict[str, list[Path]]
"""Files of a level's tables, by stage."""


def diff(root: Path, revision: str) -> list[str]:
    """Lines on the labels of all rounds now against those at a Git revision.

    Raises `UserError` for a revision that names no commit or has no dvc.lock.
    """
    old, new = read_lock(root, revision), read_lock(root)
    rounds = [stage.partition("@")[2] for lock in (new, old) for stage in lock if stage.startswith("sample@")]
    changes = compare_labels(root, revision, list(dict.fromkeys(rounds)))
    return [line for each in changes for line in _format_changes(each, old, new)]


def compare_labels(root: Path, revision: str, rounds: Sequence[str]) -> list[LabelChanges]:
    """The labels of `rounds` now against those at a Git revision, level by level; raises as `diff`."""
    old, new, cache = read_lock(root, revision), read_lock(root), find_cache(root)
    return [_compare(root, cache, old, new, name, level) for name in rounds for level in LEVELS]


def compare_rows(root: Path, revision: str, name: str) -> tuple[int, int]:
    """How many rows the data set of round `name` gained and lost since a Git revision.

    Raises as `diff`, and `UserError` where one of the two is not here.
    """
    old, new = (
        _find_hashes(lock, name, {"dataset": "datasets"}) for lock in (read_lock(root, revision), read_lock(root))
    )
    if old == new:
        return 0, 0
    listed = read_cached_listing(find_cache(root), old["dataset"][1]) or {}
    before = find_cached_file(find_cache(root), listed.get(ROWS, ""))
    after = root / new["dataset"][0] / ROWS
    if before is None or not after.is_file():
        raise UserError(
            f"{new['dataset'][0]}, then or now, is not here; run `dvc fetch --all-commits` and `dvc checkout`"
        )
    ids = [pl.scan_parquet(path).select("sample_id") for path in (before, after)]
    counts = [these.join(those, on="sample_id", how="anti").select(pl.len()) for these, those in (ids[::-1], ids)]
    gained, lost = (count.collect().item() for count in counts)
    return gained, lost


def _compare(root: Path, cache: Path | None, old: Lock, new: Lock, name: str, level: LabelLevel) -> LabelChanges:
    changes = LabelChanges(name, level)
    try:
        folders = level.folders
        if level.has_selection and all(f"select@{name}" in lock for lock in (old, new)):
            folders = {**SELECT, **folders}
        old_hashes, new_hashes = _find_hashes(old, name, folders), _find_hashes(new, name, folders)
        if old_hashes == new_hashes:
            return changes
        before = {stage: _find_cached_shards(cache, *found) for stage, found in old_hashes.items()}
        after = {stage: _find_shards(root, path) for stage, (path, _) in new_hashes.items()}
        ranges = _plan_ranges(before, after, level)
        for keys in progress(ranges, f"compare {level.name} of {name}", unit="ranges"):
            frames = [_read_labels(shards, level, keys) for shards in (before, after)]
            selections = [_read_selection(*pair, keys) for pair in zip((before, after), frames, strict=True)]
            _add_changes(changes, *frames, *selections)
    except UNREADABLE as error:
        changes.error = describe_error(error)
    return changes


def _find_hashes(lock: Lock, name: str, folders: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Path and md5 of the tables in `folders` by stage; raises `UserError` where the lock has none."""
    found = {}
    for stage, folder in folders.items():
        entry, path = lock.get(f"{stage}@{name}"), f"data/{folder}/{name}"
        if entry is None or path not in entry.outs:
            raise UserError(f"no {stage}@{name} with {path} in one of both states of {LOCK}")
        found[stage] = (path, entry.outs[path])
    return found


def _find_cached_shards(cache: Path | None, path: str, md5: str) -> list[Path]:
    listed = read_cached_listing(cache, md5) or {}
    files = [find_cached_file(cache, md5) for name, md5 in sorted(listed.items()) if "/" not in name]
    if not files or None in files:
        raise UserError(f"the old {path} ({md5}) is not in DVC's cache; run `dvc fetch --all-commits`")
    return [file for file in files if file is not None]


def _find_shards(root: Path, path: str) -> list[Path]:
    files = sorted((root / path).glob("*.parquet"))
    if not files:
        raise UserError(f"{path} is not here; run `dvc checkout`")
    return files


def _plan_ranges(before: Shards, after: Shards, level: LabelLevel) -> list[KeyRange]:
    """Ranges of problem ids, which are hashes, with about `RANGE_ROWS` labels each."""
    last = list(level.folders)[-1]
    rows = max(pl.scan_parquet(shards[last]).select(pl.len()).collect().item() for shards in (before, after))
    digits = 0
    while 16**digits * RANGE_ROWS < rows:
        digits += 1
    return join_edges("", [f"{number:0{digits}x}" for number in range(16**digits)])


def _read_labels(shards: Shards, level: LabelLevel, keys: KeyRange) -> pl.DataFrame:
    """Key, label in words, and the columns that say what is labelled (the span of a step)."""
    *parents, last = level.folders
    labels = pl.scan_parquet(shards[last]).filter(keys.contains()).select(*level.key, label=level.column)
    labels = labels.with_columns(LABEL_WORD)
    for stage in parents:
        labels = labels.join(pl.scan_parquet(shards[stage]).filter(keys.contains()), on=level.key, how="left")
    return labels.collect()


def _read_selection(shards: Shards, labels: pl.DataFrame, keys: KeyRange) -> pl.DataFrame:
    """`sample_id`, and whether it is selected, of all samples; of those with labels where there was no selection."""
    if "select" not in shards:
        return labels.select(pl.col("sample_id").unique()).with_columns(is_selected=True)
    rows = pl.scan_parquet(shards["select"]).filter(keys.contains())
    return rows.select("sample_id", is_selected=pl.col("drop_reason").is_null()).collect()


def _add_changes(
    changes: LabelChanges,
    before: pl.DataFrame,
    after: pl.DataFrame,
    selected: pl.DataFrame,
    selected_after: pl.DataFrame,
) -> None:
    level = changes.level
    changes.num_before += before.height
    changes.num_after += after.height
    both = before.join(after, on=level.key, how="full", suffix=" after", coalesce=True)
    both = both.join(selected, on="sample_id", how="left")
    both = both.join(selected_after, on="sample_id", how="left", suffix=" after")
    changed = both.with_columns(cause=_find_cause(level)).drop_nulls("cause").sort(level.key)
    changed = changed.with_columns(pl.col("label", "label after").fill_null(NO_LABEL))
    for cause, old, new, count in changed.group_by("cause", "label", "label after").len().iter_rows():
        changes.counts[cause, old, new] += count
    for row in changed.group_by("cause", maintain_order=True).head(MAX_EXAMPLES).iter_rows(named=True):
        examples = changes.examples.setdefault(row["cause"], [])
        if len(examples) < MAX_EXAMPLES:
            step = f" step {row['step']}" if "step" in row else ""
            examples.append(f"sample {row['sample_id']}{step}: {row['label']} -> {row['label after']}")


def _find_cause(level: LabelLevel) -> pl.Expr:
    """The earliest stage that changed what this label is about, null where the label is the same.

    A judge that is shown other steps of the completion may judge otherwise: that is caused by the splitter.
    """
    *parents, last = level.folders
    is_different = pl.col("label").ne_missing(pl.col("label after"))
    was_selected, is_selected = pl.col("is_selected"), pl.col("is_selected after")
    cause = pl.when(is_different).then(pl.lit(last)).otherwise(None)
    for stage in parents:
        has_moved = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name} after")) for name in ("start", "end"))
        is_caused = has_moved | (is_different & has_moved.any().over(SAMPLE_KEY))
        cause = pl.when(is_caused).then(pl.lit(stage)).otherwise(cause)
    cause = pl.when(cause.is_not_null() & (was_selected != is_selected)).then(pl.lit("select")).otherwise(cause)
    return pl.when(was_selected.is_null() | is_selected.is_null()).then(pl.lit("sample")).otherwise(cause)


def _format_changes(changes: LabelChanges, old: Lock, new: Lock) -> Iterator[str]:
    head = f"{changes.round:<6}{changes.level.name}: "
    if changes.error is not None:
        yield f"{head}not compared: {changes.error}"
        return
    if not changes.num_before and not changes.num_after:
        yield f"{head}the same"
        return
    yield f"{head}{changes.counts.total():,} changed ({changes.num_before:,} then, {changes.num_after:,} now)"
    for stage in sorted({key[0] for key in changes.counts}):
        kinds = {key[1:]: count for key, count in sorted(changes.counts.items()) if key[0] == stage}
        summary = ", ".join(f"{count:,} {before} -> {after}" for (before, after), count in kinds.items())
        yield f"      because of {stage}@{changes.round}: {sum(kinds.values()):,} ({summary})"
        for reason in explain_change(old, new, f"{stage}@{changes.round}", stage == "sample"):
            yield f"        {reason}"
        yield from (f"        for example {example}" for example in changes.examples[stage])
