"""Kinds registered from outside: the modules that a recipe names under `plugins` are imported before kinds are used."""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stages.common.params.block import ParamsError, read_yaml

IMPORTED: list[str] = []
"""Plugins of this process, in order: what its helpers on other machines have to import too."""


def load_plugins(recipe: Path) -> None:
    """Import the modules that `recipe` names under `plugins`; each registers its kinds in the registries.

    Modules are found in the working directory first. Raises `ParamsError` naming the file and the module that is not
    there; an error inside a module keeps its traceback.
    """
    try:
        import_plugins(read_yaml(recipe).get("plugins"))
    except ParamsError as error:
        text = str(error)
        raise ParamsError(text if text.startswith(f"{recipe}: ") else f"{recipe}: {text}") from error


def import_plugins(names: Any) -> None:
    """Import the modules `names`, the value of the key `plugins`; raise `ParamsError` if it is no list of them."""
    if not names:
        return
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ParamsError(f"plugins: expected a list of Python modules, found {names!r}")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    for name in names:
        if not _is_importable(name):
            raise ParamsError(f"plugins: no module {name!r}; name one that is importable from the working directory")
        import_module(name)
        if name not in IMPORTED:
            IMPORTED.append(name)


def _is_importable(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
