"""What each rule of the maths verifier decides: `python -m benchmarks.verifier_ablation`.

Each rule is removed alone, and the cases that used it are compared again. A rule without a case that changes does not
stay.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stages.common.verifiers.math.compare import algebra_kinds, answers, comparer, evaluate, formula, resolve
from stages.common.verifiers.math.compare.algebra import check_formulas
from stages.common.verifiers.math.compare.answer_text import write_plainly
from stages.common.verifiers.math.compare.decision import compare_texts

DATA = Path(__file__).parents[1] / "tests" / "data"
TABLES: dict[str, dict[Any, Callable[..., Any]]] = {
    "reader": answers.READERS,
    "grammar": formula._ATOMS,
    "meaning": resolve._RULES,
    "comparison": comparer.RULES,
    "algebra": algebra_kinds.KIND_CHECKS,
    "value": evaluate._RULES,
}
"""The tables of rules."""

Rule = tuple[str, Any]
Pair = tuple[str, str]


def read_cases() -> list[Pair]:
    """Return the gold answers and answers of all stored cases, without boxes."""
    rows = json.loads((DATA / "outcome_pairs.json").read_text(encoding="utf-8"))
    rows += map(json.loads, (DATA / "outcome_kinds.jsonl").read_text(encoding="utf-8").splitlines())
    return list(dict.fromkeys((write_plainly(row["gold"]), write_plainly(row["answer"])) for row in rows))


def ablate(cases: list[Pair]) -> Iterator[tuple[Rule, int, Pair | None]]:
    """Yield each rule, the number of cases that use it, and the first that changes without it."""
    used: dict[Rule, list[Pair]] = defaultdict(list)
    verdicts = _trace(cases, used)
    for name, table in TABLES.items():
        for key in tuple(table):
            rule = table.pop(key)
            changed = next((pair for pair in used[name, key] if _compare(pair) is not verdicts[pair]), None)
            table[key] = rule
            yield (name, key), len(used[name, key]), changed


def _trace(cases: list[Pair], used: dict[Rule, list[Pair]]) -> dict[Pair, bool | None]:
    """Return the verdicts on all cases, and note in `used` which rules each case calls."""
    originals = {name: dict(table) for name, table in TABLES.items()}
    called: set[Rule] = set()
    for name, table in TABLES.items():
        for key, rule in originals[name].items():
            table[key] = _note(called, (name, key), rule)
    verdicts = {}
    for pair in cases:
        called.clear()
        verdicts[pair] = _compare(pair)
        for rule in called:
            used[rule].append(pair)
    for name, table in TABLES.items():
        table.update(originals[name])
    return verdicts


def _note(called: set[Rule], rule: Rule, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        called.add(rule)
        return function(*arguments)

    return call


def _compare(pair: Pair) -> bool | None:
    try:
        return compare_texts(*pair, check_formulas)[0]
    except Exception:  # noqa: BLE001 - as in the process for algebra
        return None


def main() -> None:
    found = list(ablate(read_cases()))
    for (name, key), count, changed in found:
        shown = " beside ".join(key) if isinstance(key, tuple) else key
        case = "no case changes" if changed is None else f"{changed[0]} | {changed[1]}"
        sys.stdout.write(f"{name:11} {shown:28} used by {count:5} cases; {case}\n")
    idle = sum(changed is None for *_, changed in found)
    sys.stdout.write(f"{len(found)} rules, {idle} of which change nothing when removed\n")


if __name__ == "__main__":
    main()
