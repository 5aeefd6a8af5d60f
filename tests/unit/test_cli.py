"""The command `stepkto`: its help is in the docs, and what a user gets wrong is one line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tools.cli import app


def call(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.cli", *words]
    return subprocess.run(command, text=True, capture_output=True, check=False)


def test_the_docs_hold_the_help_of_every_command() -> None:
    printed = CliRunner().invoke(app, ["docs"]).output
    assert Path("docs/cli.md").read_text(encoding="utf-8") == printed, "run `make docs`"
    for name in ("plan", "repro", "grade", "calibrate", "publish", "audit verify", "audit serve", "params show"):
        assert re.search(rf"^#+ `stepkto {name}`$", printed, flags=re.M)


@pytest.mark.parametrize("words", [(), ("audit",), ("params",)])
def test_a_command_without_words_shows_its_help(words: tuple[str, ...]) -> None:
    assert "Commands:" in CliRunner().invoke(app, [*words]).output


def test_grade_explains_a_verdict() -> None:
    lines = dict(
        line.split(maxsplit=1) for line in CliRunner().invoke(app, ["grade", r"\frac{1}{2}", "0.5"]).output.splitlines()
    )
    assert lines["is_correct"] == "True"
    assert lines["verifier"]
    negative = CliRunner().invoke(app, ["grade", r"-2\pi", r"-2\pi"])
    assert "is_correct       True" in negative.output


def test_an_unknown_task_is_one_line() -> None:
    done = call("grade", "1", "1", "--task", "maths")
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["error: unknown verifier kind 'maths'; did you mean math?"]


def test_an_invalid_recipe_is_one_line_with_the_nearest_key(tmp_path: Path) -> None:
    recipe = Path("recipes/smoke.yaml").read_text(encoding="utf-8")
    (tmp_path / "r.yaml").write_text(recipe.replace("\njudge:\n", "\njudge:\n  num_vote: 3\n"), encoding="utf-8")
    done = call("params", "check", str(tmp_path / "r.yaml"))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith("judge.num_vote: unknown key; did you mean num_votes?")


def test_publish_wants_a_round_or_a_model() -> None:
    done = CliRunner().invoke(app, ["publish", "--repo", "me/data"])
    assert done.exit_code == 2
    assert "either --round or --model" in done.output
