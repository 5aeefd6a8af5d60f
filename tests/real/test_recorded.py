"""Recorded solutions: every usable one becomes a sample, every other is counted with its reason."""

from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
import pytest

from stages.common.errors import UserError
from stages.common.params.engine import EngineParams, RecordedParams
from stages.common.params.outcome import OutcomeParams
from stages.common.params.recipe import read_recipe
from stages.common.params.runtime import RuntimeParams
from stages.common.params.sample import SampleParams
from stages.common.params.split import SplitParams
from stages.common.policies import Policy
from stages.common.tables import PROBLEM, SAMPLE, DropLog, make_problem_id, make_sample_id
from stages.outcome import verify_samples
from stages.sample import draw_samples
from stages.split import split_samples

REAL = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data"))


def problems(*pairs: tuple[str, str]) -> pl.DataFrame:
    rows = [
        dict.fromkeys(PROBLEM.schema, "-")
        | {"task": "math"}
        | {"problem_id": make_problem_id(problem, answer), "problem": problem, "answer": answer, "origin_row": row}
        for row, (problem, answer) in enumerate(pairs)
    ]
    return pl.DataFrame(rows, schema=PROBLEM.schema)


def write(path: Path, *rows: object) -> Path:
    path.write_bytes(b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows))
    return path


def read_recorded(table: pl.DataFrame, path: Path, num_samples: int, drops: DropLog) -> pl.DataFrame:
    engine = EngineParams(kind="recorded", recorded=RecordedParams(path=str(path)))
    params = SampleParams(engine=engine, num_samples=num_samples)
    policy = Policy(path.parent, "policy", None, None)
    batch = draw_samples(table, policy, params, RuntimeParams(), 1, "test", drops)
    assert (batch.llm_usage, batch.from_journal, batch.num_missing) == (None, 0, 0)
    return batch.samples


def test_solutions_become_samples(tmp_path: Path) -> None:
    path = write(
        tmp_path / "r.jsonl", {"problem": "1 + 1?", "answer": "2", "solutions": ["two", "2", "II"], "extra": 1}
    )
    drops = DropLog()
    table = SAMPLE.check(read_recorded(problems(("1 + 1?", "2")), path, 2, drops))
    identity = make_problem_id("1 + 1?", "2")
    assert table["completion"].to_list() == ["two", "2"]
    assert table["sample_index"].to_list() == [0, 1]
    assert table["sample_id"][1] == make_sample_id(identity, "policy", table["sampling_hash"][1], 1, "2")
    assert set(table["finish_reason"]) == {"stop"}
    assert table.select("seed", "prompt_tokens", "completion_tokens").null_count().row(0) == (2, 2, 2)
    assert drops.total == 0


def test_white_space_and_numbers_do_not_part_a_problem_from_its_solutions(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", {"problem": " 1 +\n1?", "answer": 2.0, "solutions": ["two"]})
    assert read_recorded(problems(("1 + 1?", "2")), path, 8, DropLog()).height == 1


def test_bad_rows_are_counted_and_cost_no_other(tmp_path: Path) -> None:
    good = {"problem": "a?", "answer": "1", "solutions": [None, "", "one", "\ud800", 7, "uno"]}
    path = write(
        tmp_path / "r.jsonl",
        b"{not json",
        b"\xff\xfe",
        b"[" * 100_000,
        b"",
        [1, 2],
        {"answer": "1", "solutions": ["x"]},
        {"problem": "a?", "answer": None, "solutions": ["x"]},
        {"problem": "a?", "answer": "1", "solutions": "x"},
        {"problem": "unknown?", "answer": "1", "solutions": ["x"]},
        good,
        good,
    )
    drops = DropLog()
    table = read_recorded(problems(("a?", "1")), path, 8, drops)
    assert table.select("sample_index", "completion").rows() == [(2, "one"), (5, "uno")]
    assert {reason: count["rows"] for reason, count in drops.report().items()} == {
        "not JSON": 2,
        "not UTF-8": 1,
        "blank line": 1,
        "not an object": 1,
        "problem missing or of another type": 1,
        "answer missing or of another type": 1,
        "solutions missing or of another type": 1,
        "problem not requested": 1,
        "problem repeated": 1,
        "solution not text": 2,
        "solution empty": 1,
        "solution badly encoded": 1,
    }


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"engine\.recorded\.path: .*nowhere\.jsonl: no such file"):
        read_recorded(problems(), tmp_path / "nowhere.jsonl", 8, DropLog())


def test_recipe_is_valid() -> None:
    recipe = read_recipe(Path(__file__).parents[2] / "recipes" / "recorded-math.yaml")
    assert recipe.sample.engine.recorded is not None
    assert recipe.problems.files is not None
    assert [recipe.sample.engine.recorded.path] == recipe.problems.files.paths


def test_real_solutions_become_samples_steps_and_outcomes() -> None:
    path = REAL / "recorded" / "math_100x8.jsonl"
    if not path.exists():
        pytest.skip(f"{path}: real data not here")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    table = problems(*((row["problem"], row["answer"]) for row in rows))
    drops = DropLog()
    samples = read_recorded(table, path, 8, drops)
    assert (samples.height, drops.total) == (800, 0)
    steps = split_samples(samples, SplitParams(shape="auto", max_steps=64))
    texts = dict(samples.select("sample_id", "completion").iter_rows())
    joined: dict[str, str] = {}
    for sample, start, end in steps.select("sample_id", "start", "end").iter_rows():
        joined[sample] = joined.get(sample, "") + texts[sample][start:end]
    assert joined == texts
    hashed = samples["sampling_hash"][0]
    recorded = {
        make_sample_id(
            make_problem_id(row["problem"], row["answer"]),
            "policy",
            hashed,
            index,
            row["solutions"][index],
        ): bool(value)
        for row in rows
        for index, value in enumerate(row["recorded_correct"])
    }
    outcomes = verify_samples(table, samples, OutcomeParams(timeout_s=5.0), num_workers=2)
    agreed = sum(recorded[sample] is value for sample, value in outcomes.select("sample_id", "is_correct").iter_rows())
    assert agreed >= 791  # of 8 the gold answer is cut: "4:30p.."
