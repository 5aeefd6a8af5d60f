"""``python -m benchmarks.audit_mutations ROOT``: damage a finished round in every way, and see whether verify names it.

ROOT is a repository whose recipe has run; a copy is damaged. A damage is found if verification fails, and named if the
right check has a line with the right file and row. With ``--write`` the table is written into docs/audit.md.
"""

import argparse
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

from benchmarks.audit_mutations import row_damage, run_damage  # noqa: F401  # they register their kinds
from benchmarks.audit_mutations.damage_kind import KINDS, DamageKind
from benchmarks.audit_mutations.damaged_round import DamagedRound, NotApplicableError, Trace, copy_round
from benchmarks.docs_table import write_between
from stages.common.progress import progress
from tools.audit import CHECKS, CheckResults, verify
from tools.audit.verify import run_checks
from tools.dvc_files import find_cache
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


def measure_kind(kind: DamageKind, root: Path, seeds: Sequence[int]) -> KindResult:
    """Do one kind of damage to the round at `root` with each seed, and put it back each time."""
    result = KindResult(kind)
    for seed in seeds:
        damaged = DamagedRound(root, random.Random(f"{kind.title} {seed}"))
        with damaged.restored():
            try:
                trace = kind.damage(damaged)
            except NotApplicableError:
                continue
            if kind.has_new_hashes:
                damaged.remake_hashes()
            try:
                with _read_graph_once():
                    results = verify(root, damaged.changed_rounds, _choose_checks(damaged))
            except Exception as error:  # noqa: BLE001 - verification that ends early is what is measured, too
                result.counts.update(done=1)
                result.missed.append(f"seed {seed}: expected {trace}, but verification ended with {error!r}")
                continue
        is_named = is_traced(results, trace)
        result.counts.update(done=1, found=int(results.is_broken), named=int(is_named))
        if not is_named:
            named = [f"{check}: {line}" for check, each in results.by_check.items() for line in each.errors]
            result.missed.append(f"seed {seed}: expected {trace}, found {named[:4] or 'nothing'}")
    return result


def _choose_checks(damaged: DamagedRound) -> frozenset[str]:
    """All checks, without that of verdicts where nothing that they are made from is damaged: it takes the longest."""
    touches_verdicts = any(path.startswith(VERIFIED) for path in damaged.before)
    return frozenset(CHECKS) - (frozenset() if touches_verdicts else {"verdicts"})


@contextmanager
def _read_graph_once() -> Iterator[None]:
    """Keep what DVC says of dvc.yaml and of its cache, which no kind damages: asking takes longer than the rows."""
    with (
        patch.object(run_checks, "stage_commands", _list_commands),
        patch.object(run_checks, "find_cache", _find_cache),
    ):
        yield


_list_commands, _find_cache = cache(stage_commands), cache(find_cache)


def is_traced(results: CheckResults, trace: Trace) -> bool:
    """Whether a damage is named where `trace` says."""
    lines = (line for check in trace.checks if check in results for line in results.by_check[check].errors)
    return any(all(word in line for word in trace.words) for line in lines)


def measure_kinds(root: Path, seeds: Sequence[int], num_workers: int, kinds: Sequence[DamageKind]) -> list[KindResult]:
    """Do `kinds` of damage to copies of the round at `root`; kinds that it has nothing for are left out."""
    with tempfile.TemporaryDirectory(prefix="damaged.") as folder:
        if num_workers == 1:
            copy_round(root, Path(folder, "round"))
            results = [measure_kind(kind, Path(folder, "round"), seeds) for kind in progress(kinds, "damage")]
        else:
            with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn")) as pool:
                done = pool.map(_measure_in_copy, kinds, repeat(root), repeat(Path(folder)), repeat(seeds))
                results = list(progress(done, "damage", total=len(kinds)))
    return [result for result in results if result.counts["done"]]


def _measure_in_copy(kind: DamageKind, root: Path, folder: Path, seeds: Sequence[int]) -> KindResult:
    copy = folder / str(os.getpid())
    if not copy.exists():
        copy_round(root, copy)
    return measure_kind(kind, copy, seeds)


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
    results = measure_kinds(given.root.resolve(), range(given.seeds), given.num_workers, kinds)
    table = format_table(results)
    print("\n".join([*table, *(f"{result.kind.title}: {line}" for result in results for line in result.missed)]))
    if given.write:
        write_between(DOCS, MARKS, table)
    done, named = (sum(result.counts[name] for result in results) for name in ("done", "named"))
    return int(named < MIN_NAMED * done)
