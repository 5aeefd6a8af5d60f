"""The README repeats measured tables, lists recipes, stages and make's targets: they are those that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

README = Path("README.md").read_text(encoding="utf-8")
TREE = README[README.index("## What is where") :]


def test_the_table_of_methods_is_linked() -> None:
    assert "docs/results/methods.md" in README


def test_every_recipe_is_listed() -> None:
    listed = re.findall(r"`([a-z0-9.-]+)`", "".join(re.findall(r"^\| (`.*?) \|", README, flags=re.M)))
    assert {path.stem for path in Path("recipes").glob("*.yaml")} <= set(listed)


def test_the_stages_are_listed_in_the_order_of_the_graph() -> None:
    graph = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    listed = [name for name in re.findall(r"^\| `(\w+)` \|", README, flags=re.M) if name in graph]
    assert listed == [
        "problems",
        "seed_model",
        "sample",
        "split",
        "judge",
        "outcome",
        "dataset",
        "train",
        "evaluate",
        "report",
    ]


@pytest.mark.parametrize("name", re.findall(r"`?make ([a-z][a-z-]*)`?(?=`|\s{2,}#)", README))
def test_every_make_target_exists(name: str) -> None:
    assert re.search(rf"^{name}:", Path("Makefile").read_text(encoding="utf-8"), flags=re.M)


@pytest.mark.parametrize("path", re.findall(r"\]\((?!https?://)([^)#]+)\)", README))
def test_every_link_leads_somewhere(path: str) -> None:
    assert Path(path).exists()


@pytest.mark.parametrize("path", re.findall(r"(?<![\w.])([a-z_]+(?:/|\.(?:py|yaml|md|lock))[\w./]*)", TREE))
def test_every_path_of_the_file_tree_exists(path: str) -> None:
    assert Path(path).exists() or Path("stages", path).exists()
