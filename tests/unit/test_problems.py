"""The problems stage from files to table: traps, duplicates, contamination, splits, and bytes that do not change."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from stages.common import raw_rows
from stages.common.errors import UserError
from stages.common.params.block import ParamsError, validate
from stages.common.params.evaluate import BenchmarkParams
from stages.common.params.problems import ProblemsParams
from stages.common.provenance import compute_sha256, hash_folder
from stages.problems import build_problems, read_problems
from stages.problems.word_tokens import tokenize_words
from tests.support.hub_server import Repository, serve

REAL = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data"))
RECIPES = Path(__file__).parents[2] / "recipes"
CONTENT = ("problem_id", "split", "source", "problem", "solution", "answer")


def real(name: str) -> Path:
    if not (REAL / name).is_file():
        pytest.skip(f"{REAL / name} is missing; set STEPKTO_REAL_DATA to the folder of real data")
    return REAL / name


def settings(*paths: Path, **changes: Any) -> ProblemsParams:
    """The problems block of recipes/numina.yaml on other files, without decontamination."""
    block = yaml.safe_load((RECIPES / "numina.yaml").read_text(encoding="utf-8"))["problems"]
    files = {"paths": [str(path) for path in paths], "source": None}
    block |= {"reader": "files", "files": files, "decontamination": None, "splits": {"validation": 0.2, "test": 0.3}}
    return validate(ProblemsParams, {**block, **changes}, "problems")


def build(folder: Path, params: ProblemsParams, digits: int = 0) -> tuple[pl.DataFrame, dict[str, Any]]:
    report = build_problems(params, 1, digits, folder)
    json.dumps(report, allow_nan=False).encode("utf-8")
    return read_problems(folder, digits), report


def row(number: int, **changes: Any) -> dict[str, Any]:
    problem = (
        f"Compute the sum of {number} and {number * number} and {number**3} over {number + 7}{'!' * (number % 3)}."
    )
    value = {"source": "olympiads", "problem": problem, "solution": f"It is $\\boxed{{{number}}}$.", "messages": []}
    return {**value, **changes}


def encode(value: object) -> bytes:
    return json.dumps(value).encode("ascii") + b"\n"


def write(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(lines))
    return path


def drops(report: dict[str, Any]) -> dict[str, int]:
    return {reason: drop["rows"] for reason, drop in report["drops"].items()}


GOOD = [encode(row(number)) for number in range(40)]
TRAPS: list[tuple[str, bytes]] = [
    ("problem null", encode(row(101, problem=None))),
    ("problem empty", encode(row(102, problem=" \n"))),
    ("problem not text", encode(row(103, problem=["x"]))),
    ("solution null", encode(row(105, solution=None))),
    ("solution empty", encode(row(106, solution=""))),
    ("solution not text", encode(row(107, solution=5))),
    ("source null", encode(row(108, source=None))),
    ("source not text", encode(row(109, source={}))),
    ("too long", encode(row(110, problem="Find x. " * 131_072))),
    ("too long", encode(row(111, source="s" * 2**20))),
    ("too long", encode(row(112, answer="9" * 2**20))),
    ("not UTF-8", b'{"source": "olympiads", "problem": "Find \xff", "solution": "\\\\boxed{1}"}\n'),
    ("not JSON", b'{"source": "olympiads", "problem": \n'),
    ("not JSON", b"[" * 50_000 + b"\n"),
    ("not JSON", b'{"source": ' + b"9" * 5_000 + b"}\n"),
    ("not an object", b'["problem", "solution"]\n'),
    ("not an object", b"null\n"),
    ("not an object", b'"Find x."\n'),
    ("blank line", b"   \n"),
    ("no boxed answer", encode(row(113, solution="It is 7."))),
    ("empty box", encode(row(114, solution="It is $\\boxed{ }$."))),
    ("answer is no result", encode(row(115, solution="\\boxed{\\text{See solution}}"))),
    ("answer not text or number", encode(row(116, answer={"value": 1}))),
    ("lone surrogate", encode(row(117, problem="Find \ud800 x."))),
    ("lone surrogate", encode(row(118, solution="\udfff \\boxed{1}"))),
    ("broken encoding", encode(row(119, problem="Find x\x00 + 1."))),
    ("source left out", encode(row(120, source="orca_math"))),
]


@pytest.mark.parametrize("number", range(len(TRAPS)), ids=[f"{n}-{reason}" for n, (reason, _) in enumerate(TRAPS)])
def test_a_trap_is_dropped_with_its_reason_and_changes_no_byte(tmp_path: Path, number: int) -> None:
    reason, line = TRAPS[number]
    good = write(tmp_path / "good.jsonl", GOOD)
    trap = write(tmp_path / "trap.jsonl", [line])
    alone, clean = build(tmp_path / "alone", settings(good))
    _, report = build(tmp_path / "beside", settings(trap, good))
    assert alone.height == len(GOOD)
    assert drops(clean) == {}
    assert drops(report) == {reason: 1}
    assert report["drops"][reason]["examples"][0]["where"] == f"{trap}:1"
    assert len(json.dumps(report)) < 20_000
    assert hash_folder(tmp_path / "alone") == hash_folder(tmp_path / "beside")


def test_traps_between_good_lines_leave_their_content_as_it_is(tmp_path: Path) -> None:
    mixed = [line for good, trap in zip(GOOD, [*TRAPS, *TRAPS], strict=False) for line in (good, trap[1])]
    alone, _ = build(tmp_path / "alone", settings(write(tmp_path / "good.jsonl", GOOD)))
    among, report = build(tmp_path / "among", settings(write(tmp_path / "mixed.jsonl", mixed)))
    assert among.select(CONTENT).equals(alone.select(CONTENT))
    assert report["rows"] == 2 * len(GOOD)
    assert sum(drops(report).values()) == len(GOOD)
    assert {GOOD[line // 2] for line in among["origin_row"]} == set(GOOD)


def test_a_line_above_the_limit_is_skipped_without_being_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_rows, "MAX_LINE_BYTES", 1_000)
    lines = [GOOD[0], b"x" * 5_000 + b"\n", GOOD[1], b"y" * 1_000 + b"\n", GOOD[2], b"z" * 3_000]
    table, report = build(tmp_path / "out", settings(write(tmp_path / "rows.jsonl", lines)))
    assert sorted(table["origin_row"]) == [0, 2, 4]
    assert drops(report) == {"line too long": 3}


def test_parquet_gives_what_json_lines_give_bad_text_included(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    values = [row(number) for number in range(40)] + [row(41, problem=None)]
    columns = {name: [value[name] for value in values] + ["x"] for name in ("source", "problem", "solution")}
    arrays = {name: pa.array(column) for name, column in columns.items()}
    arrays["problem"] = pa.array(
        [None if text is None else text.encode() for text in columns["problem"][:-1]] + [b"Find \xff"], pa.binary()
    ).view(pa.string())
    parquet.write_table(pa.table(arrays), tmp_path / "rows.parquet", row_group_size=10)
    from_lines, _ = build(tmp_path / "a", settings(write(tmp_path / "rows.jsonl", GOOD)))
    from_parquet, report = build(tmp_path / "b", settings(tmp_path / "rows.parquet"))
    assert from_parquet.select(CONTENT).equals(from_lines.select(CONTENT))
    assert from_parquet["origin_row"].equals(from_lines["origin_row"])
    assert drops(report) == {"problem null": 1, "not UTF-8": 1}


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for path, error in (
        (tmp_path / "missing.jsonl", UserError),
        (write(tmp_path / "rows.txt", GOOD), UserError),
        (write(tmp_path / "rows.parquet", GOOD), ValueError),
    ):
        with pytest.raises(error, match=path.name):
            build(tmp_path / "out", settings(path))
    with pytest.raises(ValueError, match=r"none of 1 rows.*not an object"):
        build(tmp_path / "out", settings(write(tmp_path / "null.jsonl", [b"null\n"])))


def test_exact_duplicates_and_conflicting_answers(tmp_path: Path) -> None:
    lines = [
        encode(row(1)),
        encode(row(1, problem=row(1)["problem"].replace(" ", "  "), solution="Another way: \\boxed{1}")),
        encode(row(2)),
        encode(row(2, solution="\\boxed{3}")),
        encode(row(3)),
        encode(row(3, solution="x = \\boxed{\\dfrac{6}{2}}", answer="3.")),
    ]
    table, report = build(tmp_path / "out", settings(write(tmp_path / "rows.jsonl", lines), near_duplicates=None))
    assert drops(report) == {"exact duplicate": 2, "conflicting answers": 2}
    assert sorted(table["problem"]) == sorted([row(1)["problem"], row(3)["problem"]])
    assert table.filter(problem=row(1)["problem"])["solution"].to_list() == ["It is $\\boxed{1}$."]


def real_paths() -> tuple[Path, Path]:
    return real("numina/numina_math_cot.jsonl"), real("recorded/math_100x8.jsonl")


def shuffled(path: Path, target: Path) -> Path:
    lines = path.read_bytes().splitlines(keepends=True)
    random.Random(7).shuffle(lines)
    return write(target, lines)


def test_real_rows_twice_give_the_same_bytes_and_shuffled_the_same_problems(tmp_path: Path) -> None:
    numina, recorded = real_paths()
    extra = {"near_duplicates": {"ngram": 2, "threshold": 0.3}}

    def named(*paths: Path) -> ProblemsParams:
        return settings(*paths, files={"paths": [str(path) for path in paths], "source": "math"}, **extra)

    twin = json.loads(recorded.read_bytes().splitlines()[0])
    planted = write(tmp_path / "c.jsonl", [encode({**twin, "problem": f"Once more: {twin['problem']}"})])
    first, report = build(tmp_path / "first", named(numina, recorded, planted), digits=1)
    build(tmp_path / "second", named(numina, recorded, planted), digits=1)
    assert hash_folder(tmp_path / "first") == hash_folder(tmp_path / "second")
    assert len(hash_folder(tmp_path / "first")) == 16
    turned = named(planted, shuffled(recorded, tmp_path / "b.jsonl"), shuffled(numina, tmp_path / "a.jsonl"))
    other, _ = build(tmp_path / "third", turned, digits=1)
    assert other["problem_id"].equals(first["problem_id"])
    assert drops(report)["near-duplicate"] >= 1
    assert report["kept"] + sum(drops(report).values()) == report["rows"] == 208
    assert sum(counts["rows"] for counts in report["by_source"].values()) == 208


def test_a_chain_of_near_duplicates_ends_the_same_in_any_order(tmp_path: Path) -> None:
    text = [f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    # Each resembles its neighbours and no other: which are kept depends on where one begins.
    chain = [encode(row(n, problem=f"Compute {' '.join(text[n : n + 12])}")) for n in range(12)]
    params = {"near_duplicates": {"ngram": 1, "threshold": 0.8}}
    kept = set()
    for seed in range(5):
        lines = random.Random(seed).sample(chain, len(chain))
        table, report = build(tmp_path / "out", settings(write(tmp_path / "rows.jsonl", lines), **params))
        assert drops(report)["near-duplicate"] == len(chain) - table.height > 0
        kept.add(tuple(table["problem_id"]))
    assert len(kept) == 1


def test_splits_share_nothing_and_stay_when_problems_are_added(tmp_path: Path) -> None:
    lines = [encode(row(number)) for number in range(400)]
    params = {"near_duplicates": None}
    few, _ = build(tmp_path / "few", settings(write(tmp_path / "few.jsonl", lines[:100]), **params))
    many, report = build(tmp_path / "many", settings(write(tmp_path / "many.jsonl", lines), **params))
    assert report["by_split"].keys() == {"train", "validation", "test"}
    assert 80 <= report["by_split"]["test"] <= 160
    assert 45 <= report["by_split"]["validation"] <= 120
    assert many["problem"].n_unique() == many.height == 400
    both = few.join(many, on="problem_id", suffix="_many")
    assert both.height == few.height
    assert both["split"].equals(both["split_many"].alias("split"))


def test_planted_and_real_overlaps_with_evaluation_problems_are_removed(tmp_path: Path) -> None:
    math500 = real("benchmarks/math500.jsonl")
    planted = json.loads(math500.read_bytes().splitlines()[7])
    disguised = "Consider this. " + planted["problem"].upper().replace("$", " $ ")
    lines = [*GOOD, encode(row(200, problem=planted["problem"])), encode(row(201, problem=disguised))]
    decontamination = {"files": [str(math500), str(real("benchmarks/aime24.jsonl"))], "ngram": 13}
    params = settings(write(tmp_path / "rows.jsonl", lines), decontamination=decontamination)
    table, report = build(tmp_path / "out", params)
    assert table.height == len(GOOD)
    assert drops(report) == {"overlaps an evaluation problem": 2}
    assert report["contamination"]["removed"] == 2
    assert [file["problems"] for file in report["contamination"]["files"]] == [500, 30]
    for example in report["contamination"]["examples"]:
        assert example["evaluation"] == f"{math500}:8"
        assert example["ngram"] in " ".join(tokenize_words(planted["problem"], operators=False))

    recorded = settings(
        files={"paths": [str(real("recorded/math_100x8.jsonl"))], "source": "math"}, decontamination=decontamination
    )
    _, report = build(tmp_path / "recorded", recorded)
    found = {example["text"][:40] for example in report["contamination"]["examples"]}
    assert "A robot moving forward at a constant spe" in found


def test_the_whole_recipe_block_runs_on_the_real_file(tmp_path: Path) -> None:
    files = [str(real(f"benchmarks/{name}.jsonl")) for name in ("math500", "amc23", "aime24")]
    numina = real("numina/numina_math_cot.jsonl")
    table, report = build(tmp_path / "out", settings(numina, decontamination={"files": files, "ngram": 13}))
    assert report["rows"] == 107
    assert drops(report) == {
        "answer is a sentence": 1,
        "multiple questions": 50,
        "needs a figure": 1,
        "not in Latin script": 2,
        "proof only": 31,
        "several different answers": 2,
        "source left out": 2,
    }
    assert table.height == 18
    assert set(table["source"]) == {"olympiads", "aops_forum", "cn_k12"}


def test_a_given_source_fills_a_missing_column_only(tmp_path: Path) -> None:
    bare = {key: value for key, value in row(1).items() if key != "source"}
    path = write(tmp_path / "rows.jsonl", [encode(bare), encode(row(2)), encode(row(3, source=None))])
    table, report = build(tmp_path / "out", settings(files={"paths": [str(path)], "source": "mine"}))
    assert sorted(table["source"]) == ["mine", "olympiads"]
    assert drops(report) == {"source null": 1}


def test_limit_bounds_the_rows_read(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", GOOD)
    table, report = build(tmp_path / "out", settings(path, path, limit=7))
    assert report["rows"] == table.height == 7


def test_toy_problems_come_with_their_splits(tmp_path: Path) -> None:
    block = yaml.safe_load((RECIPES.parent / "params.yaml").read_text(encoding="utf-8"))["problems"]
    block["toy_arithmetic"] = {"train": 60, "validation": 20, "test": 30}
    params = validate(ProblemsParams, block, "problems")
    table, report = build(tmp_path / "a", params)
    assert report["by_split"] == {"train": 60, "validation": 20, "test": 30}
    assert drops(report) == {}
    assert table["problem"].n_unique() == 110
    build(tmp_path / "b", params)
    assert hash_folder(tmp_path / "a") == hash_folder(tmp_path / "b")


def hub_settings() -> ProblemsParams:
    block = yaml.safe_load((RECIPES / "llama-3.1-8b.yaml").read_text(encoding="utf-8"))["problems"]
    return validate(ProblemsParams, {**block, "decontamination": None}, "problems")


def test_the_hub_is_read_as_a_stream_at_the_pinned_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: dict[str, Any] = {}
    local = datasets.Dataset.from_list([row(number) for number in range(5)])

    def load(repo: str, **options: Any) -> Any:
        asked.update(repo=repo, **options)
        return local.to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load)
    table, _ = build(tmp_path / "out", hub_settings())
    revision = "9d8d210c9f6a36c8f3cd84045668c9b7800ef517"
    named = {"repo": "AI-MO/NuminaMath-CoT", "name": None, "revision": revision, "split": "train"}
    assert asked == {**named, "streaming": True}
    assert set(table["origin"]) == {f"AI-MO/NuminaMath-CoT@{revision} train"}
    assert sorted(table["origin_row"]) == [0, 1, 2, 3, 4]


def test_a_stream_that_breaks_off_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def broken() -> Iterator[dict[str, Any]]:
        yield row(1)
        raise ConnectionError("the line went dead")

    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: broken())
    with pytest.raises(ValueError, match=r"NuminaMath-CoT.*after row 1 \(ConnectionError: the line went dead\)"):
        build(tmp_path / "out", hub_settings())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reader": "hub", "hub": None}, "reader hub needs the block hub"),
        ({"splits": None}, "splits: missing; give reader files the fractions to hold out, such as"),
        ({"splits": {"validation": 0.5, "test": 0.5}}, "leave no problem for training"),
        ({"exact": "drop"}, "problems.exact: unknown key"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        settings(Path("rows.jsonl"), **changes)


def test_a_missing_file_says_where_to_get_it(tmp_path: Path) -> None:
    files = {"paths": [str(tmp_path / "none.jsonl")], "get_from": "download it from nowhere"}
    with pytest.raises(UserError, match=r"problems.files.paths: .*none.jsonl: no such file; download it from nowhere"):
        build(tmp_path / "out", settings(files=files))


def load_file(path: Path) -> dict[str, BenchmarkParams]:
    value = {"file": {"path": str(path), "sha256": compute_sha256(path)}}
    return {"mine": validate(BenchmarkParams, value, "mine")}


def test_problems_are_held_against_the_benchmarks_of_the_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    revision = "0" * 40
    hub = {"repo": "org/test", "revision": revision, "split": "test"}
    hub_rows = datasets.Dataset.from_list([{"problem": row(7)["problem"], "answer": "7"}])
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: hub_rows)
    held_out = write(tmp_path / "held_out.jsonl", [encode({"question": row(8)["problem"], "answer": 8})])
    further = write(tmp_path / "further.jsonl", [encode({"question": row(9)["problem"]})])
    benchmarks = {**load_file(held_out), "test": validate(BenchmarkParams, {"hub": hub}, "test")}
    params = settings(
        write(tmp_path / "rows.jsonl", GOOD),
        decontamination={"hub": [hub], "files": [str(further)], "ngram": 5},
        near_duplicates=None,
    )
    report = build_problems(params, 1, 0, tmp_path / "out", benchmarks)
    assert {it["evaluation"] for it in report["contamination"]["examples"]} == {
        "mine, row 0", "test, row 0", f"{further}:1"
    }  # fmt: skip
    assert report["contamination"]["files"] == [
        {"file": "held_out.jsonl", "sha256": compute_sha256(held_out), "problems": 1},
        {"file": f"org/test@{revision} test", "problems": 1},
        {"file": "further.jsonl", "sha256": compute_sha256(further), "problems": 1},
        {"file": f"org/test@{revision} test", "problems": 1},
    ]
    unchecked = params.model_copy(update={"decontamination": None})
    assert build_problems(unchecked, 1, 0, tmp_path / "unchecked", benchmarks)["contamination"] is None


def test_a_benchmark_that_cannot_be_had_is_one_clear_line(tmp_path: Path) -> None:
    held_out = write(tmp_path / "held_out.jsonl", [encode({"question": "What is it?", "answer": 8})])
    benchmarks = load_file(held_out)
    held_out.unlink()
    params = settings(write(tmp_path / "rows.jsonl", GOOD), decontamination={})
    with pytest.raises(
        UserError, match=r"^evaluate\.benchmarks\.mine, .*held_out\.jsonl: no such file; check the path$"
    ):
        build_problems(params, 1, 0, tmp_path / "out", benchmarks)


def test_toy_problems_are_not_held_against_their_own_kind(tmp_path: Path) -> None:
    toy = validate(
        ProblemsParams,
        {"reader": "toy_arithmetic", "toy_arithmetic": {"train": 9, "validation": 1, "test": 1}},
        "problems",
    )
    table, _ = build(tmp_path / "out", toy)
    held_out = write(tmp_path / "held_out.jsonl", [encode({"problem": table["problem"][0], "answer": "1"})])
    report = build_problems(toy, 1, 0, tmp_path / "again", load_file(held_out))
    assert report["contamination"] is None
    assert hash_folder(tmp_path / "again") == hash_folder(tmp_path / "out")


ASK = """
import sys
from pathlib import Path
from stages.common.params.evaluate import load_benchmarks
from stages.common.params.evaluate import BenchmarkParams
from stages.common.params.problems import DecontaminationParams
from stages.problems.contamination import read_evaluation_sets
found = read_evaluation_sets(DecontaminationParams(), load_benchmarks(Path(sys.argv[1])))
print(found.files, found.find_overlap("Once more: what is the sum of one hundred and two hundred?"))
"""


@pytest.mark.slow
def test_a_benchmark_in_the_cache_of_the_hub_needs_no_network(tmp_path: Path) -> None:
    line = {"problem": "What is the sum of one hundred and two hundred?", "answer": "300"}
    repository = Repository("dataset", "org/held-out", False)
    commit = repository.add({"test.jsonl": encode(line)}, "problems")
    recipe = tmp_path / "M0.yaml"
    block = {"repo": "org/held-out", "revision": commit.id, "split": "test"}
    recipe.write_text(yaml.safe_dump({"evaluate": {"benchmarks": {"mine": {"hub": block}}}}), encoding="utf-8")

    def ask(home: str, **changes: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HF_HOME": str(tmp_path / home), "HF_HUB_DISABLE_XET": "1", **changes}
        command = [sys.executable, "-c", ASK, str(recipe)]
        return subprocess.run(command, env=environment, text=True, capture_output=True, check=False, timeout=120)

    with serve() as hub:
        hub.repositories["dataset", repository.name] = repository
        online = ask("home", HF_ENDPOINT=hub.url)
    assert "'problems': 1" in online.stdout, online.stderr
    assert "evaluation='mine, row 0'" in online.stdout
    assert ask("home", HF_HUB_OFFLINE="1").stdout == online.stdout
    last_line = ask("elsewhere", HF_HUB_OFFLINE="1").stderr.splitlines()[-1]
    assert f"evaluate.benchmarks.mine, which problems are held against: org/held-out@{commit.id} test" in last_line
    assert "could not be read after row 0" in last_line
    assert last_line.endswith("check its name and the network, or read a file of your own")
