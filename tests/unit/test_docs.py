"""What the docs name exists: links, commands with their options, paths, modules, make's targets, params keys."""

from __future__ import annotations

import csv
import importlib
import re
import textwrap
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from stages.common.params.block import validate
from stages.common.params.engine import EngineParams
from stages.common.params.evaluate import EvaluateParams
from stages.common.params.recipe import Recipe, check_recipe, merge

PAGES = [
    *Path().glob("*.md"), *Path("docs").rglob("*.md"), *Path("recipes").glob("*.yaml"), Path("params.yaml"),
    *(Path(name, "README.md") for name in ("data", "models", "plugins", "tests/support/stand_in")),
]  # fmt: skip
HISTORY = ("CHANGELOG.md",)
"""Pages about the past: what they name may be gone."""

CLI = Path("docs/cli.md").read_text(encoding="utf-8")
OPTIONS = {
    title: set(re.findall(r"^\* `(?:-\w, )?(--[a-z-]+)", text, flags=re.M))
    for title, text in re.findall(r"^#+ `stepkto ([a-z ]+)`$(.*?)(?=^#|\Z)", CLI, flags=re.M | re.S)
}
"""Options of each command, by its words after `stepkto`."""
GROUPS = {title.split()[0] for title in OPTIONS if " " in title}

REPORT_KEYS = {"judge.human_labels"}
"""Keys of reports that look like params keys."""


def page(path: Path) -> Any:
    return pytest.param(path, id=str(path))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def find_code(text: str, is_recipe: bool = False) -> Iterator[str]:
    """Lines of code blocks and code spans; of a recipe, all its lines."""
    if is_recipe:
        yield from text.splitlines()
        return
    for block in re.findall(r"^```\w*\n(.*?)^```", text, flags=re.M | re.S):
        yield from block.splitlines()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose))


def read_code(path: Path) -> list[str]:
    return list(find_code(read(path), path.suffix == ".yaml"))


def make_anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def find_command_errors(lines: Iterable[str]) -> Iterator[str]:
    """What is wrong with the commands that `lines` name: unknown ones, and options that a command lacks."""
    for line in lines:
        for words, rest in re.findall(r"\bstepkto ((?:[a-z]+)(?: [a-z]+)?)([^|#;]*)", line):
            first = words.split()[0]
            name = words if first in GROUPS else first
            if name not in OPTIONS:
                yield f"stepkto {name}"
            else:
                unknown = [option for option in re.findall(r"--[a-z-]+", rest) if option not in OPTIONS[name]]
                yield from (f"stepkto {name} {option}" for option in unknown)


def find_missing_paths(lines: Iterable[str]) -> Iterator[str]:
    """Files and folders of the repository in `lines` that are not there; `my_...` and capitals stand for any name."""
    for line in lines:
        tops = r"stages|tools|tests|docs|recipes|experiments|benchmarks|plugins"
        for path in re.findall(rf"(?<![\w./*{{-])((?:{tops})/[\w./*-]*)", line):
            if not re.search(r"my_|[A-Z]{3}", path) and not list(Path().glob(path.rstrip("./"))):
                yield path


def find_missing_modules(lines: Iterable[str]) -> Iterator[str]:
    """Dotted names in `lines` that are neither a module of this project nor something in one."""
    for line in lines:
        for name in re.findall(r"(?<![\w./])((?:stages|tools|experiments|benchmarks)(?:\.\w+)+)", line):
            parent, _, last = name.rpartition(".")
            if re.search(r"my_|\.[A-Z]{3,}$|\.py$", name):
                continue
            if not _is_module(name) and not (_is_module(parent) and hasattr(importlib.import_module(parent), last)):
                yield name


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def find_missing_keys(lines: Iterable[str]) -> Iterator[str]:
    """Names in `lines` that begin like a key of the params (``train.beta``) and lead to none."""
    blocks = {name for name, field in Recipe.model_fields.items() if list(_find_blocks(field.annotation))}
    for line in lines:
        key = re.split(r"[:\s]", line)[0]
        is_key = re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)+", key) and key.split(".")[0] in blocks
        if is_key and key not in REPORT_KEYS and not _has_key(Recipe, key.split(".")):
            yield key


def _has_key(block: type[BaseModel], names: list[str]) -> bool:
    field = block.model_fields.get(names[0])
    if field is None or len(names) == 1:
        return field is not None
    inner = list(_find_blocks(field.annotation))
    return not inner or any(_has_key(each, names[1:]) for each in inner)


def _find_blocks(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in () if get_origin(annotation) is dict else get_args(annotation):
        yield from _find_blocks(each)


@pytest.mark.parametrize("path", map(page, PAGES))
def test_every_link_leads_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", read(path)):
        file = path.parent / target if target else path
        assert file.exists(), target
        assert not anchor or anchor in make_anchors(read(file)), f"{target}#{anchor}"


@pytest.mark.parametrize("path", map(page, PAGES))
def test_every_command_exists_with_its_options(path: Path) -> None:
    assert not list(find_command_errors(read_code(path)))


@pytest.mark.parametrize("path", map(page, [path for path in PAGES if path.name not in HISTORY]))
def test_every_path_module_and_params_key_exists(path: Path) -> None:
    lines = read_code(path)
    assert not [*find_missing_paths(lines), *find_missing_modules(lines)]
    assert path.suffix == ".yaml" or not list(find_missing_keys(lines))


def test_every_test_that_is_named_exists() -> None:
    defined = {
        name for path in Path("tests").rglob("*.py") for name in re.findall(r"^def (test_\w+)", read(path), re.M)
    }
    named = {line for path in PAGES for line in read_code(path) if re.fullmatch(r"test_\w+", line)}
    assert named
    assert named <= defined


def test_changes_between_rounds_are_those_of_the_reference_run() -> None:
    report = {row["round"]: row for row in csv.DictReader(read(Path("reports/rounds.csv")).splitlines())}
    metrics = {
        "Pass@1": "pass_at_1",
        "Pass@1 over 8": "avg_at_8",
        "Maj@8": "maj_at_8",
        "stepwise error": "stepwise_error",
    }
    rows = re.findall(r"^\| (M\d) against M\d \| ([^|]+) \| ([^|]+) \|", read(Path("docs/evaluation.md")), flags=re.M)
    assert len(rows) == 12
    for name, metric, shown in rows:
        ends = ("_change", "_change_low", "_change_high")
        change, low, high = (f"{100 * float(report[name][metrics[metric] + end]):+.1f}" for end in ends)
        assert shown.replace("\N{MINUS SIGN}", "-") == f"{change} ({low} to {high})", f"{name} {metric}"


def test_the_recipe_in_force_expects_the_numbers_of_the_reference_run() -> None:
    rows = list(csv.DictReader(read(Path("reports/rounds.csv")).splitlines()))
    pass_at_1, errors = ([f"{100 * float(row[name]):.1f}%" for row in rows] for name in ("pass_at_1", "stepwise_error"))
    expected = re.search(r"^# Expect: (.*)$", read(Path("params.yaml")), flags=re.M)
    assert expected
    assert re.findall(r"[\d.]+%", expected[1]) == [*pass_at_1, errors[0], errors[-1]]


@pytest.mark.parametrize("path", map(page, PAGES))
def test_every_target_of_make_exists(path: Path) -> None:
    named = {name for line in read_code(path) for name in re.findall(r"(?:^|&& |[$ ])make ([a-z-]+)\b", line)}
    assert named <= set(re.findall(r"^([a-z-]+):", read(Path("Makefile")), flags=re.M))


BLOCKS = [
    pytest.param(text, id=f"{path}:{number}")
    for path in PAGES
    if path.suffix == ".md"
    for number, text in enumerate(re.findall(r"^```yaml\n(.*?)^```", read(path), flags=re.M | re.S))
    if "plugins:" not in text
]


@pytest.mark.parametrize("text", BLOCKS)
def test_every_block_of_params_is_valid(text: str) -> None:
    filled = text.replace("revision: ...", f"revision: {'a' * 40}").replace('"..."', f'"{"0" * 64}"')
    params = yaml.safe_load(textwrap.dedent(filled))
    if "problems" in params:
        check_recipe(params, Path("params.yaml"))
    elif params.keys() <= Recipe.model_fields.keys():
        check_recipe(merge(yaml.safe_load(read(Path("recipes/smoke.yaml"))), params), Path("params.yaml"))
    elif params.keys() <= EvaluateParams.model_fields.keys():
        validate(EvaluateParams, params, "evaluate")
    else:
        validate(EngineParams, params.get("engine", params), "engine")


def test_what_is_wrong_is_found() -> None:
    lines = ["stepkto audit show ID --whole", "stepkto trace", "stepkto audit page --seed 1", "stepkto plan"]
    assert list(find_command_errors(lines)) == ["stepkto audit show --whole", "stepkto trace"]
    lines = ["see stages/sample/draw.py and stages/sample/", "tests/unit/test_my_judge.py", "tests/unit/*.py"]
    assert list(find_missing_paths(lines)) == ["stages/sample/draw.py"]
    lines = ["python -m stages.asked", "stages.judge.Judge", "stages.judge.said", "stages.common.tables"]
    assert list(find_missing_modules(lines)) == ["stages.asked", "stages.judge.said"]
    lines = ["train.beta", "train.tracker", "judge.llm.engine", "judge.llm.tries: 3", "evaluate.benchmarks.mine"]
    assert list(find_missing_keys(lines)) == ["train.tracker", "judge.llm.tries"]
