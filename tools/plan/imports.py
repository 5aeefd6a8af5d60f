"""What a stage's code imports, read from the source: the code that its entry in dvc.yaml must list.

``python -m tools.plan.imports`` prints that list for every stage of dvc.yaml.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import yaml

PACKAGE = "stages"
BY_FILE = f"{PACKAGE}.params"
"""A package listed file by file: a stage depends on its own block of settings, not on all of them."""


def find_module(name: str, root: Path = Path()) -> Path | None:
    """Source of module `name`, None where it is not below `root`."""
    base = root.joinpath(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def imported(name: str, root: Path = Path()) -> frozenset[str]:
    """Modules of this project that module `name` imports, at any depth of its source, with the packages they lie in.

    Imports under ``if TYPE_CHECKING`` are left out, since they do not happen.
    """
    path = find_module(name, root)
    if path is None:
        return frozenset()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in _statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            inside = _bound(source, root)
            found.update(source if alias.name in inside else f"{source}.{alias.name}" for alias in node.names)
    # `from a.b import c` may name module a.b.c or something else in a.b; either way every package above is run.
    names = {module.rsplit(".", cut)[0] for module in found for cut in range(module.count(".") + 1)}
    return frozenset(module for module in names if module.split(".")[0] == PACKAGE and find_module(module, root))


@cache
def reached(name: str, root: Path = Path()) -> frozenset[str]:
    """Every module that runs with ``python -m name``, itself included, followed through all imports."""
    start = f"{name}.__main__" if find_module(f"{name}.__main__", root) else name
    waiting, seen = [start, name], set()
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(imported(module, root))
    return frozenset(seen)


def needed_deps(module: str, root: Path = Path()) -> list[str]:
    """Code that a stage running `module` must list in dvc.yaml: its own folder, then folders and files by name."""
    own = module.replace(".", "/")
    units = {_unit(name, root) for name in reached(module, root) if _says_something(name, root)}
    return [own, *sorted(unit for unit in units if not f"{unit}/".startswith(f"{own}/"))]


def declared_modules(graph: Path = Path("dvc.yaml")) -> dict[str, str]:
    """``{entry of dvc.yaml: module that its command runs}``."""
    entries = yaml.safe_load(graph.read_text(encoding="utf-8"))["stages"]
    commands = {name: str(entry.get("do", entry)["cmd"]).split() for name, entry in entries.items()}
    return {name: words[words.index("-m") + 1] for name, words in commands.items()}


@cache
def _bound(name: str, root: Path) -> frozenset[str]:
    """Names that module `name` takes from others by ``from x import y``: these hide its submodules of the same name."""
    path = find_module(name, root) if name.split(".")[0] == PACKAGE else None
    nodes = ast.parse(path.read_text(encoding="utf-8")).body if path else []
    return frozenset(a.asname or a.name for node in nodes if isinstance(node, ast.ImportFrom) for a in node.names)


def _statements(tree: ast.AST) -> list[ast.AST]:
    """All nodes below `tree`, the bodies of ``if TYPE_CHECKING`` left out."""
    nodes: list[ast.AST] = []
    for child in ast.iter_child_nodes(tree):
        nodes.append(child)
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            nodes.extend(node for part in child.orelse for node in (part, *_statements(part)))
        else:
            nodes.extend(_statements(child))
    return nodes


def _unit(name: str, root: Path) -> str:
    """The file or folder by which dvc.yaml lists module `name`."""
    path = find_module(name, root)
    if path is None:
        raise ValueError(f"{name}: no such module")
    relative = path.relative_to(root)
    depth = 3 if name.startswith(f"{PACKAGE}.common") else 2
    whole = name.startswith(BY_FILE) or len(relative.parts) == depth
    return relative.as_posix() if whole else "/".join(relative.parts[:depth])


def _says_something(name: str, root: Path) -> bool:
    """Whether module `name` holds more than a docstring."""
    path = find_module(name, root)
    body = ast.parse(path.read_text(encoding="utf-8")).body if path else []
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


def main() -> None:
    for entry, module in declared_modules().items():
        print(f"{entry}:\n" + "\n".join(f"  - {path}" for path in needed_deps(module)))


if __name__ == "__main__":
    main()
