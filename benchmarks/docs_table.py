"""Tables in docs that benchmarks write."""

from collections.abc import Sequence
from pathlib import Path


def write_between(path: Path, marks: tuple[str, str], lines: Sequence[str]) -> None:
    """Replace what stands between two lines of a file; raises `ValueError` where it lacks them."""
    before, _, rest = path.read_text(encoding="utf-8").partition(marks[0])
    _, mark, after = rest.partition(marks[1])
    if not mark:
        raise ValueError(f"{path}: expected the lines {marks[0]} and {marks[1]}")
    path.write_text("\n".join([f"{before}{marks[0]}", *lines, f"{marks[1]}{after}"]), encoding="utf-8")
