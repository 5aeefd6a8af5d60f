"""The plan against DVC itself: the project's real graph and settings, with stand-ins for the stages' work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.dvc_lock import read_lock
from tools.dvc_recovery import prepare_repro
from tools.plan import Decision, Expected, decide, read_graph, render_decisions

FLOW = [
    "problems", "seed_model", "sample", "outcome", "select", "split", "judge", "dataset", "train", "evaluate", "report",
]  # fmt: skip

STAND_IN = '''
"""Writes a digest of the stage's own settings and of its inputs; the splitter's output depends on nothing."""
import hashlib, json, pathlib, sys
import yaml
name = pathlib.Path(__file__).parent.name
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
inputs = [path for flag, path in given.items() if flag not in ("--recipe", "--out", "--report")]
seen = [json.dumps(yaml.safe_load(open(given["--recipe"])).get(name))]
seen += [path.read_text() for folder in inputs for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()]
digest = "same" if name == "split" else hashlib.sha256("".join(seen).encode()).hexdigest()
out = pathlib.Path(given["--out"])
summary = ["index.html", "rounds.csv", "metrics.json", "plots/a.txt", "stages/a.json"]
files = summary if name == "report" else ["content.txt"]
for file in files:
    (out / file).parent.mkdir(parents=True, exist_ok=True)
    (out / file).write_text(digest)
if "--report" in given:
    pathlib.Path(given["--report"]).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(given["--report"]).write_text(json.dumps({"digest": digest}))
'''


def call(place: Path, *command: str) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=place, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def repro(place: Path) -> set[str]:
    """Run DVC; the stages that it really ran, whether by their command or out of its run-cache."""
    lines = call(place, sys.executable, "-m", "dvc", "repro").splitlines()
    return {
        line.split("'")[1]
        for line in lines
        if line.startswith("Running stage") or (line.startswith("Stage '") and "is cached" in line)
    }


def plan(place: Path, recipe: Path | None = None) -> dict[str, Decision]:
    stages = read_graph(place, recipe)
    lock = read_lock(place) if (place / "dvc.lock").is_file() else {}
    return {d.stage.name: d for d in decide(stages, lock, Expected(stages, place, recipe))}


def running(decisions: dict[str, Decision]) -> set[str]:
    return {name for name, decision in decisions.items() if decision.runs}


def changed(decisions: dict[str, Decision]) -> set[str]:
    return {name for name, decision in decisions.items() if decision.changes}


def edit(place: Path, path: str, value: Any) -> None:
    """Set the key at dotted `path` of params.yaml."""
    recipe = yaml.safe_load((place / "params.yaml").read_text(encoding="utf-8"))
    *parts, last = path.split(".")
    block = recipe
    for part in parts:
        block = block.setdefault(part, {})
    block[last] = value
    (place / "params.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")


def commit(place: Path) -> None:
    call(place, "git", "add", "-A")
    call(place, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "state", "--allow-empty")


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which the whole graph has run, with two rounds."""
    place = tmp_path_factory.mktemp("plan") / "repo"
    shutil.copytree("stages", place / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    for name in FLOW:
        shutil.rmtree(place / "stages" / name, ignore_errors=True)
        (place / "stages" / name).mkdir()
        (place / "stages" / name / "__main__.py").write_text(STAND_IN, encoding="utf-8")
    shutil.copytree("plugins", place / "plugins")
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore", "requirements.lock"):
        shutil.copyfile(name, place / name)
    edit(place, "rounds", {"M1": {"policy": "M0"}, "M2": {"policy": "M1"}})
    call(place, "git", "init", "-q")
    call(place, sys.executable, "-m", "dvc", "init", "-q")
    assert running(plan(place)) == {d.stage.name for d in plan(place).values()}, "nothing has run yet"
    assert {kind for d in plan(place).values() for kind, _ in d.changes} == {"new"}
    ran = repro(place)
    assert ran == set(plan(place))
    commit(place)
    return place


@pytest.fixture
def place(reproduced: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it for one test, sharing nothing."""
    target = tmp_path / "repo"
    shutil.copytree(reproduced, target, symlinks=True)
    yield target
    shutil.rmtree(target)


def test_nothing_runs_when_nothing_changed(place: Path) -> None:
    decisions = plan(place)
    assert running(decisions) == set()
    assert "Nothing to run: all 22 stages" in render_decisions(list(decisions.values()), "params.yaml", Path("work"))


def test_a_changed_setting_is_named_where_it_is_read(place: Path) -> None:
    edit(place, "train.beta", 1.0)
    decisions = plan(place)
    assert changed(decisions) == {"code", "params", "train@M1", "train@M2"}
    assert decisions["train@M1"].changes == (("param", "train.beta 5.0 -> 1.0"),)
    rest = {"problems", "seed_model", "evaluate_seed", "dataset@M1"}
    rest |= {f"{name}@M1" for name in ("sample", "outcome", "select", "split", "judge")}
    assert set(decisions) - running(decisions) == rest
    table = render_decisions(list(decisions.values()), "params.yaml", Path("work"))
    assert "train@M1       param: train.beta 5.0 -> 1.0\n" in table
    assert "Will not run: problems, seed_model, sample@M1, outcome@M1, select@M1, split@M1, " in table
    assert f"{len(running(decisions))} of 22 stages run at most (4 changed, " in table
    ran = repro(place)
    assert changed(decisions) <= ran <= running(decisions)
    assert running(plan(place)) == set()


def test_an_override_touches_its_round_and_what_follows(place: Path) -> None:
    edit(place, "rounds.M2.train", {"method": "kto"})
    decisions = plan(place)
    assert running(decisions) == {"code", "params", "train@M2", "evaluate@M2", "report"}
    assert decisions["train@M2"].changes == (("param", "train.method 'step_kto' -> 'kto'"),)
    assert decisions["evaluate@M2"].after == ("train@M2",)
    assert decisions["report"].changes[0][0] == "param"  # it tracks all rounds
    assert repro(place) == running(decisions)


@pytest.mark.slow
def test_an_override_that_says_what_is_so_already_runs_its_recipe_only(place: Path) -> None:
    edit(place, "rounds.M2.train", {"beta": 5.0})
    decisions = plan(place)
    assert running(decisions) == {"code", "params", "report"}
    assert repro(place) == running(decisions)


@pytest.mark.slow
def test_a_further_round_is_new_and_leaves_the_others(place: Path) -> None:
    edit(place, "rounds.M3", {"policy": "M2"})
    decisions = plan(place)
    assert running(decisions) == {f"{n}@M3" for n in FLOW[2:10]} | {"code", "params", "report"}
    assert decisions["train@M3"].changes == (("new", "has never run"),)
    assert repro(place) == running(decisions)


def test_a_docstring_or_comment_anywhere_runs_code_alone(place: Path) -> None:
    modules = [*place.glob("stages/*/*.py"), *place.glob("stages/common/**/*.py")]
    for path in modules:
        text = path.read_text(encoding="utf-8").replace('"""', '"""In other words: ', 1)
        path.write_text(text + "# A comment.\n", encoding="utf-8")
    assert len(modules) > 50
    assert running(plan(place)) == {"code"}
    assert repro(place) == {"code"}
    assert running(plan(place)) == set()


def test_changed_code_is_named_by_module_and_equal_output_stops_there(place: Path) -> None:
    with (place / "stages/split/__main__.py").open("a", encoding="utf-8") as file:
        file.write("ADDED = 1\n")
    with (place / "stages/judge/__main__.py").open("a", encoding="utf-8") as file:
        file.write("import stages.common.policies\n")
    decisions = plan(place)
    assert changed(decisions) == {"code", *(f"{name}@{key}" for name in ("split", "judge") for key in ("M1", "M2"))}
    assert decisions["split@M1"].changes == (("code", "stages.split.__main__"),)
    assert ("code", "stages.common.policies") in decisions["judge@M1"].changes
    assert decisions["outcome@M1"].after == ()
    ran = repro(place)
    assert changed(decisions) <= ran <= running(decisions)
    assert running(plan(place)) == set()


def test_a_changed_library_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (place / "stages/train/__main__.py").open("a", encoding="utf-8") as file:
        file.write("import transformers\n")
    repro(place)
    monkeypatch.setattr("stages.code.fingerprint._read_version", lambda library: f"{library} of tomorrow")
    assert plan(place)["train@M1"].changes == tuple(("code", name) for name in ("tokenizers", "torch", "transformers"))


@pytest.mark.slow
def test_code_whose_old_text_is_nowhere_is_named_by_its_file(place: Path) -> None:
    main = place / "stages/judge/__main__.py"
    committed = main.read_text(encoding="utf-8")
    main.write_text(committed + "FIRST = 1\n", encoding="utf-8")
    call(place, sys.executable, "-m", "dvc", "repro", "judge@M1")
    main.write_text(committed + "SECOND = 1\n", encoding="utf-8")
    call(place, sys.executable, "-m", "dvc", "repro", "code")
    assert plan(place)["judge@M1"].changes == (("code", "reports/code/judge.txt, whose old text is in no commit"),)


def test_missing_and_edited_outputs_and_inputs(place: Path) -> None:
    shutil.rmtree(place / "data/steps/M2")
    (place / "data/reports/train/M2.json").write_text("{}", encoding="utf-8")
    decisions = plan(place)
    assert decisions["split@M2"].changes == (("output", "data/steps/M2 missing"),)
    assert decisions["train@M2"].changes == (("output", "data/reports/train/M2.json changed"),)
    assert decisions["judge@M2"].after == ("split@M2",)
    assert not decisions["judge@M2"].changes, "the missing input is split's to make"
    assert not decisions["train@M1"].runs
    ran = repro(place)
    assert changed(decisions) <= ran <= running(decisions)


def test_input_remade_by_a_partial_run(place: Path) -> None:
    edit(place, "rounds.M2.outcome", {"timeout_s": 9.0})
    call(place, sys.executable, "-m", "dvc", "repro", "outcome@M2")
    decisions = plan(place)
    assert not decisions["outcome@M2"].runs
    assert decisions["dataset@M2"].changes == (("input", "data/outcomes/M2 changed"),)
    assert changed(decisions) <= repro(place) <= running(decisions)


def test_another_recipe_is_planned_without_touching_the_tree(place: Path) -> None:
    other = place / "other.yaml"
    recipe = yaml.safe_load((place / "params.yaml").read_text(encoding="utf-8"))
    recipe["rounds"] = {"M1": {"policy": "M0"}, "K1": {"policy": "M0", "train": {"method": "kto"}}}
    recipe["judge"]["num_votes"] = 3
    other.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    commit(place)
    planned = plan(place, other)
    assert call(place, "git", "status", "--porcelain") == ""
    assert "sample@M2" not in planned
    assert planned["judge@M1"].changes == (("param", "judge.num_votes 1 -> 3"),)
    assert planned["sample@K1"].changes == (("new", "has never run"),)
    assert not planned["sample@M1"].runs
    assert not planned["seed_model"].runs
    shutil.copyfile(other, place / "params.yaml")
    assert plan(place) == planned
    assert changed(planned) <= repro(place) <= running(planned)


@pytest.mark.slow
def test_a_changed_local_file_runs_its_stage(place: Path) -> None:
    (place / "mine.jsonl").write_text("one\n", encoding="utf-8")
    edit(place, "problems.reader", "files")
    edit(place, "problems.splits", {"validation": 0.1, "test": 0.1})
    edit(place, "problems.files", {"paths": ["mine.jsonl"]})
    repro(place)
    assert running(plan(place)) == set()
    (place / "mine.jsonl").write_text("two\n", encoding="utf-8")
    decisions = plan(place)
    assert changed(decisions) == {"params", "problems"}
    assert decisions["problems"].changes == (("file", "mine.jsonl changed"),)
    assert prepare_repro(place) == ["local files changed: mine.jsonl; stages that read them run again"]
    assert changed(decisions) <= repro(place) <= running(decisions)
    assert running(plan(place)) == set()


def test_a_recipe_with_faults_is_refused_by_name(place: Path) -> None:
    edit(place, "train.betta", 1.0)
    command = [sys.executable, "-P", "-m", "tools.cli", "plan"]  # the real stages, not the stand-ins in `place`
    for arguments, said in (
        ([], "params.yaml: train.betta: unknown key; did you mean beta?"),
        (["--recipe", "absent.yaml"], "error: absent.yaml: No such file or directory; check the path"),
    ):
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        done = subprocess.run(
            [*command, *arguments], cwd=place, env=environment, text=True, capture_output=True, check=False
        )
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_command_prints_the_plan_of_every_recipe(tmp_path: Path) -> None:
    rows = tmp_path / "completions.jsonl"  # what a recipe of recorded completions asks its user to bring
    rows.write_text(
        json.dumps({"problem": "1 + 1?", "solution": "\\boxed{2}", "answer": "2", "solutions": ["\\boxed{2}"]}) + "\n"
    )
    for recipe in sorted(Path("recipes").glob("*.yaml")):
        own = tmp_path / recipe.name
        own.write_text(recipe.read_text(encoding="utf-8").replace("data/recorded.jsonl", str(rows)), encoding="utf-8")
        shown = call(Path(), sys.executable, "-m", "tools.cli", "plan", "--recipe", str(own))
        assert f"with {own}" in shown
        assert "stages run at most" in shown
