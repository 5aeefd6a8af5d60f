"""The README repeats measured rows, lists recipes, stages and make's targets: they are those that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from stages.common.params.recipe import read_recipe

README = Path("README.md").read_text(encoding="utf-8")
TREE = README[README.index("## What is where") :]


def test_measured_rows_are_those_of_the_experiment() -> None:
    measured = Path("docs/results/baselines.md").read_text(encoding="utf-8")
    toy = README[README.index("On toy arithmetic,") : README.index("## What is where")]
    rows = re.findall(r"^\| [^|]+ (\| \d.*\|)$", toy, flags=re.M)
    assert len(rows) == 2
    for row in rows:
        assert f"| Step-KTO {row}" in measured


def test_rows_of_the_real_model_are_those_of_its_page() -> None:
    page = Path("docs/results/smollm2.md").read_text(encoding="utf-8")
    real = README[README.index("## Results") : README.index("On toy arithmetic,")]
    rows = re.findall(r"^\| ([^|]+) (\|.*\d.*\|)$", real, flags=re.M)
    assert len(rows) == 6
    for title, row in rows:
        assert f"| {title.replace('answer, incorrect', 'answers with an incorrect')} {row}" in page


def test_every_recipe_is_listed() -> None:
    listed = re.findall(r"`([a-z0-9.-]+)`", "".join(re.findall(r"^\| (`.*?) \|", README, flags=re.M)))
    assert {path.stem for path in Path("recipes").glob("*.yaml")} <= set(listed)


def test_the_stages_are_listed_in_the_order_of_the_graph() -> None:
    graph = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    listed = [name for name in re.findall(r"^\| `(\w+)` \|", README, flags=re.M) if name in graph]
    assert listed == [name for name in graph if name not in ("code", "params", "evaluate_seed")]


@pytest.mark.parametrize("name", re.findall(r"`?make ([a-z][a-z-]*)`?(?=`|\s{2,}#)", README))
def test_every_make_target_exists(name: str) -> None:
    assert re.search(rf"^{name}:", Path("Makefile").read_text(encoding="utf-8"), flags=re.M)


def test_every_command_exists() -> None:
    commands = set(re.findall(r"^## `stepkto ([a-z ]+)`", Path("docs/cli.md").read_text(encoding="utf-8"), flags=re.M))
    commands |= set(
        re.findall(r"^### `stepkto ([a-z ]+)`", Path("docs/cli.md").read_text(encoding="utf-8"), flags=re.M)
    )
    named = re.findall(r"`stepkto ((?:audit |params )?[a-z]+)", README)
    assert named
    assert set(named) <= commands


def test_the_params_for_ones_own_model_are_a_valid_recipe(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(problems:.*?)```", README, flags=re.S)
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    read_recipe(tmp_path / "params.yaml")
    assert len(text.splitlines()) <= 15


@pytest.mark.parametrize("path", re.findall(r"\]\((?!https?://)([^)#]+)\)", README))
def test_every_link_leads_somewhere(path: str) -> None:
    assert Path(path).exists()


@pytest.mark.parametrize("path", re.findall(r"(?<![\w.])([a-z_]+(?:/|\.(?:py|yaml|md|lock))[\w./]*)", TREE))
def test_every_path_of_the_file_tree_exists(path: str) -> None:
    """Or is made by a run, and named in .gitignore for that."""
    if f"/{path}" in Path(".gitignore").read_text(encoding="utf-8").splitlines():
        return
    assert Path(path).exists() or any(Path(parent, path).exists() for parent in ("stages", "tools", "docs"))
