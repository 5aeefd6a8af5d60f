"""Kinds of one seam (judges, verifiers, engines, export formats) by name, built in or registered from outside."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Generic, TypeVar

from stages.common.errors import UserError

T = TypeVar("T")


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

    def register(self, kind: str, item: T) -> None:
        """Add a kind; raise `ValueError` where the name is taken by another item."""
        if kind in self._paths or self._items.get(kind, item) is not item:
            raise ValueError(f"{self.seam} kind {kind} is registered already")
        self._items[kind] = item

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
