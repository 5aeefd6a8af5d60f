"""The journal: every finished item is stored at once, so that a killed stage continues where it stopped.

One append-only file per kind of work, locked while a stage uses it. A line is a checksum and a JSON object
``{key: value, ...}``; the items of one line are stored together or not at all. Keys are content hashes of everything
that determines an item, never positions, so that more problems or another variant find what is already there. Keys say
nothing of what code stored about an item, so whoever looks one up says which form it has to have (`Form`).
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from stages.common.file_locks import lock_file

ROOT = Path("work/journal")
"""Where journals lie, below the repository's root: ignored by Git and DVC."""

Form = Callable[[Any], bool]
"""Whether a stored value holds all that the present code reads, in its form: other code may have stored less."""

_CHECKSUM_DIGITS = 16

logger = logging.getLogger(__name__)


class Journal:
    """A locked journal file; use as a context manager.

    It waits while another process uses the same journal, and says so. A torn last line (power loss, kill, full disk)
    is cut off; a damaged earlier line is skipped and counted in `num_damaged`. Values of another form than is asked for
    are left aside, and counted in the log at the end. Within a process one thread may put while another finds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_damaged = 0
        self._positions: dict[str, tuple[int, int]] = {}
        self._outdated: set[str] = set()
        self._last: tuple[int, dict[str, Any]] = (-1, {})

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "a+b", buffering=0)
        lock_file(self._file, f"{self.path}: another process uses this journal")
        if not os.fstat(self._file.fileno()).st_size:
            _sync_folder(self.path.parent)
        self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._outdated:
            logger.warning(
                "%s: %d entries of another form, stored by other code, left aside; they are made again",
                self.path,
                len(self._outdated),
            )

    def _read(self) -> None:
        position = 0
        with open(self.path, "rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    self._file.truncate(position)
                    break
                items = _decode(line)
                if items is None:
                    self.num_damaged += 1
                else:
                    self._positions.update(dict.fromkeys(items, (position, len(line))))
                position += len(line)
        if self.num_damaged:
            logger.warning("%s: %d damaged lines skipped; their items are made again", self.path, self.num_damaged)

    def __len__(self) -> int:
        return len(self._positions)

    def find(self, key: str, form: Form) -> Any:
        """The value under `key`; None where there is none, or none that `form` accepts."""
        if key not in self._positions:
            return None
        value = self._read_value(key)
        if form(value):
            return value
        self._outdated.add(key)
        return None

    def _read_value(self, key: str) -> Any:
        position, length = self._positions[key]
        if self._last[0] == position:  # neighbours share a line: read and parse it once
            return self._last[1][key]
        items = _decode(os.pread(self._file.fileno(), length, position))
        if items is None:
            raise KeyError(f"{self.path}: the line at byte {position} was damaged after it was read")
        self._last = (position, items)
        return items[key]

    def put(self, items: Mapping[str, Any]) -> None:
        """Store `items` together and durably: after this returns, they survive a power loss.

        Raises `OSError` where the disk refuses; none of them is stored then.
        """
        if items:
            self._append([items])

    def put_each(self, items: Mapping[str, Any]) -> None:
        """Store `items` as `put` does, but each on a line of its own, so that each is read by itself; one sync for all.

        After a kill within the call, or an `OSError` where the disk is full, the first of them are stored.
        """
        if items:
            self._append([{key: value} for key, value in items.items()])

    def _append(self, batches: Sequence[Mapping[str, Any]]) -> None:
        lines = [_encode(batch) for batch in batches]
        descriptor = self._file.fileno()
        position = os.fstat(descriptor).st_size
        written: dict[str, tuple[int, int]] = {}
        try:
            for batch, line in zip(batches, lines, strict=True):
                _write_all(descriptor, line)
                written.update(dict.fromkeys(batch, (position, len(line))))
                position += len(line)
        except OSError:
            with suppress(OSError):  # what cannot be cut off is a torn line, which readers skip
                os.ftruncate(descriptor, position)
            raise
        finally:
            os.fsync(descriptor)
            self._positions.update(written)


def read_keys(path: Path, form: Form) -> frozenset[str]:
    """The keys of the items in the journal at `path` that `form` accepts, none without a file; for whoever holds its
    lock."""
    if not path.exists():
        return frozenset()
    with path.open("rb") as lines:
        items = (item for line in lines if line.endswith(b"\n") for item in (_decode(line) or {}).items())
        return frozenset(key for key, value in items if form(value))


def _write_all(descriptor: int, line: bytes) -> None:
    remaining = memoryview(line)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]


def _sync_folder(folder: Path) -> None:
    """Make a new file's name in `folder` survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _encode(items: Mapping[str, Any]) -> bytes:
    body = json.dumps(dict(items), ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    return hashlib.sha256(body).hexdigest()[:_CHECKSUM_DIGITS].encode("ascii") + b" " + body + b"\n"


def _decode(line: bytes) -> dict[str, Any] | None:
    checksum, _, body = line.rstrip(b"\n").partition(b" ")
    if hashlib.sha256(body).hexdigest()[:_CHECKSUM_DIGITS].encode("ascii") != checksum:
        return None
    value = json.loads(body)
    return value if isinstance(value, dict) else None
