"""What a module imports, read from its source: modules of this project and libraries, at any depth."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_REFERENCE = re.compile(r"([A-Za-z_]\w*(?:\.\w+)+)(?::\w+)?")
"""A module named in a string: ``stages.judge.llm:LlmJudge`` in a registry, or a module started with ``python -m``."""


@dataclass(frozen=True)
class Imports:
    """What one module imports when it runs."""

    modules: frozenset[str]
    """Modules of this project, with the packages in which they lie."""
    libraries: frozenset[str]
    """Top-level names of all other packages."""


def find_module(name: str, root: Path = Path()) -> Path | None:
    """Source of module `name`, None if it is not below `root`."""
    base = root.joinpath(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def list_modules(package: str, root: Path = Path()) -> list[str]:
    """All modules below `package`, sorted."""
    paths = (path.relative_to(root).with_suffix("") for path in (root / package).rglob("*.py"))
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


@cache
def parse_module(name: str, root: Path = Path()) -> ast.Module:
    """The syntax tree of module `name`, empty if it is not below `root`."""
    path = find_module(name, root)
    return _parse_source(path.read_text(encoding="utf-8") if path else "")


@cache
def _parse_source(source: str) -> ast.Module:
    return ast.parse(source)


@cache
def read_imports(name: str, root: Path = Path(), loading: bool = False) -> Imports:
    """What module `name` imports at any depth of its source, but for ``if TYPE_CHECKING``, which never runs.

    A string that names a module of this project counts: registries and subprocesses import by name. With `loading` only
    what is imported while the module itself is.
    """
    path = find_module(name, root)
    package = name if path and path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in _walk(parse_module(name, root), not loading):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = _source(node, package)
            taken = _bound_names(source, root)
            found.update(source if alias.name in taken else f"{source}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not loading:
            reference = _REFERENCE.fullmatch(node.value)
            if reference and find_module(reference[1], root):
                found.add(reference[1])
    # `from a.b import c` may name module a.b.c or something else in a.b; either way every package above is run.
    names = {module.rsplit(".", cut)[0] for module in found for cut in range(module.count(".") + 1)}
    modules = frozenset(module for module in names if find_module(module, root)) - {name}
    tops = {module.split(".")[0] for module in found}
    return Imports(modules, frozenset(top for top in tops if not (root / top).is_dir() and not find_module(top, root)))


@cache
def trace_modules(name: str, root: Path = Path()) -> frozenset[str]:
    """Every module of this project that runs with ``python -m name``, itself included."""
    start = f"{name}.__main__" if find_module(f"{name}.__main__", root) else name
    pending, seen = [start, name], set()
    while pending:
        module = pending.pop()
        if module not in seen:
            seen.add(module)
            pending.extend(read_imports(module, root).modules)
    return frozenset(seen)


def forget_modules() -> None:
    """Read every source anew from here on."""
    for function in (parse_module, read_imports, trace_modules, _bound_names):
        function.cache_clear()


def find_origin(module: str, name: str, root: Path = Path()) -> tuple[str, str]:
    """The module and name under which the object that `module` calls `name` is made, through all re-exports."""
    path = find_module(module, root)
    package = module if path and path.name == "__init__.py" else module.rpartition(".")[0]
    for node in parse_module(module, root).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return find_origin(_source(node, package), alias.name, root)
    return module, name


def _source(node: ast.ImportFrom, package: str) -> str:
    """The module that a ``from`` statement of a module in `package` names."""
    base = package.rsplit(".", node.level - 1)[0] if node.level else ""
    return ".".join(part for part in (base, node.module) if part)


@cache
def _bound_names(name: str, root: Path) -> frozenset[str]:
    """Names that module `name` takes from others by ``from x import y``: these hide its submodules of the same name."""
    nodes = (node for node in parse_module(name, root).body if isinstance(node, ast.ImportFrom))
    return frozenset(alias.asname or alias.name for node in nodes for alias in node.names)


def _walk(tree: ast.AST, functions: bool) -> Iterator[ast.AST]:
    """All nodes below `tree`, but for the bodies of ``if TYPE_CHECKING``, and on demand of functions."""
    for child in ast.iter_child_nodes(tree):
        yield child
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for part in child.orelse:
                yield part
                yield from _walk(part, functions)
        elif functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _walk(child, functions)
