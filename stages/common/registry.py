"""Kinds of one seam (judges, verifiers, engines, export formats) by name, built in or registered from outside."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from stages.common.errors import UserError

T = TypeVar("T")

_REGISTRIES: dict[str, Registry[Any]] = {}


class Registry(Generic[T]):
    """The kinds of one seam.

    A built-in kind is one line, ``"llm": "stages.judge.llm:LlmJudge"``, and its module is imported on first use.

    >>> engines: Registry[type] = Registry("engine", {"ordered": "collections:OrderedDict"})
    >>> engines.register("list", list)
    >>> engines.get("list"), engines.get("ordered").__name__, engines.kinds()
    (<class 'list'>, 'OrderedDict', ['list', 'ordered'])
    """

    def __init__(self, seam: str, built_in: Mapping[str, str]) -> None:
        self.seam = seam
        self._paths = dict(built_in)
        self._items: dict[str, T] = {}
        self._params: dict[str, type[BaseModel]] = {}
        _REGISTRIES[seam] = self

    def register(self, kind: str, item: T, params: type[BaseModel] | None = None) -> None:
        """Add a kind and the class of its params block; raise `ValueError` where the name is taken by another item."""
        if kind in self._paths or self._items.get(kind, item) is not item:
            raise ValueError(f"{self.seam} kind {kind} is registered already")
        self._items[kind] = item
        if params is not None:
            self._params[kind] = params

    def params_classes(self) -> dict[str, type[BaseModel]]:
        """Params classes of the kinds registered from outside, by kind."""
        return self._params

    def kinds(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self._paths, *self._items})

    def get(self, kind: str) -> T:
        """The item of that name; raise `UserError` naming the nearest one where there is none."""
        if kind not in self._items:
            if kind not in self._paths:
                near = difflib.get_close_matches(kind, self.kinds(), n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(self.kinds())}"
                raise UserError(f"unknown {self.seam} kind {kind!r}; {hint}")
            module, _, name = self._paths[kind].partition(":")
            self._items[kind] = getattr(import_module(module), name)
        return self._items[kind]


def find_registry(seam: str) -> Registry[Any] | None:
    """The registry of that seam, None where its module has not been imported."""
    return _REGISTRIES.get(seam)
