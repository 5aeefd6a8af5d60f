"""Two evaluations compared by problem, and the committed ones of the real model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.paired import format_differences
from stages.common.errors import UserError

EVALUATIONS = Path("docs/results/smollm2/evaluations")


def test_the_page_has_the_differences_of_the_committed_evaluations() -> None:
    page = Path("docs/results/smollm2.md").read_text(encoding="utf-8")
    for words, before, after in (
        ("Step-KTO M1 minus M0", "M0", "step_kto-M1"),
        ("Step-KTO M2 minus M0", "M0", "step_kto-M2"),
        ("Step-KTO M3 minus M0", "M0", "step_kto-M3"),
        ("KTO M2 minus M0", "M0", "kto-M2"),
        ("KTO M3 minus M0", "M0", "kto-M3"),
        ("RFT M1 minus M0", "M0", "rft-M1"),
        ("RFT M2 minus M0", "M0", "rft-M2"),
        ("RFT M3 minus M0", "M0", "rft-M3"),
        ("Step-KTO M1 minus KTO M1", "kto-M1", "step_kto-M1"),
        ("Step-KTO M2 minus KTO M2", "kto-M2", "step_kto-M2"),
        ("Step-KTO M3 minus KTO M3", "kto-M3", "step_kto-M3"),
        ("Step-KTO M1 minus RFT M1", "rft-M1", "step_kto-M1"),
        ("Step-KTO M2 minus RFT M2", "rft-M2", "step_kto-M2"),
        ("Step-KTO M3 minus RFT M3", "rft-M3", "step_kto-M3"),
    ):
        table = format_differences(EVALUATIONS / f"{before}.json", EVALUATIONS / f"{after}.json")
        cells = [line.split(" | ")[-1].removesuffix(" |") for line in table.splitlines()[2:]]
        assert f"| {words} | {' | '.join(cells)} |" in page


def test_evaluations_of_other_problems_are_refused(tmp_path: Path) -> None:
    other = json.loads((EVALUATIONS / "M0.json").read_text(encoding="utf-8"))
    other["by_problem"]["problems"] = "other"
    path = tmp_path / "other.json"
    path.write_text(json.dumps(other), encoding="utf-8")
    with pytest.raises(UserError, match=r"other.json: not the problems of .*M0.json"):
        format_differences(EVALUATIONS / "M0.json", path)
