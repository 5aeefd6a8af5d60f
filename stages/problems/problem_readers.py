"""Where rows come from: problems made here, a data set of the Hub, or local files, all behind one iterator."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path

from stages.common.errors import UserError
from stages.common.params.problems import ProblemsParams, SchoolProblemsParams, ToyProblemsParams
from stages.common.raw_rows import RawRow, read_file, read_hub
from stages.problems.candidate import find_columns, suggest_columns

MAX_UNFIT_ROWS = 1000
"""Rows after which reading stops where none of them has the columns of a problem and a solution."""


def read_rows(params: ProblemsParams, seed: int) -> Iterator[RawRow]:
    """Rows of the reader that `params` names, at most `params.limit`; raise `UserError` for what cannot be read."""
    if params.toy_arithmetic is not None and params.reader == "toy_arithmetic":
        rows = _make_rows(params.toy_arithmetic, seed)
    elif params.school is not None and params.reader == "school":
        rows = _make_rows(params.school, seed)
    elif params.hub is not None and params.reader == "hub":
        hub = params.hub
        rows = read_hub(hub.repo, hub.name, hub.revision, hub.split, streaming=True)
        rows = _complete_rows(rows, "problems.hub", hub.columns, hub.repo.rpartition("/")[2])
    elif params.files is not None and params.reader == "files":
        files = params.files
        for path in map(Path, files.paths):
            if not path.is_file():
                hint = files.get_from or "correct the path, or put the file there"
                raise UserError(f"problems.files.paths: {path}: no such file; {hint}")
        rows = chain.from_iterable(
            _complete_rows(
                read_file(path), "problems.files", files.columns, files.source or path.name.partition(".")[0]
            )
            for path in map(Path, files.paths)
        )
    else:
        raise UserError(f"problems.{params.reader}: the block of the reader in use is missing")
    return islice(rows, params.limit)


def _make_rows(params: ToyProblemsParams | SchoolProblemsParams, seed: int) -> Iterator[RawRow]:
    from stages.common import school, toy_arithmetic

    for split, count in (("train", params.train), ("validation", params.validation), ("test", params.test)):
        if isinstance(params, ToyProblemsParams):
            origin, values = f"toy_arithmetic {split} seed:{seed}", toy_arithmetic.make_problems(split, count, seed)
        else:
            origin, values = f"school {split} seed:{seed}", school.make_problems(split, count, seed, params)
        for row, value in enumerate(values):
            yield RawRow(origin, row, f"{origin}, row {row}", value, split=split)


def _complete_rows(rows: Iterator[RawRow], key: str, columns: Mapping[str, str], source: str) -> Iterator[RawRow]:
    """`rows`, with `source` where they have none; raise `UserError` if none of the first has problem and solution.

    `key` names the params that say what the columns are.
    """
    num_objects, found = 0, dict.fromkeys(("problem", "solution"), 0)
    for row in rows:
        if isinstance(row.value, dict):
            num_objects += 1
            row.value.setdefault(columns.get("source", "source"), source)
            for field in found.keys() & find_columns(row.value, columns):
                found[field] += 1
        yield row
        if num_objects == MAX_UNFIT_ROWS:
            _check_found(found, key, row)
    if num_objects:
        _check_found(found, key, row)


def _check_found(found: dict[str, int], key: str, row: RawRow) -> None:
    if missing := [field for field, count in found.items() if not count]:
        names = [name for name in row.value if name != "source"] if isinstance(row.value, dict) else []
        guess = dict.fromkeys(found, "COLUMN") | suggest_columns(names)
        suggestion = ", ".join(f"{field}: {column}" for field, column in guess.items())
        raise UserError(
            f"{row.location}: columns {', '.join(map(str, names))}: no {' and no '.join(missing)}; name them in "
            f"{key}.columns, perhaps {{{suggestion}}}"
        )
