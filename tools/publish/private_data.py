"""The scan before an upload: secrets, personal paths and e-mail addresses in the files to be published.

Parquet is scanned by its values, since its bytes are compressed; of weights only the header, since random bytes look
like an e-mail address (9 times in 128 MiB); any other file by its bytes. A match is reported by file, position and
kind, never by its text.
"""

import json
import mmap
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl

from stages.common.errors import UserError
from stages.common.progress import progress
from tools.publish.preconditions import RefusedError

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
"""Kind of private data and its pattern, in a syntax that Python and polars read alike."""

ACCEPTABLE = frozenset({"e-mail address", "personal path"})
"""Kinds that the user may accept after a look: public problem collections hold some."""

SECRET_VARIABLE = re.compile(r".*_(TOKEN|KEY|SECRET|PASSWORD)$", re.IGNORECASE)
"""Names of environment variables whose values must not be published."""

MIN_SECRET_CHARS = 8
"""A shorter value of such a variable is no secret, and occurs in every file."""

MAX_LISTED = 20
"""Matches listed in an error."""


@dataclass(frozen=True)
class PrivateMatch:
    """A match that must not be published: file, position in it, and kind."""

    file: str
    position: str
    kind: str

    def __str__(self) -> str:
        return f"{self.file}, {self.position}: {self.kind}"


def make_pseudonyms(path: Path) -> dict[str, str]:
    """A number for each annotator in a file of human labels, in the order in which they first appear.

    Lines are only ever appended, so that a person keeps the number from one publication to the next. A hash of the name
    would be no pseudonym: whoever guesses the name can check it.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    names = dict.fromkeys(json.loads(line)["annotator"] for line in lines)
    return {name: f"annotator {number}" for number, name in enumerate(names, start=1)}


def require_acceptable(kinds: Collection[str]) -> None:
    """Raise `UserError` where one of `kinds` of private data is none of `ACCEPTABLE`."""
    if secret := sorted(set(kinds) - ACCEPTABLE):
        raise UserError(f"{', '.join(secret)}: cannot be accepted; only {', '.join(sorted(ACCEPTABLE))} can")


def require_nothing_private(
    folder: Path, accepted: Collection[str] = (), environment: Mapping[str, str] = os.environ
) -> int:
    """Scan every file below `folder` and return their number; raise `RefusedError` naming the first matches.

    Matches of the kinds in `accepted`, which must be of `ACCEPTABLE`, are ignored.
    """
    require_acceptable(accepted)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    matches = (
        match
        for path in progress(files, "scan", unit="files")
        for match in scan_file(path, path.relative_to(folder).as_posix(), environment)
        if match.kind not in accepted
    )
    if first := list(islice(matches, MAX_LISTED)):
        listed = "".join(f"\n  {match}" for match in first)
        raise RefusedError(f"{folder}: private data in the files to be published; nothing was sent:{listed}")
    return len(files)


def scan_file(path: Path, name: str, environment: Mapping[str, str]) -> Iterator[PrivateMatch]:
    """Private data in the file at `path`, shown as `name`, and in its name."""
    patterns = PATTERNS | {
        f"the value of ${variable}": re.escape(value)
        for variable, value in sorted(environment.items())
        if SECRET_VARIABLE.fullmatch(variable) and len(value.strip()) >= MIN_SECRET_CHARS
    }
    yield from (PrivateMatch(name, "its name", kind) for kind in _find_kinds(name, patterns))
    if path.suffix == ".parquet":
        yield from _scan_parquet(path, name, patterns)
    else:
        yield from _scan_bytes(path, name, patterns)


def _find_kinds(text: str, patterns: Mapping[str, str]) -> list[str]:
    return [kind for kind, pattern in patterns.items() if re.search(pattern, text)]


def _scan_parquet(path: Path, name: str, patterns: Mapping[str, str]) -> Iterator[PrivateMatch]:
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    file = pq.ParquetFile(path)
    for key, value in (file.schema_arrow.metadata or {}).items():
        text = f"{key.decode('utf-8', 'replace')} {value.decode('utf-8', 'replace')}"
        for kind in _find_kinds(text, patterns):
            yield PrivateMatch(name, f"metadata {text.split()[0]}", kind)
    first = 0
    for batch in file.iter_batches(batch_size=4096):
        rows = pl.DataFrame(pl.from_arrow(batch)).with_row_index("_row", offset=first)
        for column in batch.schema.names:
            for texts in _iterate_texts(rows.select("_row", text=column)):
                for kind, pattern in patterns.items():
                    matches = texts.filter(pl.col("text").str.contains(pattern))["_row"].unique().sort()
                    yield from (PrivateMatch(name, f"row {row}, column {column}", kind) for row in matches)
        first += batch.num_rows


def _iterate_texts(values: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Frames (_row, text) of all strings in a frame whose `text` is of any type, however deeply nested."""
    dtype = values.schema["text"]
    if isinstance(dtype, pl.String):
        yield values
    elif isinstance(dtype, pl.List):
        yield from _iterate_texts(values.explode("text"))
    elif isinstance(dtype, pl.Struct):
        for field in dtype.fields:
            yield from _iterate_texts(values.select("_row", text=pl.col("text").struct.field(field.name)))


def _scan_bytes(path: Path, name: str, patterns: Mapping[str, str]) -> Iterator[PrivateMatch]:
    """Matches in a file's bytes, of safetensors in the header's; the position is a line, in a binary file a byte."""
    size = path.stat().st_size
    if not size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        # A safetensors file begins with eight bytes that give the length of its header, which is JSON.
        end = 8 + int.from_bytes(data[:8], "little") if path.suffix == ".safetensors" else size
        is_binary = data.find(b"\0") >= 0
        for kind, pattern in patterns.items():
            for match in re.compile(pattern.encode("utf-8")).finditer(data, 0, min(end, size)):
                line = 1 + data[: match.start()].count(b"\n")
                yield PrivateMatch(name, f"byte {match.start()}" if is_binary else f"line {line}", kind)
