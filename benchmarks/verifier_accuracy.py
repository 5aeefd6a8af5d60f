"""Precision and recall of the maths verifier beside plain math-verify, on sets of pairs with known verdicts."""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from importlib import metadata
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.docs_table import write_between
from benchmarks.verifier_pairs import AnswerPair, generate_equal, generate_unequal
from stages.common.tables import content_hash
from stages.common.verifiers import VerifierInput
from stages.common.verifiers.math import MathVerifier
from stages.common.verifiers.math.process.process_pool import ProcessPool

REAL_DATA = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data"))
TEST_DATA = Path("tests/data")
DOCS = Path("docs/outcome.md")
MARKS = ("<!-- bench-verify -->", "<!-- /bench-verify -->")
"""The table in `DOCS` stands between these lines."""

PLAIN_VERDICTS = Path("work/bench/math_verify.jsonl")
"""Verdicts of math-verify by a hash of its version, the gold answer and the completion."""

PLAIN_TIMEOUT_S = 6.0
"""Seconds after which a comparison by math-verify is ended; its own limit is one less for each text and comparison."""

_CHUNK_PAIRS = 200
"""Pairs after which verdicts are written down."""

Verdicts = Sequence[bool | None]
VerdictPair = tuple[bool | None, bool | None]
"""The verdict expected, and the one given."""

_get_expected, _get_given = itemgetter(0), itemgetter(1)


class LabelledPair(NamedTuple):
    """A gold answer, a completion, the verdict it should have (None: unknown), and its kind."""

    gold: str
    completion: str
    expected: bool | None
    kind: str = ""


class Accuracy(NamedTuple):
    """How verdicts agree with those expected; a fraction is None where nothing is counted."""

    true_precision: float | None
    true_recall: float | None
    false_precision: float | None
    false_recall: float | None
    unknown: float
    num_false_equal: int
    """Pairs called equal that are not, or whose gold is no answer."""


def measure(expected: Verdicts, given: Verdicts) -> Accuracy:
    """Return precision and recall of True and of False, and the fraction of unknown verdicts."""
    counts = Counter(zip(expected, given, strict=True))

    def divide(verdict: bool, of: Callable[[VerdictPair], bool | None]) -> float | None:
        total = sum(count for pair, count in counts.items() if of(pair) is verdict)
        return counts[verdict, verdict] / total if total else None

    return Accuracy(
        true_precision=divide(True, _get_given),
        true_recall=divide(True, _get_expected),
        false_precision=divide(False, _get_given),
        false_recall=divide(False, _get_expected),
        unknown=given.count(None) / max(1, len(given)),
        num_false_equal=counts[False, True] + counts[None, True],
    )


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of JSON lines or of one list; none where the file is not here."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(text) if text.startswith("[") else list(map(json.loads, text.splitlines()))
    return rows


def _read_golds(rows: list[dict[str, Any]]) -> list[LabelledPair]:
    """Golds beside their own solutions and beside the next golds that are other texts."""
    golds = [str(row["answer"]) for row in rows]
    own = [
        LabelledPair(str(row["answer"]), str(row["solution"]), True, "solution") for row in rows if "solution" in row
    ]
    beside = [
        LabelledPair(gold, rf"\boxed{{{other}}}", False, "neighbour")
        for step in (1, 3)
        for gold, other in zip(golds, golds[step:] + golds[:step], strict=True)
        if gold != other
    ]
    return own + beside


def _read_gsm8k(rows: list[dict[str, Any]]) -> list[LabelledPair]:
    split = [{"answer": row["answer"].split("####")[1].strip(), "solution": row["answer"]} for row in rows]
    return _read_golds(split)


def _read_processbench(rows: list[dict[str, Any]], golds: dict[str, str]) -> list[LabelledPair]:
    """Recorded completions of eight models with the recorded verdict on their final answer."""
    return [
        LabelledPair(
            golds[row["problem"].strip()],
            "\n\n".join(row["steps"]),
            bool(row["final_answer_correct"]),
            row["generator"],
        )
        for row in rows
        if row["problem"].strip() in golds
    ]


def _make_pairs(pairs: Iterable[AnswerPair], expected: bool) -> list[LabelledPair]:
    return [LabelledPair(pair.gold, rf"\boxed{{{pair.answer}}}", expected, pair.kind) for pair in pairs]


def read_sets(count: int) -> dict[str, list[LabelledPair]]:
    """Return the sets by name, `count` generated pairs of each kind; sets whose files are not here are left out."""
    gsm8k = _read_rows(REAL_DATA / "gsm8k/test.jsonl")
    golds = {row["question"].strip(): row["answer"].split("####")[1].strip() for row in gsm8k}
    sets = {
        "math-verify's own cases": [
            LabelledPair(str(row["gold"]), str(row["pred"]), bool(row["expected"]), row["source"])
            for row in _read_rows(REAL_DATA / "answers/math_verify_cases.jsonl")
        ],
        "own pairs": [
            LabelledPair(row["gold"], row["answer"], row["is_correct"], row.get("source", ""))
            for row in _read_rows(TEST_DATA / "outcome_pairs.json")
        ],
        "endings of completions": [
            LabelledPair(row["gold"], row["completion"], row["is_correct"], row["source"])
            for row in _read_rows(TEST_DATA / "outcome_endings.jsonl")
        ],
        "known faults": [
            LabelledPair(str(row["gold"]), row["answer"], row["expected"], row["kind"])
            for row in _read_rows(REAL_DATA / "faults/outcome.jsonl")
        ],
        "recorded MATH": [
            LabelledPair(str(row["answer"]), text, bool(value), "recorded")
            for row in _read_rows(REAL_DATA / "recorded/math_100x8.jsonl")
            for text, value in zip(row["solutions"], row["recorded_correct"], strict=True)
        ],
        "recorded GSM8K": _read_processbench(_read_rows(REAL_DATA / "processbench/gsm8k.jsonl"), golds),
        "golds of MATH-500, AMC23, AIME24": [
            pair
            for name in ("math500", "amc23", "aime24")
            for pair in _read_golds(_read_rows(REAL_DATA / f"benchmarks/{name}.jsonl"))
        ],
        "golds of GSM8K": _read_gsm8k(_read_rows(REAL_DATA / "gsm8k/train.jsonl")),
        "generated, unequal": _make_pairs(generate_unequal(count), expected=False),
        "generated, equal": _make_pairs(generate_equal(count), expected=True),
    }
    return {name: pairs for name, pairs in sets.items() if pairs}


def verify_pairs(pairs: list[LabelledPair], workers: int, timeout_s: float) -> Verdicts:
    """Return this project's verdicts."""
    with closing(MathVerifier(workers, timeout_s)) as verifier:
        return [
            verdict.is_correct
            for verdict in verifier.verify_many(VerifierInput(pair.gold, pair.completion) for pair in pairs)
        ]


def load_math_verify() -> Callable[[str, str], tuple[bool, str]]:
    """Return a function that gives math-verify's verdict, used as in its documentation; what it cannot parse is False.

    Runs in the processes of a `ProcessPool`, which ends those that math-verify's own time limit does not end.
    """
    import logging

    import math_verify

    logging.disable(logging.CRITICAL)
    seconds = int(PLAIN_TIMEOUT_S) - 1

    def parse(text: str) -> list[Any]:
        plain = partial(math_verify.parse, parsing_timeout=seconds)
        parsed: list[Any] = plain(text) or plain(f"${text}$")  # an answer alone, without delimiters
        return parsed

    def verify(gold: str, completion: str) -> tuple[bool, str]:
        first = parse(gold if "$" in gold or "\\boxed" in gold else f"${gold}$")
        return bool(math_verify.verify(first, parse(completion), timeout_seconds=seconds)), "math-verify"

    return verify


def verify_plain(pairs: list[LabelledPair], workers: int) -> Verdicts:
    """Return math-verify's verdicts; None where it takes more than `PLAIN_TIMEOUT_S` seconds or ends its process.

    Verdicts are appended to `PLAIN_VERDICTS`, so that a run which was stopped goes on, and other rules of ours are
    measured at once.
    """
    version = metadata.version("math-verify")
    texts = [(pair.gold, pair.completion) for pair in pairs]
    keys = {one: content_hash([version, PLAIN_TIMEOUT_S, *one]) for one in texts}
    known = {row["key"]: row["verdict"] for row in _read_rows(PLAIN_VERDICTS)}
    missing = [one for one, key in keys.items() if key not in known]
    PLAIN_VERDICTS.parent.mkdir(parents=True, exist_ok=True)
    with (
        closing(ProcessPool("benchmarks.verifier_accuracy:load_math_verify", workers, PLAIN_TIMEOUT_S)) as pool,
        PLAIN_VERDICTS.open("a", encoding="utf-8") as file,
    ):
        for start in range(0, len(missing), _CHUNK_PAIRS):
            waiting = [(keys[one], pool.submit(*one)) for one in missing[start : start + _CHUNK_PAIRS]]
            for key, pending in waiting:
                known[key] = pool.wait(pending)[0]
                file.write(json.dumps({"key": key, "verdict": known[key]}) + "\n")
            file.flush()
    return [known[keys[one]] for one in texts]


def _format_row(name: str, pairs: list[LabelledPair], ours: Accuracy, plain: Accuracy) -> str:
    def show(value: float | None) -> str:
        return "" if value is None else f"{100 * value:.1f}"

    cells = [name, f"{len(pairs):,}"]
    for field in ("true_precision", "true_recall", "false_precision", "false_recall"):
        cells += [show(getattr(ours, field)), show(getattr(plain, field))]
    cells += [str(ours.num_false_equal), str(plain.num_false_equal), show(ours.unknown)]
    return f"| {' | '.join(cells)} |"


_HEAD = (
    "| pairs (%) | number | precision of True | math-verify | recall of True | math-verify "
    "| precision of False | math-verify | recall of False | math-verify "
    "| called equal and are not | math-verify | unknown |",
    "|---|" + "---:|" * 12,
)


def bench(count: int, workers: int, timeout_s: float, only: str | None, show: int, is_plain: bool) -> list[str]:
    """Return the lines of the table; `show` pairs of each set with another verdict than expected are printed."""
    lines = list(_HEAD)
    for name, pairs in read_sets(count).items():
        if only and only not in name:
            continue
        expected = [pair.expected for pair in pairs]
        given = verify_pairs(pairs, workers, timeout_s)
        plain = verify_plain(pairs, workers) if is_plain else [None] * len(pairs)
        lines.append(_format_row(name, pairs, measure(expected, given), measure(expected, plain)))
        _print(lines[-1])
        _print_differences(pairs, given, show)
    return lines


def _print_differences(pairs: list[LabelledPair], given: Verdicts, show: int) -> None:
    differing = [(pair, verdict) for pair, verdict in zip(pairs, given, strict=True) if verdict is not pair.expected]
    if show:
        for kind, number in Counter((pair.kind, pair.expected, verdict) for pair, verdict in differing).most_common():
            _print(f"    {number} of kind {kind}")
    for pair, verdict in differing[:show]:
        row = {"gold": pair.gold, "answer": pair.completion[-200:], "expected": pair.expected, "verdict": verdict}
        _print("    " + json.dumps(row, ensure_ascii=False))


def write_table(lines: list[str], path: Path = DOCS) -> None:
    """Replace the table in `path` between `MARKS`."""
    write_between(path, MARKS, lines)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verifier_accuracy", description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000, help="generated pairs of each kind, equal and unequal")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS")
    parser.add_argument("--only", metavar="TEXT", help="only sets whose name holds this")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print N pairs of each set that differ")
    parser.add_argument("--no-plain", action="store_true", help="leave math-verify out")
    parser.add_argument("--write", action="store_true", help=f"write the table into {DOCS}")
    arguments = parser.parse_args()
    lines = bench(
        arguments.pairs, arguments.workers, arguments.timeout, arguments.only, arguments.show, not arguments.no_plain
    )
    if arguments.write:
        write_table(lines)


if __name__ == "__main__":
    main()
