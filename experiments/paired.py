"""``python -m experiments paired BEFORE AFTER``: how two evaluations of the same problems differ.

Both are reports of the stage evaluate (data/reports/evaluate/M1.json), also of two runs that share their problems.
"""

import argparse
import json
from pathlib import Path

from experiments.plot import PANELS
from experiments.summary_tables import format_header, format_row
from stages.common.errors import UserError
from stages.common.statistics import Bootstrap, compare_evaluations

BOOTSTRAP = Bootstrap(num_samples=10_000, seed=0)


def format_differences(before: Path, after: Path) -> str:
    """A table in Markdown, in percentage points; 95% intervals by the bootstrap over problems, with the same draws.

    Raises `UserError` for evaluations of different problems.
    """
    old, new = (json.loads(path.read_text(encoding="utf-8")) for path in (before, after))
    compared = compare_evaluations(old, new, BOOTSTRAP)
    if not compared:
        raise UserError(f"{after}: not the problems of {before}; name two evaluations of the same problems")
    lines = format_header(["after minus before, points [95% interval]", before.stem, after.stem, "difference"])
    for metric, title in PANELS.items():
        if (it := compared.get(metric)) is not None:
            interval = "" if it.low is None or it.high is None else f" [{100 * it.low:.1f}, {100 * it.high:.1f}]"
            cells = [f"{100 * it.before:.1f}", f"{100 * it.after:.1f}", f"{100 * it.difference:+.1f}{interval}"]
            lines.append(format_row([title, *cells]))
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments paired", description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    given = parser.parse_args(arguments)
    print(format_differences(given.before, given.after))
