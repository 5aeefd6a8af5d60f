"""``python -m benchmarks.audit_mutations ROOT``: damage a finished round in every way, and see whether verify names it.

ROOT is a repository whose recipe has run; a copy is damaged. A damage is found if verification fails, and named if the
right check has a line with the right file and row. With ``--write`` the table is written into docs/audit.md.
"""

import argparse
import os
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

from benchmarks.audit_mutations import row_damage, run_damage  # noqa: F401  # they register their kinds
from benchmarks.audit_mutations.damage_kind import KINDS, DamageKind
from benchmarks.audit_mutations.damaged_round import DamagedRound, NotApplicableError, Trace, copy_round
from benchmarks.docs_table import write_between
from stages.common.errors import UserError
from stages.common.progress import progress
from tools import dvc_lock
from tools.audit import CHECKS, CheckResults, verify
from tools.audit.verify import lock_checks, run_checks
from tools.dvc_files import find_cache
from tools.dvc_lock import parse_yaml
from tools.plan import stage_commands

DOCS = Path("docs/audit.md")
MARKS = ("<!-- audit-mutations -->", "<!-- /audit-mutations -->")
MIN_NAMED = 0.99
"""Fraction of damages that must be found and named rightly."""

VERIFIED = ("data/problems", "data/samples", "data/outcomes", "data/evaluations")
"""What verdicts are made from."""


@dataclass
class KindResult:
    """What verification made of one kind of damage."""

    kind: DamageKind
    counts: Counter[str] = field(default_factory=Counter)
    """Damages `done`, `found` and `named`."""
    missed: list[str] = field(default_factory=list)
    """Those that were not named rightly: the seed, and what was named instead."""

    def add(self, other: Self) -> None:
        """Add the damages of other seeds."""
        self.counts += other.counts
        self.missed += other.missed


def measure_kind(kind: DamageKind, root: Path, seed: int) -> KindResult:
    """Do one kind of damage to the round at `root`, put it back, and count nothing where there is nothing to damage."""
    result = KindResult(kind)
    damaged = DamagedRound(root, random.Random(f"{kind.title} {seed}"))
    with damaged.restored():
        try:
            trace = kind.damage(damaged)
        except NotApplicableError:
            return result
        if kind.has_new_hashes:
            damaged.remake_hashes()
        try:
            with _read_graph_once():
                results = verify(root, damaged.changed_rounds, _choose_checks(damaged))
        except Exception as error:  # noqa: BLE001 - verification that ends early is what is measured, too
            result.counts.update(done=1)
            result.missed.append(f"seed {seed}: expected {trace}, but verification ended with {error!r}")
            return result
    is_named = is_traced(results, trace)
    result.counts.update(done=1, found=int(results.is_broken), named=int(is_named))
    if not is_named:
        result.missed.append(f"seed {seed}: expected {trace}, found {_list_errors(results) or 'nothing'}")
    return result


def _list_errors(results: CheckResults) -> list[str]:
    return [f"{check}: {line}" for check, each in results.by_check.items() for line in each.errors]


def check_undamaged(root: Path) -> None:
    """Raise `UserError` where verification finds anything: no damage could be told from what is broken already."""
    with _read_graph_once():
        results = verify(root)
    if results.is_broken:
        found = _list_errors(results)[0]
        raise UserError(f"{root}: expected a round that passes `stepkto audit verify`, found {found}; make it again")


def _choose_checks(damaged: DamagedRound) -> frozenset[str]:
    """All checks, without that of verdicts where nothing that they are made from is damaged: it takes the longest."""
    touches_verdicts = any(path.startswith(VERIFIED) for path in damaged.before)
    return frozenset(CHECKS) - (frozenset() if touches_verdicts else {"verdicts"})


@contextmanager
def _read_graph_once() -> Iterator[None]:
    """Keep what DVC says of dvc.yaml and of its cache, which no kind damages; parse params and a stage's entry once.

    All these take longer than the rows.
    """
    with (
        patch.object(run_checks, "stage_commands", _list_commands),
        patch.object(run_checks, "find_cache", _find_cache),
        patch.object(lock_checks, "parse_yaml", _parse_once),
        patch.object(dvc_lock, "parse_yaml", _parse_lock),
    ):
        yield


_list_commands, _find_cache, _parse_text = cache(stage_commands), cache(find_cache), lru_cache(1000)(parse_yaml)


def _parse_once(text: str) -> Any:
    return deepcopy(_parse_text(text))


def _parse_lock(content: bytes) -> Any:
    """What dvc.lock holds, of which a damage changes few stages."""
    head, *stages = re.split(r"(?m)^(?=  \S)", content.decode())
    return _parse_once(head) | {"stages": {name: it for stage in stages for name, it in _parse_once(stage).items()}}


def is_traced(results: CheckResults, trace: Trace) -> bool:
    """Whether a damage is named where `trace` says."""
    lines = (line for check in trace.checks if check in results for line in results.by_check[check].errors)
    return any(all(word in line for word in trace.words) for line in lines)


def measure_seeds(
    root: Path, seeds: Sequence[int], num_workers: int, kinds: Sequence[DamageKind]
) -> Iterator[list[KindResult]]:
    """Do all `kinds` of damage with each seed to copies of the round at `root`; a list of results per seed.

    Raises `UserError` where the round is broken already, or one of its copies before the next seed.
    """
    measure = partial(_measure_in_copy, kinds, root)
    with tempfile.TemporaryDirectory(prefix="damaged.") as folder:
        if num_workers == 1:
            yield from progress((measure(Path(folder), seed) for seed in seeds), "damage", total=len(seeds))
        else:
            with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn")) as pool:
                done = pool.map(measure, repeat(Path(folder)), seeds)
                yield from progress(done, "damage", total=len(seeds))


def _measure_in_copy(kinds: Sequence[DamageKind], root: Path, folder: Path, seed: int) -> list[KindResult]:
    copy = folder / str(os.getpid())
    if not copy.exists():
        copy_round(root, copy)
    check_undamaged(copy)  # what the seed before damaged has to be put back, too
    return [measure_kind(kind, copy, seed) for kind in kinds]


def merge_results(by_seed: Iterable[list[KindResult]]) -> list[KindResult]:
    """One result per kind; kinds that the round has nothing for are left out. Ctrl-C ends it after the seeds done."""
    merged: dict[str, KindResult] = {}
    try:
        for results in by_seed:
            for result in results:
                merged.setdefault(result.kind.title, KindResult(result.kind)).add(result)
    except KeyboardInterrupt:
        print("stopped: the seeds that are done follow", file=sys.stderr)
    return [result for result in merged.values() if result.counts["done"]]


def format_table(results: Sequence[KindResult]) -> list[str]:
    """A row per kind, and one for all."""
    lines = ["| damage | hashes made to fit | done | found | named rightly |", "|---|---|---|---|---|"]
    total: Counter[str] = Counter()
    for result in results:
        total += result.counts
        fits = "yes" if result.kind.has_new_hashes else "no"
        lines.append(f"| {result.kind.title} | {fits} | {_format_counts(result.counts)} |")
    return [*lines, f"| all {len(results)} kinds | | {_format_counts(total)} |"]


def _format_counts(counts: Counter[str]) -> str:
    return " | ".join(f"{counts[name]:,}" for name in ("done", "found", "named"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and what was missed; 1 if less than `MIN_NAMED` is named rightly."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("root", type=Path)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--num-workers", type=int, default=1)
    parser.add_argument("--only", help="kinds whose title holds this")
    parser.add_argument("--write", action="store_true", help=f"write the table into {DOCS}")
    given = parser.parse_args(arguments)
    kinds = [kind for kind in KINDS if given.only is None or given.only in kind.title]
    try:
        results = merge_results(measure_seeds(given.root.resolve(), range(given.seeds), given.num_workers, kinds))
    except (UserError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 1
    table = format_table(results)
    print("\n".join([*table, *(f"{result.kind.title}: {line}" for result in results for line in result.missed)]))
    if given.write:
        write_between(DOCS, MARKS, table)
    done, named = (sum(result.counts[name] for result in results) for name in ("done", "named"))
    return int(named < MIN_NAMED * done)
