"""A copy of a round in which one thing at a time is damaged and put back."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from stages.common.provenance import hash_folder, hash_manifest
from tools.dvc_files import hash_file, hash_files, hash_listing

LOCK = "dvc.lock"
Row = dict[str, Any]
T = TypeVar("T")


class NotApplicableError(Exception):
    """The round has nothing that this kind of damage could be done to."""


@dataclass(frozen=True)
class Trace:
    """Where a damage must be named: by one of `checks`, in a line that holds all of `words`."""

    checks: tuple[str, ...]
    words: tuple[str, ...]

    @classmethod
    def of(cls, checks: str, *words: object) -> Trace:
        """`checks` separated by spaces."""
        return cls(tuple(checks.split()), tuple(map(str, words)))


def copy_round(root: Path, folder: Path) -> None:
    """Copy the repository at `root` without what a verification does not read; DVC's cache is linked."""
    ignored = shutil.ignore_patterns("work", ".venv*", "__pycache__", "tmp", "cache", "tests")
    shutil.copytree(root, folder, ignore=ignored, symlinks=True)
    (folder / ".dvc/cache").symlink_to((root / ".dvc/cache").resolve())


class DamagedRound:
    """The repository at `root`, changed through methods that remember what was there; `rng` draws what is changed."""

    def __init__(self, root: Path, rng: random.Random) -> None:
        self.root = root
        self.rng = rng
        self.before: dict[str, bytes | None] = {}

    @property
    def rounds(self) -> list[str]:
        return sorted(path.name for path in (self.root / "data/datasets").iterdir())

    @property
    def changed_rounds(self) -> list[str] | None:
        """The rounds whose files alone were changed, None where what all share was: the others need no verification."""
        rounds = set(self.rounds)
        changed = [rounds.intersection(re.split(r"[/.]", path)) for path in self.before if path != LOCK]
        return sorted(set().union(*changed)) if changed and all(changed) else None

    def choose_round(self) -> str:
        """A round by chance."""
        return self.rng.choice(self.rounds)

    def choose_other(self, name: str) -> str:
        """Another round than `name`."""
        return self.choose([other for other in self.rounds if other != name], "second round")

    def choose(self, things: Sequence[T], what: str) -> T:
        """One of `things` by chance; raises `NotApplicableError` where the round has none."""
        if not things:
            raise NotApplicableError(f"the round has no {what}")
        return self.rng.choice(things)

    def choose_file(self, *patterns: str) -> str:
        """A file that matches one of `patterns`, relative to the root."""
        found = sorted({path for pattern in patterns for path in self.root.glob(pattern) if path.is_file()})
        return self.choose(found, f"file {patterns[0]}").relative_to(self.root).as_posix()

    def read(self, path: str) -> pl.DataFrame:
        """The table in a file."""
        return pl.read_parquet(self.root / path)

    def write(self, path: str, frame: pl.DataFrame) -> None:
        """Replace a file's table."""
        self.remember(path)
        frame.write_parquet(self.root / path)

    def choose_row(self, path: str, where: pl.Expr | None = None, count: int = 1) -> list[tuple[int, Row]]:
        """`count` rows of a file, of those `where` holds, with their numbers."""
        frame = self.read(path).with_row_index("number")
        rows = list((frame if where is None else frame.filter(where)).iter_rows(named=True))
        if len(rows) < count:
            raise NotApplicableError(f"{path} has no {count} such rows")
        return [(row.pop("number"), row) for row in self.rng.sample(rows, count)]

    def set_cells(self, path: str, row: int, **cells: Any) -> None:
        """Set cells of one row."""
        frame, here = self.read(path), pl.int_range(pl.len()) == row
        columns = [
            pl.when(here).then(pl.lit(value, frame.schema[name])).otherwise(pl.col(name)).alias(name)
            for name, value in cells.items()
        ]
        self.write(path, frame.with_columns(columns))

    def turn_cell(self, path: str, name: str) -> Row:
        """Make a row's True False, or its False or missing value True; returns the row as it was."""
        [(number, row)] = self.choose_row(path)
        self.set_cells(path, number, **{name: not row[name]})
        return row

    def set_list(self, path: str, row: int, name: str, value: Sequence[Any] | None) -> None:
        """Set one row's cell in a column of lists."""
        frame = self.read(path)
        cells = frame[name].to_list()
        cells[row] = value
        self.write(path, frame.with_columns(pl.Series(name, cells, frame.schema[name])))

    def edit_rows(self, path: str, edit: Callable[[list[Row]], list[Row]]) -> None:
        """Replace all rows of a file by what `edit` makes of them."""
        frame = self.read(path)
        self.write(path, pl.DataFrame(edit(frame.to_dicts()), schema=frame.schema))

    def swap_cells(self, path: str, first: tuple[int, Row], second: tuple[int, Row], names: Sequence[str]) -> None:
        """Exchange cells of two rows of `choose_row`."""
        for (number, _), (_, other) in ((first, second), (second, first)):
            self.set_cells(path, number, **{name: other[name] for name in names})

    def edit_json(self, path: str, edit: Callable[[Any], None]) -> None:
        """Change a JSON file in place."""
        value = json.loads((self.root / path).read_text(encoding="utf-8"))
        edit(value)
        self.write_bytes(path, json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True).encode())

    def edit_text(self, path: str, pattern: str, replacement: Callable[[re.Match[str]], str]) -> None:
        """Replace the first match of `pattern` in a text file."""
        text, found = re.subn(pattern, replacement, (self.root / path).read_text(encoding="utf-8"), count=1)
        if not found:
            raise NotApplicableError(f"{path} has no {pattern}")
        self.write_bytes(path, text.encode())

    def write_bytes(self, path: str, content: bytes | None) -> None:
        """Replace a file's bytes; None deletes it."""
        self.remember(path)
        if content is None:
            (self.root / path).unlink()
        else:
            (self.root / path).write_bytes(content)

    def remember(self, path: str) -> None:
        """Keep what is at `path` now, to put it back."""
        file = self.root / path
        self.before.setdefault(path, file.read_bytes() if file.exists() else None)

    def remake_hashes(self) -> None:
        """What an attacker who knows the format does: manifests and dvc.lock name the changed files' hashes."""
        for name in self.rounds:
            dataset = f"data/datasets/{name}"
            if any(path.startswith(f"{dataset}/") and path.endswith(".parquet") for path in self.before):
                self._remake_manifests(name, hash_folder(self.root / dataset, exclude=("manifest.json",)))
        for path in [path for path in self.before if path.startswith("data/reports/")]:
            self.write_bytes(path.replace("data/", "", 1).replace("reports/", "reports/stages/", 1),
                             (self.root / path).read_bytes())  # fmt: skip
        self.remember(LOCK)
        text = (self.root / LOCK).read_text(encoding="utf-8")
        for path in {entry for entry in re.findall(r"- path: (\S+)", text) if self._holds_changed(entry)}:
            target = self.root / path
            md5 = hash_listing(hash_files(target)) if target.is_dir() else hash_file(target)
            text = re.sub(rf"(- path: {re.escape(path)}\n\s+hash: md5\n\s+md5: )\S+", rf"\g<1>{md5}", text)
        (self.root / LOCK).write_text(text, encoding="utf-8")

    def _remake_manifests(self, name: str, files: dict[str, str]) -> None:
        """A data set's hash stands in its manifest, in its report, and in what the policy was made from."""
        made = {"files": files, "hash": hash_manifest(files)}
        self.edit_json(f"data/datasets/{name}/manifest.json", lambda value: value.update(made))
        more = {**made, "manifest": made["hash"]}
        self.edit_json(f"data/reports/dataset/{name}.json", lambda value: value.update(more))

        def change_origin(policy: Any) -> None:
            if "dataset" in policy["made_from"]:
                policy["made_from"]["dataset"] = made["hash"]

        self.edit_json(f"models/{name}/manifest.json", change_origin)

    def _holds_changed(self, entry: str) -> bool:
        return any(path == entry or path.startswith(f"{entry}/") for path in self.before)

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Put everything back at the end."""
        try:
            yield
        finally:
            for path, content in self.before.items():
                if content is None:
                    (self.root / path).unlink(missing_ok=True)
                else:
                    (self.root / path).write_bytes(content)
            self.before.clear()
