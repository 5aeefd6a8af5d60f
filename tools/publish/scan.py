"""The last look before anything goes out: secrets, personal paths and e-mail addresses in what is to be sent.

Parquet is read as its values, since its bytes are compressed; of weights the header alone, since random bytes look like
an e-mail address (9 times in 128 MiB); any other file as its bytes. A finding names file, place and kind, never what
was found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from stages.common.console import progress
from tools.publish.checks import RefusedError

PATTERNS = {
    "Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}",
    "API key": r"\bsk-[A-Za-z0-9_-]{20,}",
    "GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{30,}",
    "AWS access key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "AWS secret key": r"(?i:aws_secret_access_key)[\"' :=]{1,6}[A-Za-z0-9/+]{40}",
    "private key": r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----",
    "personal path": (
        r"(?:/home|/Users)/[A-Za-z0-9._-]+|(?:^|[\s\"'=:(])/root/[A-Za-z0-9._-]+"
        r"|\b[A-Za-z]:(?:\\{1,2}|/)Users(?:\\{1,2}|/)[A-Za-z0-9._-]+"
    ),
    "e-mail address": r"\b[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b",
}
"""Kind of finding and its pattern; of a syntax that Python and RE2 read alike, and bounded in length."""

ACCEPTABLE = frozenset({"e-mail address", "personal path"})
"""Kinds that a person may let through after a look: public problem collections hold some."""

SECRET_NAMES = re.compile(r".*_(TOKEN|KEY|SECRET|PASSWORD)$", re.IGNORECASE)
"""Names of environment variables whose values must not go out."""

SHORTEST = 8
"""A shorter value of such a variable is no secret, and stands in every file."""

_CHUNK = 1 << 20
_OVERLAP = 1 << 12
_FINDINGS = 20


@dataclass(frozen=True)
class Finding:
    """Something that must not go out: the file, the place in it, and what kind of thing it is."""

    file: str
    place: str
    kind: str

    def __str__(self) -> str:
        return f"{self.file}, {self.place}: {self.kind}"


def require_nothing_private(
    folder: Path, accepted: Collection[str] = (), environment: Mapping[str, str] = os.environ
) -> int:
    """Scan every file below `folder` and return how many; raise `RefusedError` naming the first findings.

    Findings of the kinds in `accepted` are passed over; these must be of `ACCEPTABLE`.
    """
    if wrong := sorted(set(accepted) - ACCEPTABLE):
        raise ValueError(
            f"{', '.join(wrong)}: cannot be accepted; of what is found, only {', '.join(sorted(ACCEPTABLE))}"
        )
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    findings = (
        finding
        for path in progress(files, "scan", unit="files")
        for finding in scan_file(path, path.relative_to(folder).as_posix(), environment)
        if finding.kind not in accepted
    )
    if found := list(islice(findings, _FINDINGS)):
        listed = "".join(f"\n  {finding}" for finding in found)
        raise RefusedError(f"what would be published holds something private; nothing was sent:{listed}")
    return len(files)


def scan_file(path: Path, name: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    """What must not go out of the file at `path`, shown as `name`; its name is looked at too."""
    patterns = _patterns(environment)
    for kind in _kinds(name, patterns):
        yield Finding(name, "its name", kind)
    if path.suffix == ".parquet":
        yield from _scan_parquet(path, name, patterns)
    elif path.suffix == ".safetensors":
        yield from _scan_bytes(path, name, patterns, _header_length(path))
    else:
        yield from _scan_bytes(path, name, patterns)


def _patterns(environment: Mapping[str, str]) -> dict[str, str]:
    values = {
        f"the value of ${name}": re.escape(value)
        for name, value in sorted(environment.items())
        if SECRET_NAMES.fullmatch(name) and len(value.strip()) >= SHORTEST
    }
    return {**PATTERNS, **values}


def _kinds(text: str, patterns: Mapping[str, str]) -> list[str]:
    return [kind for kind, pattern in patterns.items() if re.search(pattern, text)]


def _scan_parquet(path: Path, name: str, patterns: Mapping[str, str]) -> Iterator[Finding]:
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    file = pq.ParquetFile(path)
    about = {key.decode("utf-8", "replace"): value for key, value in (file.schema_arrow.metadata or {}).items()}
    for key, value in about.items():
        for kind in _kinds(f"{key} {value.decode('utf-8', 'replace')}", patterns):
            yield Finding(name, f"metadata {key}", kind)
    first = 0
    for batch in file.iter_batches(batch_size=4096):
        for column, values in zip(batch.schema.names, batch.columns, strict=True):
            for row, kind in _scan_values(values, patterns):
                yield Finding(name, f"row {first + row}, column {column}", kind)
        first += batch.num_rows


def _scan_values(values: Any, patterns: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """(row, kind) of every match in the texts of an Arrow array, however deep they lie."""
    import numpy as np
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    for rows, texts in _texts(values, np.arange(len(values))):
        for kind, pattern in patterns.items():
            hits = pc.match_substring_regex(texts, pattern).fill_null(False).to_numpy(zero_copy_only=False)
            yield from ((int(row), kind) for row in np.unique(rows[hits]))


def _texts(values: Any, rows: Any) -> Iterator[tuple[Any, Any]]:
    """The string arrays inside `values`, each with the row that every one of its texts belongs to."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        yield rows, values
    elif pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        yield from _texts(values.flatten(), rows[pc.list_parent_indices(values).to_numpy()])
    elif pa.types.is_struct(values.type):
        for field in values.flatten():
            yield from _texts(field, rows)


def _header_length(path: Path) -> int:
    """Bytes of a safetensors file before its tensors: eight for the header's length, and the header, which is JSON."""
    with path.open("rb") as file:
        return 8 + int.from_bytes(file.read(8), "little")


def _scan_bytes(path: Path, name: str, patterns: Mapping[str, str], length: int | None = None) -> Iterator[Finding]:
    """Matches in a file's first `length` bytes (null: all), read in chunks that overlap; the place is a line, or a byte
    of a binary file.
    """
    compiled = {kind: re.compile(pattern.encode("utf-8")) for kind, pattern in patterns.items()}
    position, line, tail, binary = 0, 1, b"", False
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK if length is None else min(_CHUNK, length - position)):
            text = tail + chunk
            binary = binary or b"\0" in chunk
            for kind, pattern in compiled.items():
                for match in pattern.finditer(text):
                    if match.end() > len(tail):  # else it was found in the chunk before
                        lines = text.count(b"\n", 0, match.start())
                        at = position - len(tail) + match.start()
                        yield Finding(name, f"byte {at}" if binary else f"line {line + lines}", kind)
            position += len(chunk)
            keep = text[-_OVERLAP:]
            line += text.count(b"\n", 0, len(text) - len(keep))
            tail = keep
