"""``python -m benchmarks.decontamination``: which problems overlap with MATH-500, AMC23 or AIME24, rightly or not.

A hit is right where the problem contains the evaluation problem; whether it does was read by hand, once for each hit
(tests/data/contamination_hits.json). A hit that nobody has read is counted apart.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from stages.common.params.problems import DecontaminationParams
from stages.common.raw_rows import read_objects
from stages.problems.contamination import EvaluationSet, read_evaluation_sets

BENCHMARKS = ("math500", "amc23", "aime24")
POOLS = ("gsm8k/train.jsonl", "numina/numina_math_cot.jsonl", "recorded/math_100x8.jsonl")
READ_HITS = Path("tests/data/contamination_hits.json")


def count_hits(
    data: Path, pool: str, evaluation: EvaluationSet, is_same: dict[tuple[str, str], bool]
) -> dict[str, int]:
    """Numbers of rows, and of hits that are right, wrong or not read, in file `pool` below `data`."""
    counts: Counter[str] = Counter()
    for location, row in read_objects(data / pool):
        counts["rows"] += 1
        overlap = evaluation.find_overlap(row.get("problem") or row["question"])
        if overlap is not None:
            line = location.rpartition(":")[2]
            benchmark, _, of_benchmark = Path(overlap.evaluation).name.partition(".jsonl:")
            verdict = is_same.get((f"{pool}:{line}", f"{benchmark}:{of_benchmark}"))
            counts[{True: "right", False: "wrong", None: "not read"}[verdict]] += 1
    return {name: counts[name] for name in ("rows", "right", "wrong", "not read")}


def main() -> None:
    """Print a table of the hits in each pool."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decontamination", description=(__doc__ or "").strip())
    parser.add_argument("data", type=Path, help="folder with benchmarks, gsm8k, numina and recorded")
    data = parser.parse_args().data
    files = [str(data / f"benchmarks/{name}.jsonl") for name in BENCHMARKS]
    params = DecontaminationParams(files=files)
    evaluation = read_evaluation_sets(params, {})
    assert evaluation is not None  # `params` names files
    rows = json.loads(READ_HITS.read_text(encoding="utf-8"))
    is_same = {(row["source"], row["evaluation"]): row["is_same"] for row in rows}
    print(f"{params.ngram}-grams of evaluation problems: {', '.join(BENCHMARKS)}")
    for pool in POOLS:
        counts = count_hits(data, pool, evaluation, is_same)
        print(f"{pool}: {', '.join(f'{count:,} {name}' for name, count in counts.items())}")


if __name__ == "__main__":
    main()
