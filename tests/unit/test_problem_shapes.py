"""Shapes in which people have problems: columns of public data sets and of their own, in all kinds of files."""

from __future__ import annotations

import csv
import gzip
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.params.block import ParamsError, validate
from stages.common.params.problems import ProblemsParams
from stages.common.raw_rows import read_file
from stages.problems import build_problems, read_problems
from stages.problems.candidate import find_columns, read_candidate, suggest_columns

CASES: list[dict[str, Any]] = json.loads(Path("tests/data/problem_shapes.json").read_text(encoding="utf-8"))
REAL = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data"))


@pytest.mark.parametrize("case", CASES, ids=[case["source"] for case in CASES])
def test_a_row_of_a_known_shape_is_read(case: dict[str, Any]) -> None:
    row = {"source": "mine", **case["row"]}
    candidate = read_candidate(row, case.get("columns"))
    if "reason" in case:
        assert candidate == case["reason"]
    else:
        assert not isinstance(candidate, str), candidate
        found = {**asdict(candidate), "marks": sorted(candidate.marks)}
        assert {key: found[key] for key in case["expected"]} == case["expected"]


def make_params(path: Path, **files: Any) -> ProblemsParams:
    value = {"reader": "files", "files": {"paths": [str(path)], **files}, "splits": {"validation": 0.0, "test": 0.0}}
    return validate(ProblemsParams, value, "problems")


def build(folder: Path, path: Path, **files: Any) -> tuple[pl.DataFrame, dict[str, Any]]:
    report = build_problems(make_params(path, **files), 1, 0, folder)
    return read_problems(folder, 0), report


ROWS = [{"prompt": f'What is "{n}" times {n},\nexactly?', "response": f"It is \\boxed{{{n * n}}}."} for n in range(9)]
COLUMNS = {"problem": "prompt", "solution": "response"}


def write_lines(path: Path, rows: list[Any]) -> Path:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_all_kinds_of_files_give_the_same_problems(tmp_path: Path) -> None:
    pl.DataFrame(ROWS).write_parquet(tmp_path / "rows.parquet")
    paths = [write_lines(tmp_path / f"rows.jsonl{end}", ROWS) for end in ("", ".gz")]
    paths += [write_csv(tmp_path / f"rows.csv{end}", ROWS) for end in ("", ".gz")]
    tables = [build(tmp_path / "out", path, columns=COLUMNS)[0] for path in [*paths, tmp_path / "rows.parquet"]]
    content = [table.select("problem_id", "source", "problem", "solution", "answer", "origin_row") for table in tables]
    assert len(content[0]) == 9
    assert set(content[0]["source"]) == {"rows"}
    assert all(other.equals(content[0]) for other in content)


def test_a_bad_row_of_a_csv_file_costs_no_other(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "rows.csv", ROWS)
    lines = b'one value\nthree,values,here\n"Find \xff x.",\\boxed{1}\n'
    path.write_bytes(path.read_bytes() + lines + write_csv(tmp_path / "more.csv", ROWS[:1]).read_bytes()[3:])
    table, report = build(tmp_path / "out", path, columns=COLUMNS)
    reasons = {reason: drop["rows"] for reason, drop in report["drops"].items()}
    assert reasons == {
        "exact duplicate": 1,
        "lone surrogate": 1,
        "more or fewer values than columns": 2,
        "no boxed answer": 1,
    }
    assert table.height == 9


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.csv.gz"])
def test_broken_gzip_is_one_line(tmp_path: Path, name: str) -> None:
    whole = write_lines(tmp_path / name, ROWS * 1000).read_bytes()
    for data in (b"not gzip", whole[: len(whole) // 2]):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=f"{name}: broken gzip file"):
            list(read_file(tmp_path / name))


@pytest.mark.parametrize("name", ["rows.txt", "rows.parquet.gz", "rows.gz"])
def test_other_names_are_refused_with_those_that_are_known(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"expected a name that ends in \.jsonl, .*\.csv\.gz"):
        list(read_file(tmp_path / name))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"id": 1, **ROWS[0]},
            "columns id, prompt, response: no problem and no solution.*{problem: prompt, solution: res",
        ),
        ({"problem": "x", "Solution": "y"}, "no solution; name them.*solution: Solution"),
        ({"question": "x", "final_answer": "3"}, "no solution.*{problem: question, solution: final_answer}"),
        ({"a": 1}, "{problem: COLUMN, solution: COLUMN}"),
    ],
)
def test_an_unknown_shape_names_its_columns_and_the_nearest_map(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        build(tmp_path / "out", write_lines(tmp_path / "rows.jsonl", [row] * 3))
    assert "problems.files.columns" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_without_a_column_among_others_are_dropped(tmp_path: Path) -> None:
    rows = [{"problem": "Find x."}, {"solution": "It is 1."}, {"problem": "Find y.", "solution": "\\boxed{1}"}]
    table, report = build(tmp_path / "out", write_lines(tmp_path / "rows.jsonl", rows), source="mine")
    assert table["source"].to_list() == ["mine"]
    assert {reason: drop["rows"] for reason, drop in report["drops"].items()} == {
        "problem missing": 1,
        "solution missing": 1,
    }


def test_a_map_of_an_unknown_field_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"problems\.files\.columns\.anser"):
        make_params(tmp_path / "rows.jsonl", columns={"anser": "result"})


names = st.sampled_from(["problem", "question", "prompt", "solution", "answer", "Response", "id", ""])


@given(
    st.dictionaries(names, st.none() | st.text() | st.integers()),
    st.dictionaries(st.sampled_from(sorted(COLUMNS)), names),
)
def test_columns_are_those_of_the_row(row: dict[str, Any], columns: dict[str, str]) -> None:
    found = find_columns(row, columns)
    assert set(found.values()) <= set(row)
    assert all(found[field] == columns[field] for field in found.keys() & columns.keys())
    suggested = suggest_columns(row)
    assert set(suggested.values()) <= set(row)
    assert len(set(suggested.values())) == len(suggested)


def test_gsm8k_is_read_as_it_is(tmp_path: Path) -> None:
    path = REAL / "gsm8k/train.jsonl"
    if not path.is_file():
        pytest.skip(f"{path}: real data not here")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:500]]
    table, report = build(tmp_path / "out", write_lines(tmp_path / "gsm8k.jsonl", rows))
    assert table.height + sum(drop["rows"] for drop in report["drops"].values()) == 500
    assert table.height > 480
    golds = {row["question"]: row["answer"].rpartition("####")[2].strip() for row in rows}
    assert all(golds[problem] == answer for problem, answer in table.select("problem", "answer").iter_rows())
    assert "<<" in table["solution"][0]
