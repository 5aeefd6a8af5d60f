"""Where rows come from: toy arithmetic, a data set of the Hub, or local files, all behind one iterator."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from stages.common.errors import UserError
from stages.common.params.problems import FilesParams, HubDatasetParams, ProblemsParams, ToyProblemsParams
from stages.problems.raw_rows import RawRow, read_file


def read_rows(params: ProblemsParams, seed: int) -> Iterator[RawRow]:
    """Rows of the reader that `params` names, at most `params.limit`; raise `UserError` for what cannot be read."""
    if params.toy_arithmetic is not None and params.reader == "toy_arithmetic":
        rows = _read_toy_arithmetic(params.toy_arithmetic, seed)
    elif params.hub is not None and params.reader == "hub":
        rows = _read_hub(params.hub)
    elif params.files is not None and params.reader == "files":
        rows = _read_files(params.files)
    else:
        raise UserError(f"problems.{params.reader}: the block of the reader in use is missing")
    return islice(rows, params.limit)


def _read_toy_arithmetic(params: ToyProblemsParams, seed: int) -> Iterator[RawRow]:
    from stages.common.toy_arithmetic import make_problems

    for split, count in (("train", params.train), ("validation", params.validation), ("test", params.test)):
        origin = f"toy_arithmetic {split} seed:{seed}"
        for row, value in enumerate(make_problems(split, count, seed)):
            yield RawRow(origin, row, f"{origin}, row {row}", value, split=split)


def _read_hub(params: HubDatasetParams) -> Iterator[RawRow]:
    import datasets

    origin = f"{params.repo}@{params.revision} {params.split}"
    row = 0
    try:
        rows = datasets.load_dataset(params.repo, revision=params.revision, split=params.split, streaming=True)
        for value in rows:
            yield RawRow(origin, row, f"{origin}, row {row}", value)
            row += 1
    except (OSError, datasets.exceptions.DatasetsError) as error:  # not found, no network, a stream that broke off
        raise UserError(f"{origin}: could not be read after row {row} ({type(error).__name__}: {error})") from error


def _read_files(params: FilesParams) -> Iterator[RawRow]:
    for path in params.paths:
        for row in read_file(Path(path)):
            if params.source is not None and isinstance(row.value, dict):
                row.value.setdefault("source", params.source)
            yield row
