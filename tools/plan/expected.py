"""The params and code that a run would see, against those that dvc.lock records.

Stages `params` and `code` write the files that all others track. Before they have run, these files are out of date:
their content is computed here, by the code that writes them.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.code import describe_code
from stages.common.params.block import FILE_HASHES, read_yaml
from stages.common.params.file_hashes import FileHasher, add_file_hashes, find_changed_files
from stages.common.params.recipe import SEED_POLICY, resolve
from tools.dvc_lock import LockEntry
from tools.git import read_file_at, run_git
from tools.plan.graph import RECIPE, StageState

WRITERS = ("stages.code", "stages.common.params")
"""Modules whose stages write what is compared here by content."""

MAX_COMMITS = 50
"""How far back a text is looked for by its hash."""

_ABSENT = object()


class Expected:
    """Content of every file of params and code once the recipe, which must be valid, is in force."""

    def __init__(self, stages: list[StageState], root: Path = Path(), recipe: Path | None = None) -> None:
        params = read_yaml(recipe or root / RECIPE)
        folders = {stage.module: folder for stage in stages for folder in stage.outs if stage.module in WRITERS}
        code, resolved = (folders.get(module, "") for module in WRITERS)
        self._root = root
        hasher = FileHasher(root)
        self._params = {
            f"{resolved}/{name}.yaml": add_file_hashes(resolve(params, name), hasher)
            for name in (SEED_POLICY, *params["rounds"])
        }
        written = sorted((root / resolved).glob("*.yaml"))
        self._changed_files = {name for path in written for name in find_changed_files(path, hasher)}
        hasher.save()
        self._params[RECIPE] = params
        texts = describe_code(params.get("plugins") or [], root)
        self._code = {f"{code}/{name}.txt": text for name, text in texts.items()}

    def read_params(self, stage: StageState) -> dict[str, Any]:
        """All params in the file of which `stage` tracks keys."""
        return self._params[next(iter(stage.params))]

    def has_code(self, path: str) -> bool:
        """Whether `path` is a file that stage `code` writes."""
        return path in self._code

    def compare(self, stage: StageState, locked: LockEntry) -> Iterator[tuple[str, str]]:
        """What differs, as (kind, what): ``("param", "train.beta 5.0 -> 1.0")``, ``("code", "stages.train.loss")``,
        ``("file", "problems.jsonl changed")``; a local file that is missing counts as unchanged."""
        if stage.module == WRITERS[1]:
            yield from (("file", f"{name} changed") for name in sorted(self._changed_files))
        for file, keys in stage.params.items():
            old, new = locked.params.get(file, {}), self._params.get(file, {})
            if not keys and old != new:
                yield "input", f"{file} changed"
            for key in keys:
                was, now = old.get(key, _ABSENT), _look_up(new, key)
                yield from (("param", line) for line in _compare(key, was, now))
                hashes = _get_hashes(was)
                for name, digest in _get_hashes(now).items():
                    if digest not in (None, hashes.get(name)):
                        yield "file", f"{name} changed"
        for path, text in self._code.items():
            if path in stage.deps and _md5(text) != locked.deps.get(path):
                yield from (("code", name) for name in self._list_changed(path, text, locked.deps.get(path)))

    def _list_changed(self, path: str, text: str, md5: str | None) -> list[str]:
        """Modules, data files and libraries in which `text` differs from the text with hash `md5`."""
        old = self._find_text(path, md5)
        if old is None:
            return [f"{path}, whose old text is in no commit"]
        return sorted({line.split()[0] for line in {*text.splitlines()} ^ {*old.splitlines()}})

    def _find_text(self, path: str, md5: str | None) -> str | None:
        """The text that `path` holds, or held in one of the last commits, if its hash is `md5`."""
        commits = (run_git(self._root, "log", f"-{MAX_COMMITS}", "--format=%H", "--", path) or "").split()
        file = self._root / path
        texts = [file.read_text(encoding="utf-8")] if file.is_file() else []
        texts += [read_file_at(self._root, commit, path) or "" for commit in commits]
        return next((text for text in texts if _md5(text) == md5), None)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _look_up(content: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            return _ABSENT
        content = content[part]
    return content


def _get_hashes(block: Any) -> dict[str, str | None]:
    hashes: dict[str, str | None] = block.get(FILE_HASHES, {}) if isinstance(block, dict) else {}
    return hashes


def _compare(path: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new} - {FILE_HASHES}, key=str):
            yield from _compare(f"{path}.{key}", old.get(key, _ABSENT), new.get(key, _ABSENT))
    elif old != new:
        yield f"{path} {_show(old)} -> {_show(new)}"


def _show(value: Any, width: int = 40) -> str:
    if value is _ABSENT:
        return "(absent)"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."
