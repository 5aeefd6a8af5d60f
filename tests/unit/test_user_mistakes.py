"""What a user can do wrong, by the command that meets it: one line that names the thing and the hint; bugs do not."""

from __future__ import annotations

import errno
import json
import os
import resource
import runpy
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.common import console, plugins
from stages.common.errors import explain_system_error
from tests.support.fault_server import fault_server

ROOT = Path(__file__).resolve().parents[2]
CASES = [json.loads(line) for line in (ROOT / "tests/data/user_mistakes.jsonl").read_text().splitlines()]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with the smoke recipe, offline, without keys."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "recipes/smoke.yaml", "params.yaml")
    shutil.copy(ROOT / "dvc.yaml", "dvc.yaml")
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "HF_TOKEN", "STEPKTO_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(console, "die_with_parent", lambda: None)
    monkeypatch.setattr(plugins, "IMPORTED", [])
    monkeypatch.setattr(sys, "path", list(sys.path))


def edit(changes: dict[str, Any]) -> None:
    """Set keys of params.yaml, named by their path."""
    recipe = yaml.safe_load(Path("params.yaml").read_text())
    for path, value in changes.items():
        *blocks, key = path.split(".")
        block = recipe
        for name in blocks:
            block = block.setdefault(name, {})
        block[key] = value
    Path("params.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))


def run(command: list[str]) -> int:
    """Run ``stepkto`` or a stage in this process, as the shell would; returns the exit code."""
    module = "tools.cli" if command[0] == "stepkto" else f"stages.{command[0]}"
    arguments = list(sys.argv)
    sys.argv = [command[0], *command[1:]]
    try:
        sys.modules.pop(f"{module}.__main__", None)
        sys.modules.pop("tools.cli", None)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
            return 1
        return error.code or 0
    finally:
        sys.argv = arguments
    return 0


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_mistake_is_one_line_that_names_the_cure(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, text in case.get("files", {}).items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(text.encode("latin-1"))
    with ExitStack() as stack:
        replacements = {}
        if "server" in case:
            url = stack.enter_context(fault_server(**case["server"]))
            replacements |= {"URL": url, "PLAIN": url.removeprefix("http://")}
        taken = stack.enter_context(socket.socket())
        taken.bind(("127.0.0.1", 0))
        if "listen" in case:
            taken.listen()
        replacements["PORT"] = str(taken.getsockname()[1])
        replacements["ROOT"] = str(ROOT)
        for before in case.get("before", []):
            subprocess.run(before, check=True, capture_output=True)
        if case.get("edit"):
            edit(case["edit"])
        for name, value in case.get("environment", {}).items():
            monkeypatch.setenv(name, fill(value, replacements))
        stack.enter_context(restrict(case))
        code = run([fill(word, replacements) for word in case["command"]])
    shown = capsys.readouterr().err
    lines = [line for line in shown.splitlines() if line]
    assert code in (1, 2), shown
    assert len(lines) == 1, shown
    assert lines[0].startswith("error: "), shown
    for text in case["expected"]:
        assert text in lines[0], shown


@contextmanager
def restrict(case: dict[str, Any]) -> Iterator[None]:
    """The limits of `case`: the largest file, and a folder in which nobody may write, not even the superuser."""
    user, limits = os.geteuid(), resource.getrlimit(resource.RLIMIT_FSIZE)
    if "locked" in case:
        Path.cwd().chmod(0o777)
        for parent in Path.cwd().parents[:3]:  # pytest's own, for its user alone
            parent.chmod(parent.stat().st_mode | 0o111)
        Path(case["locked"]).mkdir(mode=0o555)
    try:
        if "locked" in case and user == 0:
            os.seteuid(65534)
        if "max_file_bytes" in case:
            resource.setrlimit(resource.RLIMIT_FSIZE, (case["max_file_bytes"], limits[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        os.seteuid(user)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_what_the_system_refuses_is_named_whatever_library_meets_it(number: int) -> None:
    text = os.strerror(number)
    for error in (OSError(number, text, "data/x"), RuntimeError(f"IO: {text} (os error {number})")):
        line = explain_system_error(error)
        assert line is not None
        assert text in line
        assert "; " in line
    with pytest.raises(OSError, match="No space left") as caught, Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"x")
    line = explain_system_error(caught.value)
    assert line is not None
    assert line.startswith(f"{Path.cwd()} or /")
    assert explain_system_error(ValueError("a bug")) is None


def fill(text: str, replacements: dict[str, str]) -> str:
    for name, value in replacements.items():
        text = text.replace(f"${name}", value)
    return text


INPUTS = {
    "code": ("stages.code.describe_code", "recipe out"),
    "common.params": ("stages.common.params.recipe.resolve", "recipe out"),
    "problems": ("stages.problems.problem_table.build_problems", "recipe out report"),
    "seed_model": ("stages.seed_model.seed_policy.write_seed_policy", "recipe out report"),
    "sample": ("stages.common.policies.read_policy", "recipe problems policy out report"),
    "select": ("stages.common.tables.read_shard", "recipe samples outcomes out report"),
    "split": ("stages.common.tables.read_shard", "recipe samples selections out report"),
    "judge": ("stages.judge.labelling.open_judge", "recipe problems samples steps out report"),
    "outcome": ("stages.outcome.stage.verify_round", "recipe problems samples out report"),
    "dataset": (
        "stages.dataset.training_files.build_dataset",
        "recipe problems samples outcomes selections steps labels out report",
    ),
    "train": ("stages.common.policies.read_policy", "recipe dataset policy out report"),
    "evaluate": ("stages.evaluate.evaluation_params.load_params", "recipe problems policy out report"),
    "report": ("stages.report.write_report", "recipe stages out"),
}
"""Of each stage, a function in which a bug is planted, and the stage's options."""


@pytest.mark.parametrize("stage", INPUTS)
@pytest.mark.parametrize("bug", [TypeError("unsupported operand type(s)"), ValueError("too many values to unpack")])
def test_a_bug_in_a_stage_keeps_its_traceback(
    stage: str, bug: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def plant(*_: Any, **__: Any) -> None:
        raise bug

    function, options = INPUTS[stage]
    monkeypatch.setattr(function, plant)
    edit({"train.method": "none"})
    words = [word for name in options.split() for word in (f"--{name}", "params.yaml" if name == "recipe" else name)]
    assert run([stage, *words]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback (most recent call last):")
    assert "in plant" in shown
    assert f"{type(bug).__name__}: {bug}" in shown
    assert shown.splitlines()[-1] == console.BUG_LINE


PLUGIN = """
from stages.judge import JUDGES
from stages.judge.rules.rule_judge import RuleJudge

class UnevenJudge(RuleJudge):
    description = "a rule"

    def apply_rule(self, completion):
        first, second = completion.steps
        return []

JUDGES.register("uneven", UnevenJudge)
"""


def test_a_bug_in_a_plugin_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    Path("uneven.py").write_text(PLUGIN)
    Path("labels.jsonl").write_text('{"id": "a", "problem": "2?", "steps": ["1", "2", "3"], "label": -1}\n')
    edit({"plugins": ["uneven"], "judge.kind": "uneven"})
    assert run(["stepkto", "calibrate", "--recipe", "params.yaml", "labels.jsonl"]) == 1
    shown = capsys.readouterr().err
    assert "uneven.py" in shown
    assert "too many values to unpack" in shown
    assert shown.splitlines()[-1] == console.BUG_LINE


def test_an_interrupted_command_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stages.report.write_report", interrupt)
    assert run(["report", "--recipe", "params.yaml", "--stages", "s", "--out", "out"]) == 130
    assert capsys.readouterr().err == (
        "error: interrupted; what is finished is kept: run the same command again to continue\n"
    )
