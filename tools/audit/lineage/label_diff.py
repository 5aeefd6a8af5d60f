"""Which labels changed since a revision, how many, and because of which stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from stages.common.console import progress
from tools.audit.key_ranges import SAMPLE_KEY, STEP_KEY, UNREADABLE, KeyRange
from tools.audit.lineage.lock_diff import reasons
from tools.dvc_files import find_cache, find_cached_file, read_cached_listing
from tools.dvc_lock import LOCK, Lock, read_lock

NAMED = 5
"""Changed labels named per cause."""

PIECE = 1 << 18
"""Rows compared at a time, about."""

WORDS = pl.col("label").replace_strict({True: "right", False: "wrong"}, default="unknown", return_dtype=pl.String)
NOTHING = "nothing"


@dataclass(frozen=True)
class Level:
    """A kind of label: the tables that hold it (the last has the label), and which stage is to blame for what."""

    name: str
    key: list[str]
    label: str
    tables: dict[str, str]
    """Folder below data/ of each table, by the stage that writes it."""


LEVELS = (
    Level("labels of steps", STEP_KEY, "label", {"split": "steps", "judge": "labels"}),
    Level("verdicts", SAMPLE_KEY, "is_correct", {"outcome": "outcomes"}),
)


@dataclass
class Changes:
    """Changed labels of one round and level."""

    round: str
    level: Level
    rows: tuple[int, int] = (0, 0)
    """Labels then and now."""
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By (stage to blame, then, now)."""
    first: dict[str, list[str]] = field(default_factory=dict)
    """The first changed labels by stage to blame."""
    uncompared: str | None = None
    """Why the tables were not compared, None where they were."""


Files = dict[str, list[Path]]
"""Shards of a level's tables, by stage."""


def diff(root: Path, revision: str) -> list[str]:
    """Lines on the labels of all rounds now against those at a Git revision.

    The tables of then are read from DVC's cache. Raises `ValueError` for a revision that names no commit or has no
    dvc.lock.
    """
    old, new = read_lock(root, revision), read_lock(root)
    cache = find_cache(root)
    lines: list[str] = []
    for name in _rounds(old, new):
        for level in LEVELS:
            lines += _lines(_compare(root, cache, old, new, name, level), old, new)
    return lines


def _rounds(old: Lock, new: Lock) -> list[str]:
    names = [stage.partition("@")[2] for lock in (new, old) for stage in lock if stage.startswith("sample@")]
    return list(dict.fromkeys(names))


def _compare(root: Path, cache: Path | None, old: Lock, new: Lock, name: str, level: Level) -> Changes:
    changes = Changes(name, level)
    try:
        if _hashes(old, name, level) == _hashes(new, name, level):
            return changes
        then = {stage: _cached(cache, old, name, stage, folder) for stage, folder in level.tables.items()}
        now = {stage: _present(root, name, folder) for stage, folder in level.tables.items()}
        for span in progress(_spans(then, now, level), f"compare {level.name} of {name}", unit="pieces"):
            _add(changes, _joined(then, level, span), _joined(now, level, span))
    except UNREADABLE as error:
        changes.uncompared = " ".join(str(error).split())
    return changes


def _hashes(lock: Lock, name: str, level: Level) -> list[str]:
    """Hashes of a level's tables; raises `ValueError` where the lock has none."""
    found = []
    for stage, folder in level.tables.items():
        entry = lock.get(f"{stage}@{name}")
        if entry is None:
            raise ValueError(f"no {stage}@{name} in one of both states of {LOCK}")
        found.append(entry.outs[f"data/{folder}/{name}"])
    return found


def _cached(cache: Path | None, lock: Lock, name: str, stage: str, folder: str) -> list[Path]:
    md5 = lock[f"{stage}@{name}"].outs[f"data/{folder}/{name}"]
    listed = read_cached_listing(cache, md5) or {}
    files = [find_cached_file(cache, md5) for path, md5 in sorted(listed.items()) if "/" not in path]
    if not files or None in files:
        raise ValueError(f"data/{folder}/{name} of then ({md5}) is not in DVC's cache; try `dvc fetch --all-commits`")
    return [path for path in files if path is not None]


def _present(root: Path, name: str, folder: str) -> list[Path]:
    files = sorted((root / "data" / folder / name).glob("*.parquet"))
    if not files:
        raise ValueError(f"data/{folder}/{name} is not here; `dvc checkout` brings it back")
    return files


def _spans(then: Files, now: Files, level: Level) -> list[KeyRange]:
    """Ranges of problem ids, which are hashes, with about `PIECE` labels each."""
    last = list(level.tables)[-1]
    rows = max(pl.scan_parquet(files[last]).select(pl.len()).collect().item() for files in (then, now))
    digits = 0
    while 16**digits * PIECE < rows:
        digits += 1
    edges = [f"{number:0{digits}x}" if number else "" for number in range(16**digits)]
    return [KeyRange("", low, high) for low, high in zip(edges, [*edges[1:], None], strict=True)]


def _joined(files: Files, level: Level, span: KeyRange) -> pl.DataFrame:
    """Key, label in words, and the columns that say what was labelled (the span of a step)."""
    *parents, last = level.tables
    labels = pl.scan_parquet(files[last]).filter(span.within()).select(*level.key, label=level.label)
    labels = labels.with_columns(WORDS)
    for stage in parents:
        labels = labels.join(pl.scan_parquet(files[stage]).filter(span.within()), on=level.key, how="left")
    return labels.with_columns(there=True).collect()


def _add(changes: Changes, then: pl.DataFrame, now: pl.DataFrame) -> None:
    level = changes.level
    changes.rows = (changes.rows[0] + then.height, changes.rows[1] + now.height)
    both = then.join(now, on=level.key, how="full", suffix=" now", coalesce=True)
    both = both.join(then.select("sample_id").unique().with_columns(sampled=True), on="sample_id", how="left")
    both = both.join(now.select("sample_id").unique().with_columns(sampled_now=True), on="sample_id", how="left")
    changed = both.with_columns(blame=_blame(level)).drop_nulls("blame").sort(level.key)
    changed = changed.with_columns(pl.col("label", "label now").fill_null(NOTHING))
    for blame, before, after, count in changed.group_by("blame", "label", "label now").len().iter_rows():
        changes.counts[blame, before, after] += count
    for row in changed.group_by("blame", maintain_order=True).head(NAMED).iter_rows(named=True):
        named = changes.first.setdefault(row["blame"], [])
        if len(named) < NAMED:
            step = f" step {row['step']}" if "step" in row else ""
            named.append(f"sample {row['sample_id']}{step}: {row['label']} -> {row['label now']}")


def _blame(level: Level) -> pl.Expr:
    """The earliest stage that gave something else to what this label is about, null where the label is the same.

    A judge that was shown other steps of the solution may judge otherwise: that is the splitter's doing.
    """
    *parents, last = level.tables
    differs = pl.col("label").ne_missing(pl.col("label now"))
    unsampled = pl.col("sampled").is_null() | pl.col("sampled_now").is_null()
    blame = pl.when(differs).then(pl.lit(last)).otherwise(None)
    for stage in parents:
        moved = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name} now")) for name in ("start", "end"))
        blame = pl.when(moved | (differs & moved.any().over(SAMPLE_KEY))).then(pl.lit(stage)).otherwise(blame)
    return pl.when(unsampled).then(pl.lit("sample")).otherwise(blame)


def _lines(changes: Changes, old: Lock, new: Lock) -> Iterator[str]:
    head = f"{changes.round:<6}{changes.level.name}: "
    if changes.uncompared is not None:
        yield f"{head}not compared: {changes.uncompared}"
        return
    if not changes.rows[0] and not changes.rows[1]:
        yield f"{head}the same"
        return
    then, now = changes.rows
    yield f"{head}{changes.counts.total():,} changed ({then:,} then, {now:,} now)"
    for stage in sorted({key[0] for key in changes.counts}):
        kinds = {key[1:]: count for key, count in sorted(changes.counts.items()) if key[0] == stage}
        said = ", ".join(f"{count:,} {before} -> {after}" for (before, after), count in kinds.items())
        yield f"      because of {stage}@{changes.round}: {sum(kinds.values()):,} ({said})"
        yield from (f"        {why}" for why in reasons(old, new, f"{stage}@{changes.round}", stage == "sample"))
        yield from (f"        for example {named}" for named in changes.first[stage])
