"""The shape of the code: the graph, the direction of imports, the size of modules, and names."""

from __future__ import annotations

import ast
import json
import os
import re
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from stages.code import list_stages
from stages.code.imports import find_module, find_origin, list_modules, parse_module, read_imports, trace_modules
from stages.common.params.block import KindParams
from stages.common.params.recipe import ROUND_BLOCKS, Recipe
from stages.common.registry import Registry, find_registry

FLOW = [
    "code", "params", "problems", "seed_model", "sample", "outcome", "select", "split", "judge", "dataset", "train",
    "evaluate",
    "report",
]  # fmt: skip
SHARED = "stages.common"
ASIDE = ["tools", "experiments", "benchmarks"]
"""Outside the flow: no stage imports these, and they may import everything."""

GRAPH = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
MODULES = list_modules("stages")
NAMES = json.loads(Path("tests/data/naming.json").read_text(encoding="utf-8"))
MAX_LINES = 300
MAX_MEDIAN_LINES = 90


def body(entry: str) -> dict[str, list[object]]:
    declared: dict[str, list[object]] = GRAPH[entry].get("do", GRAPH[entry])
    return declared


def command(entry: str) -> str:
    """The module that an entry of dvc.yaml runs."""
    words = str(body(entry)["cmd"]).split()
    return words[words.index("-m") + 1]


def tracked(entry: str) -> dict[str, list[str]]:
    """Keys tracked by an entry of dvc.yaml, by params file."""
    items = [item for item in body(entry)["params"] if isinstance(item, dict)]
    assert len(items) == len(body(entry)["params"]), "keys without a file are those of params.yaml"
    return {file: keys or [] for item in items for file, keys in item.items()}


def stage_of(module: str) -> str:
    """The stage that `module` belongs to, ``common`` for what is shared."""
    return (*module.split("."), "")[1]


def test_every_stage_of_the_flow_is_in_the_graph() -> None:
    stages = {module: name for name, module in {**list_stages(), "code": "stages.code"}.items()}
    assert list(dict.fromkeys(stages[command(entry)] for entry in GRAPH)) == FLOW
    assert sorted(stages.values()) == sorted(FLOW)


@pytest.mark.parametrize("entry", [entry for entry in GRAPH if entry != "code"])
def test_each_stage_depends_on_its_code(entry: str) -> None:
    stage = next(name for name, module in list_stages().items() if module == command(entry))
    assert [dep for dep in body(entry)["deps"] if str(dep).startswith("reports/code/")] == [f"reports/code/{stage}.txt"]
    assert not [dep for dep in body(entry)["deps"] if str(dep).startswith("stages")], "stage code reads the source"
    assert "stages" in body("code")["deps"]


@pytest.mark.parametrize("entry", [entry for entry in GRAPH if entry not in ("code", "params")])
def test_params_that_are_read_are_tracked_and_no_others(entry: str) -> None:
    folder = command(entry)
    own = [module for module in MODULES if f"{module}.".startswith(f"{folder}.")]
    prefix = "stages.common.params."
    blocks = {
        name.removeprefix(prefix) for module in own for name in read_imports(module).modules if name.startswith(prefix)
    }
    [(file, keys)] = tracked(entry).items()
    assert re.fullmatch(r"reports/params/(M0|\$\{key\})\.yaml", file), "no stage tracks params.yaml itself"
    tops = {key.split(".")[0] for key in keys}
    # `engine` and `prm` are no blocks of their own: they lie inside those of the stages that generate or judge.
    assert blocks - {"block", "recipe", "runtime", "engine", "prm"} <= tops, (
        f"{entry} reads params that it does not track"
    )
    reached = {name.removeprefix(prefix) for name in trace_modules(folder)} | {"seed", "rounds"}
    assert tops <= reached, f"{entry} tracks params that it never reads"
    assert "runtime" not in tops, "the machine's params must not change a result"
    reads_seed = any("load_seed" in Path(str(find_module(module))).read_text(encoding="utf-8") for module in own)
    assert reads_seed == ("seed" in tops), f"{entry}: load_seed and the tracked params disagree"


def test_what_a_round_may_override_is_a_block_of_the_recipe() -> None:
    assert set(ROUND_BLOCKS) < set(Recipe.model_fields)
    assert tracked("params") == {"params.yaml": []}


def test_imports_run_along_the_flow_and_by_the_public_face() -> None:
    errors = [
        error
        for package in ("stages", *ASIDE)
        for module in list_modules(package)
        for name in sorted(read_imports(module).modules)
        for error in find_import_errors(module, name)
    ]
    assert not errors, "\n".join(errors)


def find_import_errors(module: str, name: str) -> list[str]:
    """What is wrong with `module` importing `name`, if anything."""
    if module.split(".")[0] in ASIDE or name == "stages" or f"{name}.".startswith(f"{SHARED}."):
        return []
    if not name.startswith("stages."):
        return [f"{module} imports {name}, which is no stage"]
    if f"{module}.".startswith(f"{SHARED}."):
        return [f"{module} is shared and imports {name}"]
    own, other = stage_of(module), stage_of(name)
    if own == other or module == "stages":
        return []
    if FLOW.index(other) > FLOW.index(own):
        return [f"{module} imports {name}, which comes later in the flow"]
    return [f"{module} imports {name}, which is inside another stage"] if name != f"stages.{other}" else []


def test_import_errors_are_found() -> None:
    assert find_import_errors("stages.sample.draw", "stages.common.tables.ids") == []
    assert find_import_errors("stages.evaluate.evaluation", "stages.outcome") == []
    assert find_import_errors("tools.audit.verify.rows", "stages.outcome.inside") == []
    assert "inside" in find_import_errors("stages.evaluate.evaluation", "stages.outcome.extract")[0]
    assert "later" in find_import_errors("stages.sample.draw", "stages.judge")[0]
    assert "shared" in find_import_errors("stages.common.policies", "stages.train")[0]
    assert "no stage" in find_import_errors("stages.sample.draw", "tools.git")[0]


def test_no_circles() -> None:
    modules = {module for package in ("stages", *ASIDE) for module in list_modules(package)}
    edges = {module: list_loaded(module) & modules for module in modules}
    done: set[str] = set()
    while ready := {module for module in edges.keys() - done if edges[module] <= done}:
        done |= ready
    assert done == modules, f"these import each other: {sorted(modules - done)}"


def list_loaded(module: str) -> frozenset[str]:
    """What `module` imports while it is loaded, without the packages it lies in: those are being loaded around it."""
    around = {module.rsplit(".", cut)[0] for cut in range(1, module.count(".") + 1)}
    return read_imports(module, loading=True).modules - around


def test_modules_are_of_a_size_to_read() -> None:
    sizes = {
        module: len(Path(str(find_module(module))).read_text(encoding="utf-8").splitlines())
        for package in ("stages", "tools")
        for module in list_modules(package)
    }
    assert {module: size for module, size in sizes.items() if size > MAX_LINES} == {}
    assert statistics.median(sizes.values()) <= MAX_MEDIAN_LINES


def test_no_name_of_a_module_is_in_three_folders() -> None:
    folders = defaultdict(set)
    for module in (*MODULES, *list_modules("tools")):
        path = Path(str(find_module(module)))
        if not path.stem.startswith("__"):
            folders[path.stem].add(path.parent.as_posix())
    assert {name: sorted(where) for name, where in folders.items() if len(where) > 2} == {}


def list_names() -> list[tuple[str, str]]:
    """(name, where) of all that stages and tools define: functions, classes, arguments, variables, attributes."""
    found = []
    for module in (*MODULES, *list_modules("tools")):
        for node in ast.walk(parse_module(module)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.append((node.name, module))
            elif isinstance(node, ast.arg):
                found.append((node.arg, module))
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.append((node.id, module))
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.append((node.attr, module))
    return found


def test_names_are_made_of_the_fields_words() -> None:
    where = defaultdict(set)
    counts: Counter[str] = Counter()
    for name, module in list_names():
        for word in re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower().split("_"):
            counts[word] += 1
            where[word].add(module)
    banned = {word: sorted(where[word]) for word in NAMES["banned_words"] if word in where}
    assert not banned, f"words of CONTRIBUTING.md's glossary stand for these: {banned}"
    limits = NAMES["limited_words"]
    assert {word: counts[word] for word in limits if counts[word] > limits[word]} == {}


def test_functions_are_named_by_a_verb_and_no_bare_participle() -> None:
    bare = [
        f"{module}.{node.name}"
        for module in (*MODULES, *list_modules("tools"))
        for node in ast.walk(parse_module(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_bare_participle(node.name)
    ]
    assert not bare


def is_bare_participle(function: str) -> bool:
    name = function.strip("_")
    if function.startswith("__") or "_" in name or name in NAMES["allowed_functions"]:
        return False
    return name.endswith(("ed", "en")) or name in NAMES["participles"]


def test_participles_are_found() -> None:
    names = ("merged", "own", "read_reply", "open", "_written", "seed", "__len__")
    assert [name for name in names if is_bare_participle(name)] == ["merged", "own", "_written"]


def test_the_count_of_odd_words_beside_other_codebases() -> None:
    script = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data")).parent / "tools" / "words.py"
    if not script.is_file():
        pytest.skip("the words of other codebases are not here")
    done = subprocess.run([sys.executable, script], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def list_registries() -> dict[str, Registry[object]]:
    """Every registry of stages and tools by its module."""
    found = {}
    for module in (*MODULES, *list_modules("tools")):
        for node in parse_module(module).body:
            value = getattr(node, "value", None)
            if isinstance(value, ast.Call) and ast.unparse(value.func).split("[")[0] == "Registry":
                target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
                assert isinstance(target, ast.Name)
                found[module] = getattr(import_module(module), target.id)
    return found


@pytest.mark.parametrize(("module", "registry"), list_registries().items(), ids=list(list_registries()))
def test_every_kind_can_be_imported_and_is_traced(module: str, registry: Registry[object]) -> None:
    assert registry.kinds()
    for kind in registry.kinds():
        registry.get(kind)
    paths = {path.partition(":")[0] for path in registry._paths.values()}
    assert paths <= read_imports(module).modules


def test_params_name_the_kinds_that_are_registered() -> None:
    list_registries()
    for block in KindParams.__subclasses__():
        registry = find_registry(block.seam)
        if block.__module__.startswith("stages."):
            assert registry is not None, f"{block.__name__}: no registry {block.seam}"
            assert sorted(block.built_in) == sorted(registry._paths)


def test_the_import_reader_on_a_small_tree(tmp_path: Path) -> None:
    files = {
        "stages/__init__.py": '"""A docstring."""',
        "stages/a/__init__.py": "from stages.a.inner import thing",
        "stages/a/inner.py": "thing = 1",
        "stages/c/__init__.py": "from stages.c.grade import grade",
        "stages/c/grade.py": "import numpy\ndef grade(): ...",
        "stages/a/__main__.py": "from stages.c import grade\ndef f():\n    from stages import shared",
        "stages/shared.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from stages.b import x\n"
        "else:\n    import stages.params.one",
        "stages/b/__init__.py": "x = 1",
        "stages/params/__init__.py": '"""A docstring."""',
        "stages/params/one.py": "from . import two\nKINDS = Registry('k', {'three': 'stages.params.three:Three'})",
        "stages/params/two.py": "y = 1",
        "stages/params/three.py": "class Three: ...",
        "stages/params/four.py": "from stages.params.one import KINDS as K\nK.register('four', 4)",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    reached = trace_modules("stages.a", tmp_path)
    assert {"stages.shared", "stages.params.one", "stages.params.two", "stages.params.three"} <= reached
    assert not {"stages.b", "stages.params.four"} & reached
    assert "stages.c.grade" not in read_imports("stages.a.__main__", tmp_path).modules, "the function, not the module"
    assert "stages.c.grade" in reached
    assert read_imports("stages.c.grade", tmp_path).libraries == {"numpy"}
    assert "stages.shared" not in read_imports("stages.a.__main__", tmp_path, loading=True).modules
    assert find_origin("stages.params.four", "K", tmp_path) == ("stages.params.one", "KINDS")
