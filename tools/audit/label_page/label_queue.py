"""Which completion a person is asked to label next."""

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from stages.common.errors import UserError
from stages.common.tables import OUTCOME
from stages.judge.llm import DISAGREEMENT_PATTERN
from tools.audit.key_ranges import collect, read_where
from tools.audit.table_sets import TableSet

ItemKey = tuple[str, str]
"""Round and sample_id."""


class LabelItem(NamedTuple):
    """A completion whose steps can be labelled."""

    rank: int
    """Of 32 bits, by hash: the order in which items of a queue are asked, the same for everybody."""
    round: str
    sample_id: str
    problem_id: str
    num_steps: int

    @property
    def key(self) -> ItemKey:
        return self.round, self.sample_id


@dataclass(frozen=True)
class QueueOptions:
    """How the queue is mixed; the same options ask any two people for the same items in the same order."""

    seed: int = 0
    random_fraction: float = 0.25
    """Share of the items, by the hash of their ids, that are kept for the random queue; and of turns that ask it."""
    gold_fraction: float = 0.1
    """Share of turns that ask a gold item."""
    num_exam: int = 0
    """Gold items asked before anything else."""


class LabelQueue:
    """All completions with a judge's labels, in the order in which they are asked.

    The random queue is a simple random sample of them: rates measured on it are unbiased. All others are asked by
    value: judges disagree, a correct answer with an incorrect step, an unknown step, then the rest at random. Sorting
    by value reads all labels, which takes a second where there are many; the first item asked is a random one.
    """

    def __init__(
        self, root: Path, table_sets: list[TableSet], gold: Collection[ItemKey], options: QueueOptions = QueueOptions()
    ) -> None:
        """Raises `UserError` where nothing is there to label, or a gold item is not there."""
        self._root = root
        self._table_sets = [it for it in table_sets if it.labels and any((root / it.labels).glob("*.parquet"))]
        if not self._table_sets:
            raise UserError("no step has a judge's label here; run `dvc repro` or `dvc checkout`")
        self._options = options
        items = sorted(item for tables in self._table_sets for item in _list_items(root, tables, options.seed))
        self._items = {item.key: item for item in items}
        for name, sample_id in sorted(set(gold) - self._items.keys()):
            raise UserError(f"gold: {name}: no labelled sample {sample_id}; remove it from the file")
        self._gold = sorted(self._items[key] for key in gold)
        self._gold_keys = set(gold)
        self._by_value: list[LabelItem] | None = None

    def find(self, key: ItemKey) -> LabelItem | None:
        """The item of that round and sample, None where it is not there."""
        return self._items.get(key)

    def find_queue(self, key: ItemKey) -> Literal["random", "value"]:
        """Which of the two queues holds an item; gold items count as picked."""
        return "random" if self._is_random(self._items[key]) and key not in self._gold_keys else "value"

    def has_gold(self, key: ItemKey) -> bool:
        return key in self._gold_keys

    def list_exam(self) -> list[LabelItem]:
        """The gold items of the examination."""
        return self._gold[: self._options.num_exam]

    def choose_next(self, num_finished: int, is_open: Callable[[LabelItem], bool]) -> LabelItem | None:
        """The item for a person who finished `num_finished`, among those that `is_open`; None where none is left."""
        return next((item for item in self._iterate(num_finished) if is_open(item)), None)

    def sort_by_value(self) -> list[LabelItem]:
        """Read all labels and sort the items that are asked by value."""
        if self._by_value is None:
            tiers = {key: tier for tables in self._table_sets for key, tier in _iterate_tiers(self._root, tables)}
            picked = (item for item in self._items.values() if not self._is_random(item))
            self._by_value = sorted(picked, key=lambda item: tiers[item.key])
        return self._by_value

    def _is_random(self, item: LabelItem) -> bool:
        return item.rank < self._options.random_fraction * 2**32

    def _iterate(self, turn: int) -> Iterator[LabelItem]:
        """All items, those first that this turn asks; gold items as nothing else."""
        options = self._options
        yield from self.list_exam()
        if _draw(options.seed, "gold", turn) < options.gold_fraction:
            yield from self._gold
        if turn == 0 or _draw(options.seed, "queue", turn) < options.random_fraction:
            yield from self._iterate_random()
        yield from (item for item in self.sort_by_value() if item.key not in self._gold_keys)
        yield from self._iterate_random()
        yield from self._gold

    def _iterate_random(self) -> Iterator[LabelItem]:
        drawn = takewhile(self._is_random, self._items.values())  # the items are sorted by rank
        return (item for item in drawn if item.key not in self._gold_keys)


def _list_items(root: Path, tables: TableSet, seed: int) -> Iterator[LabelItem]:
    """The samples of a round or evaluation with labels."""
    rows = _collect_labels(root, tables, num_steps=pl.len())
    for sample_id, problem_id, num_steps in rows.iter_rows():
        yield LabelItem(_rank(seed, sample_id), tables.name, sample_id, problem_id, num_steps)


def _collect_labels(root: Path, tables: TableSet, **aggregated: pl.Expr) -> pl.DataFrame:
    """Columns sample_id, problem_id and those `aggregated` over the LABEL rows of a sample."""
    assert tables.labels is not None
    folder = root / tables.labels
    rows = pl.scan_parquet(sorted(folder.glob("*.parquet"))).group_by("sample_id", "problem_id").agg(**aggregated)
    return collect(rows, folder)


def _iterate_tiers(root: Path, tables: TableSet) -> Iterator[tuple[ItemKey, int]]:
    """The tier of each sample: 0 is of most value."""
    is_unknown = pl.col("label").is_null()
    flags = _collect_labels(
        root,
        tables,
        has_disagreement=(is_unknown & pl.col("reason").str.contains(DISAGREEMENT_PATTERN)).any(),
        has_error=(~pl.col("label")).any(),
        has_unknown=is_unknown.any(),
    )
    outcomes = read_where(root / tables.outcomes, OUTCOME, pl.lit(value=True), ["sample_id", "is_correct"])
    tier = (
        pl.when("has_disagreement")
        .then(0)
        .when(pl.col("has_error") & pl.col("is_correct"))
        .then(1)
        .when("has_unknown")
        .then(2)
        .otherwise(3)
        .alias("tier")
    )
    joined = flags.join(outcomes, on="sample_id", how="left")
    for sample_id, value in joined.select("sample_id", tier).iter_rows():
        yield (tables.name, sample_id), value


def _rank(seed: int, sample_id: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {sample_id}".encode()).digest()[:4], "big")


def _draw(seed: int, *parts: str | int) -> float:
    """From [0, 1), by hash."""
    return _rank(seed, " ".join(map(str, parts))) / 2**32
