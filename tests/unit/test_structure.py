"""The shape of the code: what dvc.yaml lists is what is imported, and imports run against the flow of data."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stages.common.params.recipe import ROUND_BLOCKS, Recipe
from tools.plan.imports import PACKAGE, declared_modules, find_module, imported, needed_deps, reached

FLOW = ["problems", "seed_model", "sample", "split", "judge", "outcome", "dataset", "train", "evaluate", "report"]
SHARED = [
    "records",
    "params",
    "journal",
    "provenance",
    "policies",
    "console",
    "cluster",
    "day_world",
    "llm",
    "statistics",
]
ASIDE = ["plan", "study", "audit", "publish"]
"""Outside the flow: no stage imports these, and they may look at everything."""

GRAPH = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
MODULES = declared_modules()
SOURCES = sorted(
    path.with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__") for path in Path(PACKAGE).rglob("*.py")
)


def body(entry: str) -> dict[str, list[object]]:
    declared: dict[str, list[object]] = GRAPH[entry].get("do", GRAPH[entry])
    return declared


def code_deps(entry: str) -> list[str]:
    return [str(dep) for dep in body(entry)["deps"] if str(dep).startswith(f"{PACKAGE}/")]


def tracked_keys(entry: str) -> list[str]:
    """Keys tracked by an entry of dvc.yaml, in whichever settings file."""
    keys: list[str] = []
    for item in body(entry)["params"]:
        keys.extend(key for part in item.values() for key in part) if isinstance(item, dict) else keys.append(str(item))
    return keys


def owner(module: str) -> str:
    """The stage or shared module that `module` belongs to."""
    return (*module.split("."), "")[1]


def covers(dep: str, module: str) -> bool:
    path = find_module(module)
    assert path is not None
    return f"{path.as_posix()}/".startswith(f"{dep}/")


def test_every_stage_of_the_flow_is_in_the_graph() -> None:
    assert (
        list(dict.fromkeys(m.removeprefix("stages.") for m in MODULES.values() if m != "stages.common.params")) == FLOW
    )


@pytest.mark.parametrize("entry", GRAPH)
def test_code_deps_are_what_is_imported(entry: str) -> None:
    declared, needed = code_deps(entry), needed_deps(MODULES[entry])
    ready = f"\n{entry} needs:\n" + "\n".join(f"      - {path}" for path in needed)
    missing = [path for path in needed if not any(f"{path}/".startswith(f"{dep}/") for dep in declared)]
    assert not missing, f"dvc.yaml does not list {missing} for {entry}{ready}"
    unreached = [dep for dep in declared if not any(covers(dep, module) for module in reached(MODULES[entry]))]
    assert not unreached, f"dvc.yaml lists {unreached} for {entry}, which never runs{ready}"
    assert len(set(declared)) == len(declared)


@pytest.mark.parametrize("entry", [entry for entry in GRAPH if entry != "recipe"])
def test_settings_that_are_read_are_tracked_and_no_others(entry: str) -> None:
    folder = MODULES[entry]
    blocks = {
        name.removeprefix("stages.common.params.")
        for module in SOURCES
        if module.startswith(f"{folder}.") or module == folder
        for name in imported(module)
        if name.startswith("stages.common.params.")
    }
    tracked = {key.split(".")[0] for key in tracked_keys(entry)}
    # `llm` is no block of its own: it lies inside those of the stages that ask.
    assert blocks - {"base", "recipe", "runtime", "llm"} <= tracked, f"{entry} reads settings that it does not track"
    through = {name.removeprefix("stages.common.params.") for name in reached(folder)} | {"seed", "rounds"}
    assert tracked <= through, f"{entry} tracks settings that it never reads"
    assert "runtime" not in tracked, "the machine's settings must not change a result"
    reads_seed = any(
        "load_seed" in Path(str(find_module(m))).read_text(encoding="utf-8")
        for m in SOURCES
        if m.startswith(f"{folder}.")
    )
    assert reads_seed == ("seed" in tracked), f"{entry}: load_seed and the tracked params disagree"


def test_the_resolver_tracks_every_block_that_a_round_may_override() -> None:
    keys = set(tracked_keys("recipe"))
    assert set(ROUND_BLOCKS) | {"seed", "records", "rounds.${key}"} == keys
    assert keys - {"rounds.${key}"} <= set(Recipe.model_fields)


def test_imports_run_against_the_flow_and_by_the_public_face() -> None:
    faults = [fault for module in SOURCES for name in sorted(imported(module)) for fault in import_faults(module, name)]
    assert not faults, "\n".join(faults)


def import_faults(module: str, name: str) -> list[str]:
    """What is wrong with `module` importing `name`, if anything."""
    own, other = owner(module), owner(name)
    if own in ASIDE or other in (own, "", *SHARED):
        return []
    if other not in FLOW:
        return [f"{module} imports {name}, which is neither shared nor a stage"]
    if own not in FLOW:
        return [f"{module} is shared and imports stage {name}"]
    if FLOW.index(other) > FLOW.index(own):
        return [f"{module} imports {name}, which comes later in the flow"]
    return [f"{module} imports {name}, which is inside another stage"] if name != f"{PACKAGE}.{other}" else []


def test_import_faults_are_found() -> None:
    assert import_faults("stages.sample.draw", "stages.common.tables.ids") == []
    assert import_faults("stages.evaluate.evaluate", "stages.outcome") == []
    assert "inside" in import_faults("stages.evaluate.evaluate", "stages.outcome.extract")[0]
    assert "later" in import_faults("stages.sample.draw", "stages.judge")[0]
    assert "shared" in import_faults("stages.common.policies", "stages.train")[0]
    assert "neither" in import_faults("stages.sample.draw", "experiments.arms")[0]


def test_no_circles() -> None:
    edges = {module: {name for name in imports_when_loaded(module) if name != module} for module in SOURCES}
    done: set[str] = set()
    while ready := {module for module in edges.keys() - done if edges[module] <= done}:
        done |= ready
    assert done == set(SOURCES), f"these import each other: {sorted(set(SOURCES) - done)}"


def imports_when_loaded(module: str) -> set[str]:
    """What `module` imports, without the packages it lies in: those are being loaded around it, by their own right."""
    around = {module.rsplit(".", cut)[0] for cut in range(1, module.count(".") + 1)}
    return {name for name in imported(module) if name not in around}


def test_the_import_reader_on_a_small_tree(tmp_path: Path) -> None:
    files = {
        "stages/__init__.py": '"""Says nothing."""',
        "stages/a/__init__.py": "from stages.a.inner import thing",
        "stages/a/inner.py": "thing = 1",
        "stages/c/__init__.py": "from stages.c.grade import grade",
        "stages/c/grade.py": "def grade(): ...",
        "stages/a/__main__.py": "from stages.c import grade\ndef f():\n    from stages import shared",
        "stages/shared.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from stages.b import x\n"
        "else:\n    import stages.common.params.one",
        "stages/b/__init__.py": "x = 1",
        "stages/common/params/__init__.py": '"""Says nothing."""',
        "stages/common/params/one.py": "from . import two",
        "stages/common/params/two.py": "y = 1",
        "stages/common/params/three.py": "z = 1",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert needed_deps("stages.a", tmp_path) == [
        "stages/a",
        "stages/c",
        "stages/common/params/one.py",
        "stages/common/params/two.py",
        "stages/shared.py",
    ]
    assert "stages.b" not in reached("stages.a", tmp_path)
    assert "stages.c.grade" not in imported("stages.a.__main__", tmp_path), "the function, not the module"
    assert "stages.c.grade" in reached("stages.a", tmp_path)
