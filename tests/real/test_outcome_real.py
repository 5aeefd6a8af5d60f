"""Verdicts on real golds and solutions; the disagreements named here are explained in docs/outcome.md."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from stages.common.verifiers import Verdict, verify_answers

REAL = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data"))
BENCHMARKS = ["math500", "amc23", "aime24"]


def real_rows(name: str) -> list[dict[str, Any]]:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"{path}: real data not here")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def verdicts(pairs: list[tuple[str, str]]) -> list[Verdict]:
    return list(verify_answers(pairs, num_workers=2))


def beside_others(golds: list[str], steps: tuple[int, ...]) -> list[tuple[str, str]]:
    """Each gold beside the golds of rows that lie `steps` further on, where those are other texts."""
    turned = [(gold, golds[(row + step) % len(golds)]) for step in steps for row, gold in enumerate(golds)]
    return [(gold, other) for gold, other in turned if gold != other]


def test_recorded_verdicts() -> None:
    rows = real_rows("recorded/math_100x8.jsonl")
    given = verdicts([(str(row["answer"]), solution) for row in rows for solution in row["solutions"]])
    recorded = [bool(value) for row in rows for value in row["recorded_correct"]]
    differing = [
        (v.gold, v.answer, v.is_correct) for v, value in zip(given, recorded, strict=True) if v.is_correct is not value
    ]
    assert len(given) == 800
    assert set(differing) == {
        ("10{,}000", "10000", True),  # the recorder's error
        ("4:30p..", r"4:30 \text{ p.m.}", None),  # a gold answer that is cut
    }
    assert sum(value is None for *_, value in differing) == 8


def test_cases_of_math_verify() -> None:
    rows = real_rows("answers/math_verify_cases.jsonl")
    given = verdicts([(str(row["gold"]), str(row["pred"])) for row in rows])
    differing = {
        (row["source"].split("::")[1], row["pred"])
        for v, row in zip(given, rows, strict=True)
        if (v.is_correct is True) is not bool(row["expected"])
    }
    assert len(rows) == 249
    assert differing == {
        ("test_complex_math_expressions", r"$\begin{pmatrix}0.33\\0.2 \end{pmatrix}$"),
        ("test_set_rel_assymetry", r"$-2 \\le x \\le 7$"),
    }


@pytest.mark.parametrize("name", BENCHMARKS)
def test_golds_of_benchmarks(name: str) -> None:
    rows = real_rows(f"benchmarks/{name}.jsonl")
    golds = [str(row["answer"]) for row in rows]
    assert [v for v in verdicts([(gold, gold) for gold in golds]) if v.is_correct is not True] == []
    solved = [(str(row["answer"]), str(row["solution"])) for row in rows if "solution" in row]
    assert [v for v in verdicts(solved) if v.is_correct is not True] == []
    others = verdicts(beside_others(golds, (1, 3)))
    assert {(v.gold, v.answer) for v in others if v.is_correct} <= {("5", "x=5")}
    assert sum(v.is_correct is None for v in others) <= 0.05 * len(others)


def test_golds_of_gsm8k() -> None:
    solutions = [str(row["answer"]) for row in real_rows("gsm8k/train.jsonl")]
    golds = [solution.split("####")[1].strip() for solution in solutions]
    assert [v for v in verdicts([(gold, gold) for gold in golds]) if v.is_correct is not True] == []
    assert [v for v in verdicts(list(zip(golds, solutions, strict=True))) if v.is_correct is not True] == []
    assert [v for v in verdicts(beside_others(golds, (1, 2))) if v.is_correct is not False] == []


def test_sentences_of_gsm8k() -> None:
    """Reference solutions without the line that states the answer: it is in their last sentence, as people write."""
    texts = [str(row["answer"]).split("####") for row in real_rows("gsm8k/train.jsonl")]
    given = verdicts([(gold.strip(), re.sub(r"<<.*?>>", "", text)) for text, gold in texts])
    assert sum(v.is_correct is True for v in given) >= 0.96 * len(given)
    assert sum(v.is_correct is False for v in given) <= 0.015 * len(given)


def test_placeholders_stand_where_their_source_says() -> None:
    """Golds that are no answer name a row that holds them, or say that they are a shape."""
    entries = json.loads(Path("stages/common/gold_answers/no_answers.json").read_text(encoding="utf-8"))
    cited = [entry for entry in entries if not entry["source"].startswith("shape: ")]
    for entry in cited:
        name, row = re.fullmatch(r"([\w/]+\.jsonl):(\d+)(?:, .*)?", entry["source"]).groups()  # type: ignore[union-attr]
        assert entry["text"].casefold() in json.dumps(real_rows(name)[int(row) - 1]).casefold().replace("\\\\", "\\")
    assert len(cited) >= 9
