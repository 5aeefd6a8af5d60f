"""``python -m tests.support.recorded_math_round FOLDER``: the round whose damage docs/audit.md measures, committed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.support.clones import clone, commit, edit, run

RECORDED = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data"), "recorded/math_100x8.jsonl")


def make_recorded_math_round(place: Path) -> None:
    """Run two rounds on 60 problems of MATH in the new folder `place`: one judged by votes, one by a rule.

    The voter is a mock: it has no use here but to vote.
    """
    place.mkdir(parents=True, exist_ok=True)
    lines = RECORDED.read_text(encoding="utf-8").splitlines(keepends=True)
    lines.sort(key=lambda line: all(json.loads(line)["recorded_correct"]))  # problems with incorrect samples first
    (place / "sixty.jsonl").write_text("".join(lines[:60]), encoding="utf-8")
    clone(place, "recorded-math")
    edit(place, "problems", "files", "paths", ["sixty.jsonl"])
    edit(place, "sample", "engine", "recorded", "path", "sixty.jsonl")
    edit(place, "select", {"max_correct": 1, "max_incorrect": 1, "require_both": False, "balance": False})
    edit(place, "evaluate", "num_problems", 2)
    edit(place, "evaluate", "judge", {"kind": "arithmetic"})
    mock = {"error_rate": 0.2, "invalid_rate": 0.1}
    voter = {"engine": {"kind": "mock"}, "mock": mock, "model": "mock/judge", "temperature": 0.7}
    edit(place, "judge", {"kind": "llm", "num_votes": 3, "llm": voter})
    prompt = {"prompt": {"template": "Problem: {problem}\n"}}
    other = {"policy": "M0", "sample": prompt, "judge": {"kind": "arithmetic", "num_votes": 1}}
    edit(place, "rounds", {"M1": {"policy": "M0"}, "M2": other})
    run(place, "dvc", "repro")
    commit(place, "A round")


if __name__ == "__main__":
    make_recorded_math_round(Path(sys.argv[1]))
