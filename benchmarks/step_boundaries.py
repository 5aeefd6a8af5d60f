"""``python -m benchmarks.step_boundaries``: the splitter beside boundaries that people's reading gave (docs/steps.md).

Precision and recall of the boundaries in tests/data/step_boundaries.jsonl, over all texts of a part and by style; how
many steps are fragments; how many steps of ProcessBench are found in its texts; and the time of the slowest text.
"""

import argparse
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from stages.common.params.split import SplitParams
from stages.split import split_text
from stages.split.protect import Span, is_display, protected_spans

REFERENCE = Path("tests/data/step_boundaries.jsonl")
SOLUTIONS = ("recorded/math_100x8.jsonl", "numina/numina_math_cot.jsonl")
PROCESSBENCH = ("processbench/gsm8k.jsonl", "processbench/math.jsonl")

Splitter = Callable[[str], list[Span]]

_TITLE = re.compile(r"#{1,6} [^\n]*|(?:\*\*|__)[^\n]*(?:\*\*|__):?|[-*_]{3,}|step \d+[:.]?", re.IGNORECASE)
_LETTER = re.compile(r"[^\W_]")


@dataclass
class BoundaryCounts:
    """Boundaries found, marked, and both."""

    num_texts: int = 0
    found: int = 0
    marked: int = 0
    common: int = 0

    def add(self, found: set[int], marked: set[int]) -> None:
        """Count one text."""
        self.num_texts += 1
        self.found += len(found)
        self.marked += len(marked)
        self.common += len(found & marked)

    def describe(self) -> str:
        """Texts, marked boundaries, precision and recall, as cells of a table."""
        precision, recall = self.common / max(self.found, 1), self.common / max(self.marked, 1)
        return f"{self.num_texts:>6} {self.marked:>10} {precision:>10.3f} {recall:>8.3f}"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON Lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def list_texts(row: dict[str, Any]) -> list[str]:
    """The solutions in a row of one of the files that the reference names, several for recorded samples."""
    if "steps" in row:
        return ["\n\n".join(row["steps"])]
    if "solutions" in row:
        return list(row["solutions"])
    return [row.get("completion") or row.get("solution") or row["answer"]]


def read_reference(data: Path, part: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Rows of one part of the reference, with their texts; raises `ValueError` for a text that was not marked so."""
    files: dict[str, list[dict[str, Any]]] = {}
    for row in read_rows(REFERENCE):
        if row["part"] != part:
            continue
        name = row["file"]
        rows = files.setdefault(name, read_rows(Path(name) if name.startswith("tests/") else data / name))
        text = list_texts(rows[row["row"]])[row["sample"] or 0]
        if sha256(text.encode()).hexdigest() != row["sha256"]:
            raise ValueError(f"{REFERENCE}: {row['id']}: its text in {name} is not the one that was marked")
        yield row, text


def move_to_word(text: str, offsets: list[int]) -> set[int]:
    """Each offset moved past blank characters: where a line is indented, both of its beginnings are one boundary."""
    return {len(text) - len(text[at:].lstrip()) for at in offsets}


def measure_boundaries(split: Splitter, data: Path, part: str) -> dict[str, BoundaryCounts]:
    """Counts by style, and over all texts under ``all``."""
    counts: dict[str, BoundaryCounts] = defaultdict(BoundaryCounts)
    for row, text in read_reference(data, part):
        found = move_to_word(text, [start for start, _ in split(text)[1:]])
        marked = move_to_word(text, row["boundaries"])
        for name in (row["style"], "all"):
            counts[name].add(found, marked)
    return dict(sorted(counts.items()))


def name_fragment(text: str, span: Span) -> str | None:
    """Why a step states nothing that can be judged: a lead-in, a formula alone, or a heading; None if it may."""
    words = text[slice(*span)].strip()
    if words.endswith((":", "：")):
        return "lead-in"
    rest, at = "", 0
    displays = [each for each in protected_spans(words) if is_display(words, each)]
    for start, end in displays:
        rest, at = rest + words[at:start], end
    if displays and not _LETTER.search(rest + words[at:]):
        return "formula"
    return "heading" if _TITLE.fullmatch(words) and not re.match(r"####\s*-?[\d$]", words) else None


def find_processbench_steps(split: Splitter, data: Path, file: str) -> tuple[int, int]:
    """Steps of ProcessBench that are steps of the joined text again, and all."""
    total = same = 0
    for row in read_rows(data / file):
        text = list_texts(row)[0]
        found = {(start, start + len(text[start:end].rstrip())) for start, end in split(text)}
        at = 0
        for step in row["steps"]:
            same += (at, at + len(step.rstrip())) in found
            at += len(step) + 2
        total += len(row["steps"])
    return same, total


def time_slowest(split: Splitter, texts: list[str]) -> tuple[float, int]:
    """Milliseconds, the best of three, and characters of the text that takes longest."""

    def time_text(text: str) -> float:
        started = time.perf_counter()
        split(text)
        return 1000 * (time.perf_counter() - started)

    return max((min(time_text(text) for _ in range(3)), len(text)) for text in texts)


def report(split: Splitter, data: Path) -> Iterator[str]:
    """Lines to print."""
    for part in ("dev", "test"):
        yield f"{part:12}  texts boundaries  precision   recall"
        for style, counts in measure_boundaries(split, data, part).items():
            yield f"  {style:10} {counts.describe()}"
    texts = []
    for file in SOLUTIONS:
        own = [text for row in read_rows(data / file) for text in list_texts(row)]
        kinds = Counter(name_fragment(text, span) for text in own for span in split(text))
        fragments = {kind: count for kind, count in kinds.items() if kind}
        share = sum(fragments.values()) / kinds.total()
        yield f"{file}: {share:.1%} of {kinds.total():,} steps are fragments {fragments or ''}"
        texts += own
    for file in PROCESSBENCH:
        same, total = find_processbench_steps(split, data, file)
        yield f"{file}: {same / total:.1%} of {total:,} steps are found in the joined texts"
        texts += [text for row in read_rows(data / file) for text in list_texts(row)]
    slowest, num_chars = time_slowest(split, texts)
    yield f"slowest text: {slowest:.1f} ms ({num_chars:,} characters)"


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"), help="folder of real data")
    params = SplitParams()
    for line in report(lambda text: split_text(text, params), parser.parse_args().data):
        print(line, flush=True)


if __name__ == "__main__":
    main()
