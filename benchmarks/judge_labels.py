"""``python -m benchmarks.judge_labels``: rule judges against the first errors that people found (ProcessBench).

`arithmetic` on every part: its first "incorrect" of a solution, at or after people's first error. `reference` on the
GSM8K part, whose problems have reference solutions: its "correct" among the steps up to people's first error. Both
by halves: rules are chosen on the even rows, and the odd ones are held out. Then the rate of "incorrect" in texts that
are known to be correct, or nearly: reference solutions, and recorded solutions with the right answer.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.common.params.judge import JudgeParams
from stages.judge.labelling import make_judge
from stages.judge.step_labels import CompletionSteps, find_first_error

ANSWER_MARK = "####"
"""Separates GSM8K's solution from its answer."""

Rows = Sequence[dict[str, Any]]

HALVES = {"all": slice(None), "dev": slice(0, None, 2), "held out": slice(1, None, 2)}
"""Rows of a file by their number."""


@dataclass
class StepCounts:
    """Steps up to people's first error, by whether they are correct and whether the judge calls them correct."""

    counts: Counter[tuple[bool, bool]] = field(default_factory=Counter)

    @property
    def precision(self) -> float:
        """Fraction, 0 to 1, of the steps called correct that are."""
        return self.counts[True, True] / (self.counts[True, True] + self.counts[False, True])

    @property
    def coverage(self) -> float:
        """Fraction, 0 to 1, of the correct steps that are called so."""
        return self.counts[True, True] / (self.counts[True, True] + self.counts[True, False])


def measure_reference(data: Path, kind: str = "reference") -> dict[str, StepCounts]:
    """A judge on the halves of ProcessBench's GSM8K part, whose references are those of GSM8K's test set."""
    references = {row["question"].strip(): row["answer"] for row in _read_rows(data / "gsm8k/test.jsonl")}
    rows = list(_read_rows(data / "processbench/gsm8k.jsonl"))
    completions = []
    for number, row in enumerate(rows):
        reference, _, answer = references[row["problem"].strip()].partition(ANSWER_MARK)
        completions.append(_make_completion(number, row["problem"], row["steps"], reference, answer.strip()))
    rules = ["arithmetic", "reference"] if kind == "rules" else None
    labels = make_judge(JudgeParams(kind=kind, rules=rules), 0).label_steps(completions).labels
    measured = [StepCounts() for _ in rows]
    for number, row in enumerate(rows):
        end = len(row["steps"]) if row["label"] < 0 else row["label"] + 1
        for step, label in enumerate(labels[str(number)][:end]):
            measured[number].counts[row["label"] != step, label.is_correct is True] += 1
    return {half: StepCounts(sum((it.counts for it in measured[part]), Counter())) for half, part in HALVES.items()}


Alarms = list[tuple[int | None, int]]
"""Per solution: the first step that a judge calls incorrect, and people's first error, -1 where there is none."""


def find_alarms(rows: Rows) -> Alarms:
    """What the arithmetic judge finds in rows of ProcessBench."""
    completions = [_make_completion(number, row["problem"], row["steps"]) for number, row in enumerate(rows)]
    labels = make_judge(JudgeParams(kind="arithmetic"), 0).label_steps(completions).labels
    return [(find_first_error([it.is_correct for it in labels[str(n)]]), row["label"]) for n, row in enumerate(rows)]


def list_correct_texts(data: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Name of the source, problem and steps of texts below `data` that should hold no false equality."""
    for name in ("train", "test"):
        for row in _read_rows(data / f"gsm8k/{name}.jsonl"):
            yield f"gsm8k {name} references", row["question"], row["answer"].splitlines()
    for row in _read_rows(data / "numina/numina_math_cot.jsonl"):
        yield "numina references", row["problem"], row["solution"].split("\n\n")
    for row in _read_rows(data / "recorded/math_100x8.jsonl"):
        yield "recorded references", row["problem"], row["reference_solution"].split("\n\n")
        for solution, is_correct in zip(row["solutions"], row["recorded_correct"], strict=True):
            if is_correct:
                yield "recorded solutions with the right answer", row["problem"], solution.split("\n\n")
    for name in ("gsm8k", "math"):
        for row in _read_rows(data / f"processbench/{name}.jsonl"):
            if row["label"] < 0:
                yield f"processbench {name} without an error", row["problem"], row["steps"]


def count_alarms(texts: Iterable[tuple[str, str, list[str]]]) -> dict[str, Counter[str]]:
    """Texts, steps, and steps that the arithmetic judge calls incorrect, by source."""
    counts: dict[str, Counter[str]] = {}
    judge = make_judge(JudgeParams(kind="arithmetic"), 0)
    for name, problem, steps in texts:
        labels = judge.label_steps([_make_completion(0, problem, steps)]).labels["0"]
        alarms = sum(label.is_correct is False for label in labels)
        counts.setdefault(name, Counter()).update(texts=1, steps=len(steps), alarms=alarms)
    return counts


def compute_wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """The 95% interval of a fraction (Wilson, 1927); 0 to 1 where there is nothing."""
    z = 1.959964
    if not total:
        return 0.0, 1.0
    center = hits + z * z / 2
    width = z * (hits * (total - hits) / total + z * z / 4) ** 0.5
    return max(0.0, (center - width) / (total + z * z)), min(1.0, (center + width) / (total + z * z))


def _show_fraction(hits: int, total: int) -> str:
    low, high = compute_wilson_interval(hits, total)
    return f"{hits}/{total} = {hits / total:.3f} ({low:.3f} to {high:.3f})" if total else "0/0"


def _show_alarms(name: str, found: Alarms) -> str:
    errors = sum(error >= 0 for _, error in found)
    alarms = [(first, error) for first, error in found if first is not None]
    at_or_after = sum(0 <= error <= first for first, error in alarms)
    return (
        f"  {name}: {len(found)} solutions, {errors} with an error; precision at or after it "
        f"{_show_fraction(at_or_after, len(alarms))}, "
        f"recall {_show_fraction(sum(first == error for first, error in alarms), errors)}"
    )


def _make_completion(
    number: int, problem: str, steps: Sequence[str], reference: str = "", answer: str = ""
) -> CompletionSteps:
    texts = tuple(f"{step}\n\n" for step in steps)
    return CompletionSteps(str(number), str(number), problem, reference, texts, answer)


def _read_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge_labels", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with processbench, gsm8k, numina and recorded")
    data: Path = parser.parse_args().data
    print("arithmetic: the first incorrect step of a solution, beside people's first error (95% intervals)")
    for file in sorted((data / "processbench").glob("*.jsonl")):
        rows = list(_read_rows(file))
        found = find_alarms(rows)
        for half, part in HALVES.items():
            print(_show_alarms(f"{file.stem}, {half}", found[part]))
        for generator in sorted({row["generator"] for row in rows}):
            of_generator = [it for it, row in zip(found, rows, strict=True) if row["generator"] == generator]
            print(_show_alarms(f"{file.stem}, {generator}", of_generator))
    for kind in ("reference", "rules"):
        print(f"{kind}: gsm8k: steps called correct, up to people's first error (95% intervals)")
        for half, measured in measure_reference(data, kind).items():
            counts = measured.counts
            called = counts[True, True] + counts[False, True]
            print(
                f"  {half}: precision {_show_fraction(counts[True, True], called)}, "
                f"coverage {_show_fraction(counts[True, True], counts[True, True] + counts[True, False])}"
            )
    print("arithmetic: steps called incorrect in texts that should hold no false equality")
    for name, it in count_alarms(list_correct_texts(data)).items():
        print(f"  {name}: {it['texts']} texts, {it['alarms']} of {it['steps']} steps")


if __name__ == "__main__":
    main()
