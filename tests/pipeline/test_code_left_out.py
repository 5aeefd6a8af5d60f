"""The modules that stage `code` leaves out: each is changed, and every stage still writes the same bytes."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from stages.code.fingerprint import LEFT_OUT
from tests.support.clones import clone, run
from tools.dvc_lock import read_lock

pytestmark = pytest.mark.slow

RECIPES = ["smoke", "dry-run"]
"""The second has engines and a language model as judge, all of them mock."""


class Change(ast.NodeTransformer):
    """Other texts of errors, and twice every constant of a module that is a number: limits, timeouts, sizes."""

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                part.value = f"{part.value} (changed)"
        return node

    def visit_Module(self, node: ast.Module) -> ast.Module:
        self.generic_visit(node)
        for statement in node.body:
            value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
            if isinstance(value, ast.Constant) and type(value.value) in (int, float):
                value.value *= 2
        return ast.Module([*node.body, *ast.parse("CHANGED = 1").body], node.type_ignores)


def outputs(place: Path) -> dict[str, bytes]:
    """What the stages keep, but for the cards of policies."""
    paths = [path for top in ("data", "models") for path in sorted((place / top).rglob("*")) if path.is_file()]
    return {str(path.relative_to(place)): path.read_bytes() for path in paths if path.name != "README.md"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_stage_writes_the_same_bytes(recipe: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    place = tmp_path / "clone"
    if recipe == "smoke":
        shutil.copytree(request.getfixturevalue("smoke_made"), place, symlinks=True)
    else:
        clone(place, recipe)
        run(place, "dvc", "repro")
    before = outputs(place)
    lock = read_lock(place)
    for pattern in LEFT_OUT:
        for path in place.glob(f"stages/{pattern.replace('.', '/')}.py"):
            tree = Change().visit(ast.parse(path.read_text(encoding="utf-8")))
            path.write_text(ast.unparse(ast.fix_missing_locations(tree)), encoding="utf-8")
    for folder in ("data", "models", "work"):
        shutil.rmtree(place / folder, ignore_errors=True)
    for name in run(place, "dvc", "stage", "list", "--name-only").splitlines():
        if name != "report":
            run(place, *lock[name].command.split())
    assert len(before) > 20
    assert outputs(place) == before
