"""What each stage's bytes depend on in code, as text: one line per module, data file and library."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from stages.code.imports import find_module, find_origin, forget_modules, parse_module, read_imports, trace_modules

PACKAGE = "stages"
PARAMS = "stages.common.params"
"""The one stage outside the folders of stages; it reads the blocks of all plugins."""

HASH_DIGITS = 16

LEFT_OUT = {
    "common.cluster": "reaches a Ray cluster",
    "common.console": "shows progress and errors",
    "common.engines.concurrency": "how many requests are under way, and in which order they end",
    "common.engines.journal_writer": "when completions reach the disk",
    "common.engines.retry_policy": "when a failed request is sent again",
    "common.engines.server_process": "starts a server and ends it",
    "common.engines.server_supervisor": "ends a server whose stage died",
    "common.engines.servers": "where servers are",
    "common.lock_copy": "copies dvc.lock",
    "common.journal": "keeps finished work: a row is the same from the journal or made again",
    "common.logs": "where a stage's words go",
    "common.plugins": "imports plugins, which count themselves",
    "common.progress": "shows progress",
    "common.registry": "looks a kind up; the tables of kinds lie elsewhere",
    "common.runs": "facts of a run, which are no results",
    "common.training.checkpoints": "a resumed training ends in the same weights",
    "common.training.metrics_callback": "shows progress and keeps metrics with the run",
    "common.training.silence": "which warnings of libraries are shown",
    "common.trained_models": "keeps finished training: a model is the same from there or trained again",
    "train.launch": "starts the processes of a training",
    "train.policy_card": "the words of the card, which the policy's hash leaves out",
}
"""Modules below `stages` (or patterns of them) that cannot change a stage's bytes, each with the reason.

tests/pipeline/test_code_left_out.py changes all of them and sees the same bytes.
"""

LIBRARIES = {
    "accelerate": "how a training is sharded, and in which order it sums",
    "jinja2": "prompts and pages",
    "mpmath": "comparison of answers",
    "numpy": "resampling",
    "polars": "order and type of rows, Parquet files",
    "pyarrow": "Parquet files",
    "sympy": "comparison of answers",
    "tokenizers": "tokens",
    "torch": "floats",
    "transformers": "generation, tokens, models",
    "trl": "training",
}
"""Libraries whose version may change a stage's bytes, by import name, each with what it decides.

Only those that every installation has: an optional one (peft, vllm) would make every model stale once it is installed.
"""

BENEATH = {
    "transformers": ("tokenizers", "torch"),
    "trl": ("accelerate", "transformers"),
}
"""Libraries that another one works with, so that whoever imports it depends on them too."""

READS_ONLY = {"train": ("polars", "pyarrow")}
"""Libraries that do not count for a stage: it reads tables and writes none."""


def list_stages(root: Path = Path()) -> dict[str, str]:
    """``{stage: the module that its command runs}``, this stage left out."""
    folders = sorted(path.parent.name for path in (root / PACKAGE).glob("*/__main__.py"))
    return {"params": PARAMS, **{name: f"{PACKAGE}.{name}" for name in folders if name != "code"}}


def describe_code(plugins: list[str], root: Path = Path()) -> dict[str, str]:
    """``{stage: text}``, a line for all that the stage's bytes depend on; `plugins` are those of the recipe.

    A module is known by its syntax tree without comments and docstrings, a data file by its bytes, a library by its
    version. Libraries that are not installed have no line.
    """
    forget_modules()
    return {
        stage: _describe_modules(
            {*trace_modules(module, root), *_trace_plugins(plugins, module, root)}, READS_ONLY.get(stage, ()), root
        )
        for stage, module in list_stages(root).items()
    }


def list_changed_libraries(texts: Iterable[str]) -> list[str]:
    """Libraries whose version is not the one in `texts` of `describe_code`, as ``"torch 2.12.0 -> 2.13.0"``."""
    lines = {line for text in texts for line in text.splitlines() if line.partition(" ")[0] in LIBRARIES}
    pairs = [(name, then, _read_version(name)) for name, _, then in (line.partition(" ") for line in sorted(lines))]
    return [f"{name} {then} -> {now or 'none'}" for name, then, now in pairs if now != then]


def list_changed_code(texts: Iterable[str], root: Path = Path()) -> list[str]:
    """Modules and data files in `texts` of `describe_code` that are others now or gone, as paths relative to `root`.

    Comments, docstrings, and files that no stage's bytes depended on then, are in no such text.
    """
    forget_modules()
    changed = []
    for name, _, digest in sorted({line.partition(" ") for text in texts for line in text.splitlines()}):
        if "/" in name and _hash_data(root / name) != digest:
            changed.append(name)
        elif name not in LIBRARIES and all(part.isidentifier() for part in name.split(".")):
            path = find_module(name, root)
            if path is None or _try_hash_module(name, root) != digest:
                changed.append(path.relative_to(root).as_posix() if path else f"{name.replace('.', '/')}.py")
    return changed


def _describe_modules(modules: set[str], spared: tuple[str, ...], root: Path) -> str:
    deciding = sorted(
        name for name in modules if not any(fnmatch(name, f"{PACKAGE}.{pattern}") for pattern in LEFT_OUT)
    )
    paths = {path for name in deciding if (path := find_module(name, root)) is not None}
    lines = [f"{name} {digest}" for name in deciding if (digest := _hash_module(name, root))]
    lines += [
        f"{path.relative_to(root).as_posix()} {_hash_data(path)}"
        for path in sorted({file for folder in {path.parent for path in paths} for file in _list_data(folder)})
    ]
    imported = {library for name in deciding for library in read_imports(name, root).libraries}
    imported |= {beneath for library in imported for beneath in BENEATH.get(library, ())}
    counted = (imported & LIBRARIES.keys()) - set(spared)
    lines += [f"{name} {version}" for name in sorted(counted) if (version := _read_version(name))]
    return "\n".join(lines) + "\n"


def _trace_plugins(plugins: list[str], module: str, root: Path) -> set[str]:
    """Modules of the plugins that register a kind where the stage that runs `module` looks kinds up."""
    reached = trace_modules(module, root)
    found: set[str] = set()
    for plugin in plugins:
        registries = _find_registries(plugin, root)
        if module == PARAMS or not registries or registries & reached:
            found |= {name for name in trace_modules(plugin, root) if name.split(".")[0] != PACKAGE}
    return found


def _find_registries(plugin: str, root: Path) -> set[str]:
    """Modules that make the registries in which `plugin` registers its kinds; empty if they cannot be told."""
    names = [
        node.func.value.id
        for node in ast.walk(parse_module(plugin, root))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "register"
        and isinstance(node.func.value, ast.Name)
    ]
    return {find_origin(plugin, name, root)[0] for name in names}


@cache
def _read_version(library: str) -> str | None:
    try:
        return metadata.version(library).partition("+")[0]
    except metadata.PackageNotFoundError:
        return None


def _list_data(folder: Path) -> Iterator[Path]:
    """Files beside a module that are no Python, in subfolders too if these hold no Python."""
    for path in folder.iterdir():
        if path.name.startswith((".", "__pycache__")) or path.suffix in (".py", ".pyc", ".typed"):
            continue
        if path.is_file():
            yield path
        elif not any(path.rglob("*.py")):
            yield from _list_data(path)


def _hash_data(path: Path) -> str:
    """Hash of a data file's bytes, empty where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:HASH_DIGITS] if path.is_file() else ""


def _try_hash_module(name: str, root: Path) -> str:
    """Hash of a module, empty where its source is no Python any more."""
    try:
        return _hash_module(name, root)
    except (SyntaxError, ValueError):
        return ""


def _hash_module(name: str, root: Path) -> str:
    """Hash of a module's syntax tree, empty for one that holds nothing but a docstring."""
    return _hash_tree(parse_module(name, root))


@cache
def _hash_tree(tree: ast.Module) -> str:
    text = _dump(tree)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS] if text != "Module()" else ""


def _dump(node: Any) -> str:
    """A syntax tree as text, the same for every Python: without docstrings, positions and empty fields."""
    if isinstance(node, list):
        parts = [_dump(item) for item in node if not _is_docstring(item)]
        return f"[{', '.join(parts)}]" if parts else ""
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if name not in ("ctx", "kind", "type_comment")}
    texts = {name: _dump(value) for name, value in fields.items() if value is not None}
    return f"{type(node).__name__}({', '.join(f'{name}={text}' for name, text in texts.items() if text)})"


def _is_docstring(node: Any) -> bool:
    """Whether a statement is a bare string: of a module, class or function, or of the field above it."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
