"""Weights, the order of training rows, and the rows themselves."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import get_args

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.params.dataset import DatasetParams
from stages.common.params.judge import JudgeScope
from stages.common.params.sample import PromptParams
from stages.common.params.select import SelectParams
from stages.common.tables import LABEL, OUTCOME, PROBLEM, SAMPLE, SELECTION, STEP, content_hash, write_table
from stages.dataset import external_sort
from stages.dataset.external_sort import POSITION, ExternalSort
from stages.dataset.label_balance import check_label_counts, compute_class_weights, list_balance_warnings
from stages.dataset.round_tables import RoundTables
from stages.dataset.training_files import build_dataset
from stages.dataset.training_order import count_same_problem_pairs, order_for_training
from stages.select import keep_in_scope, select_samples

PARAMS = DatasetParams(kl_block_size=4, max_weight=10.0)
EVERYTHING = SelectParams(max_correct=None, max_incorrect=None, require_both=False, balance=False, deduplicate=False)
ROWS = st.lists(st.tuples(st.integers(0, 6), st.sampled_from([True, False, None]), st.integers(0, 3)), max_size=60)


def frame(rows: list[tuple[int, bool | None, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(f"s{at}", f"p{problem}", f"text {text}", label) for at, (problem, label, text) in enumerate(rows)],
        schema={"sample_id": pl.String, "problem_id": pl.String, "completion": pl.String, "label": pl.Boolean},
        orient="row",
    )


@given(ROWS.map(lambda rows: [(p, bool(label), t) for p, label, t in rows]), st.integers(2, 9))
@settings(max_examples=50)
def test_order_is_a_permutation_and_mixes_labels(rows: list[tuple[int, bool | None, int]], block: int) -> None:
    table = frame(rows)
    ordered = order_for_training(table, block, 7)
    assert sorted(ordered["sample_id"]) == sorted(table["sample_id"])
    right, wrong = int(table["label"].sum() or 0), int((~table["label"]).sum() or 0)
    for start in range(0, ordered.height - block + 1, block):
        labels = ordered["label"][start : start + block]
        due = block * right / max(right + wrong, 1)
        assert abs(int(labels.sum()) - due) <= 1


def test_samples_of_one_problem_are_kept_apart() -> None:
    table = frame([(at // 8, at % 2 == 0, at) for at in range(800)])
    assert count_same_problem_pairs(table, 32) > 600
    assert count_same_problem_pairs(order_for_training(table, 32, 1), 32) <= 8


@given(st.integers(1, 500), st.integers(1, 500))
def test_weights_keep_trls_ratio(right: int, wrong: int) -> None:
    weights = compute_class_weights(right, wrong, 1e9)
    ratio = weights["desirable"] * right / (weights["undesirable"] * wrong)
    assert 1 - 1e-9 <= ratio <= 4 / 3 + 1e-9
    assert min(weights.values()) == 1


def test_weights_are_capped_and_safe_when_a_class_is_empty() -> None:
    assert compute_class_weights(1, 100, 10.0) == {"desirable": 10.0, "undesirable": 1.0}
    assert compute_class_weights(0, 5, 10.0) == {"desirable": 1.0, "undesirable": 1.0}


def count(correct: int, incorrect: int, unknown: int = 0) -> dict[str, int]:
    return {"correct": correct, "incorrect": incorrect, "unknown": unknown}


@pytest.mark.parametrize(
    ("counts", "warnings"),
    [
        (count(60, 40), []),
        (count(9, 1), []),
        (count(10, 1), ["10 correct and 1 incorrect step labels: lopsided"]),
        (count(0, 5), ["0 correct and 5 incorrect step labels: lopsided"]),
        (count(0, 0, 90), []),
        (
            count(1, 1171),
            [
                "1 correct and 1,171 incorrect step labels: lopsided",
                "1 correct and 1,171 incorrect step labels: dataset.max_weight caps the desirable weight at 10, "
                "1171.0 levels them",
            ],
        ),
    ],
)
def test_lopsided_labels_and_capped_weights_are_said(counts: dict[str, int], warnings: list[str]) -> None:
    assert list_balance_warnings({"step": counts}, 10.0) == warnings


@given(st.integers(0, 500), st.integers(0, 500), st.floats(1, 20))
def test_a_cap_is_said_where_it_changes_a_weight(correct: int, incorrect: int, cap: float) -> None:
    free, capped = (compute_class_weights(correct, incorrect, limit) for limit in (1e9, cap))
    warnings = list_balance_warnings({"outcome": count(correct, incorrect)}, cap)
    assert (free != capped) == any("caps" in warning for warning in warnings)


def test_too_few_labels_stop_where_a_minimum_is_set() -> None:
    check_label_counts({"outcome": count(0, 9), "step": count(0, 0, 5)}, 0, "data")
    check_label_counts({"outcome": count(3, 3), "step": count(0, 0, 5)}, 3, "data")
    message = r"^data: dataset\.min_per_label: expected at least 4 .* step labels, found 9 and 3;"
    with pytest.raises(UserError, match=message):
        check_label_counts({"outcome": count(4, 4), "step": count(9, 3)}, 4, "data")


def write_round(
    folder: Path, rows: dict[str, list[tuple[object, ...]]], rule: SelectParams, digits: int, scope: JudgeScope = "all"
) -> RoundTables:
    """Tables of a round in which `rule` selects, and what is judged by `scope` has the given steps and labels."""
    tables = {"problems": PROBLEM, "samples": SAMPLE, "outcomes": OUTCOME, "steps": STEP, "labels": LABEL}
    frames = {name: pl.DataFrame(rows[name], schema=table.schema, orient="row") for name, table in tables.items()}
    verdicts = frames["outcomes"].select("sample_id", "is_correct")
    frames["selections"] = select_samples(frames["samples"].join(verdicts, on="sample_id"), rule, 1)
    judged = keep_in_scope(frames["samples"], frames["selections"], scope)
    for name in ("steps", "labels"):
        frames[name] = frames[name].join(judged, on="sample_id", how="semi", maintain_order="left")
    for name, table in {**tables, "selections": SELECTION}.items():
        write_table(folder / name, table, frames[name], digits)
    folders = ("problems", "samples", "outcomes", "selections", "steps", "labels")
    return RoundTables(*(folder / name for name in folders), scope)


@pytest.fixture
def inputs(tmp_path: Path) -> RoundTables:
    """Two problems with two samples of two steps each."""
    problems = [(f"p{n}", "train", "s", f"What is {n}?", "sol", "1", "here", n, "math") for n in range(2)]
    ends, ids = ("stop", "length"), [5, 6, 7, 1]
    samples = [
        (
            f"s{n}{k}",
            f"p{n}",
            "m",
            "t",
            k,
            1,
            f"a{k}\ncd",
            ends[n * (1 - k)],
            3,
            4,
            ids if n else None,
            "h" if n else None,
        )
        for n in range(2)
        for k in range(2)
    ]
    steps = [(s[0], s[1], h, 3 * h, 3 + 2 * h) for s in samples for h in range(2)]
    judged = [(s[0], s[1], s[2], [True, None][s[2]], "why", 1, 1.0, None, "j") for s in steps]
    outcomes = [(s[0], s[1], "1", "box", s[4] == 0, "r", "g") for s in samples]
    rows = {"problems": problems, "samples": samples, "outcomes": outcomes, "steps": steps, "labels": judged}
    return write_round(tmp_path, rows, SelectParams(), 0)


@pytest.fixture
def lopsided(tmp_path: Path) -> RoundTables:
    """A round of 172 samples of 43 problems, one of them correct, and no step that is incorrect."""
    problems = [(f"p{n}", "train", "s", f"What is {n}?", "sol", "1", "here", n, "math") for n in range(43)]
    keys = [(f"s{n}", f"p{n // 4}") for n in range(172)]
    samples = [(*key, "m", "t", n % 4, 1, "a\nb", "stop", 3, 4, None, None) for n, key in enumerate(keys)]
    steps = [(*key, 0, 0, 3) for key in keys]
    labels = [(*key, 0, True, "why", 1, 1.0, None, "j") for key in keys]
    outcomes = [(*key, "1", "box", n == 7, "r", "g") for n, key in enumerate(keys)]
    rows = {"problems": problems, "samples": samples, "outcomes": outcomes, "steps": steps, "labels": labels}
    return write_round(tmp_path, rows, EVERYTHING, 0)


def test_one_correct_sample_of_172_is_said_once_and_stops_by_choice(
    lopsided: RoundTables, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prompt, out = PromptParams(chat=False, template="{problem}"), tmp_path / "out"
    out.mkdir()
    report = build_dataset(lopsided, PARAMS, prompt, 1, 0, out)
    outcomes = "1 correct and 171 incorrect outcome labels"
    said = [
        f"{outcomes}: lopsided",
        f"{outcomes}: dataset.max_weight caps the desirable weight at 10, 171.0 levels them",
        "172 correct and 0 incorrect step labels: lopsided",
    ]
    assert report["warnings"] == said == [record.getMessage() for record in caplog.records]
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["warnings"] == said
    with pytest.raises(UserError, match="11 incorrect outcome labels, found 1 and 171; sample more"):
        build_dataset(lopsided, PARAMS.model_copy(update={"min_per_label": 11}), prompt, 1, 0, out)


def test_rows_weights_and_manifest(inputs: RoundTables, tmp_path: Path) -> None:
    prompt = PromptParams(chat=False, system=None, template="{problem}\n")
    (tmp_path / "out").mkdir()
    report = build_dataset(inputs, PARAMS, prompt, 1, 0, tmp_path / "out")
    rows = pl.read_parquet(tmp_path / "out" / "step_kto.parquet")
    assert rows.height == report["rows"] == 4
    first = rows.sort("sample_id").row(0, named=True)
    assert first["prompt"] == "What is 0?\n"
    assert [first["completion"][s["start"] : s["end"]] for s in first["steps"]] == ["a0\n", "cd"]
    assert [s["label"] for s in first["steps"]] == [True, None]
    assert report["labels"]["after"] == {
        "outcome": {"correct": 1, "incorrect": 3, "unknown": 0},
        "step": {"correct": 4, "incorrect": 0, "unknown": 4},
    }
    for name in ("kto", "step_kto"):
        kept = pl.read_parquet(tmp_path / "out" / f"{name}.parquet").sort("sample_id")
        assert kept["completion_ids"].to_list() == [None, None, [5, 6, 7, 1], [5, 6, 7, 1]]
        assert kept["tokenizer"].to_list() == [None, None, "h", "h"]
        assert kept["finish_reason"].to_list() == ["stop", "stop", "length", "stop"]


@pytest.mark.parametrize(
    ("cut", "labels", "correct"),
    [
        ("keep", [True, False, False, False], 1),
        ("unlabelled", [True, False, None, False], 1),
        ("drop", [True, False, False], 1),
    ],
)
def test_a_cut_completion_is_incorrect_or_dropped_or_without_an_outcome(
    inputs: RoundTables, tmp_path: Path, cut: str, labels: list[bool | None], correct: int
) -> None:
    """Sample s10 reached the token limit with the gold answer in its text."""
    params = DatasetParams.model_validate({"kl_block_size": 4, "cut": cut})
    (tmp_path / "out").mkdir()
    report = build_dataset(inputs, params, PromptParams(), 1, 0, tmp_path / "out")
    rows = pl.read_parquet(tmp_path / "out" / "step_kto.parquet").sort("sample_id")
    assert rows["label"].to_list() == labels
    assert report["labels"]["after"]["outcome"]["correct"] == correct
    assert report["labels"]["before"]["outcome"]["correct"] == 2
    assert report["cut"] == {"completions": 1, "with_correct_answer": 1}
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["drops"] == (
        {"cut by length": 1} if cut == "drop" else {}
    )
    assert rows.filter(pl.col("sample_id") == "s10")["steps"].list.len().to_list() == ([] if cut == "drop" else [2])


def test_the_same_inputs_give_the_same_bytes(inputs: RoundTables, tmp_path: Path) -> None:
    prompt = PromptParams(chat=True, system="Solve it.", template="{problem}")
    hashes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        hashes.append(build_dataset(inputs, PARAMS, prompt, 1, 0, tmp_path / name)["hash"])
    assert hashes[0] == hashes[1]
    assert '"role": "system"' in pl.read_parquet(tmp_path / "one" / "kto.parquet")["prompt"][0]


def test_labels_of_other_steps_are_refused(inputs: RoundTables, tmp_path: Path) -> None:
    judged = pl.read_parquet(inputs.labels / "all.parquet").with_columns(step=pl.col("step") + 1)
    write_table(inputs.labels, LABEL, judged, 0)
    with pytest.raises(ValueError, match="are not those of"):
        build_dataset(inputs, PARAMS, PromptParams(chat=False, system=None, template="{problem}"), 1, 0, tmp_path)


def many(folder: Path, digits: int, rule: SelectParams = EVERYTHING, scope: JudgeScope = "all") -> RoundTables:
    """Sixty problems with ids over all shards, five samples each, some without a verdict."""
    names = [content_hash("p", at) for at in range(60)]
    problems = [
        (name, "train", "s", f"What is {name}?", "sol", "1", "here", at, "math") for at, name in enumerate(names)
    ]
    samples = [
        (content_hash(name, k), name, "m", "t", k, 1, f"first {k}\nsecond", "stop", 3, 4, None, None)
        for name in names
        for k in range(5)
    ]
    steps = [(s[0], s[1], h, [0, 8][h], [8, len(s[6])][h]) for s in samples for h in range(2)]
    judged = [(s[0], s[1], s[2], [True, False, None][int(s[0], 16) % 3], "", 1, 1.0, None, "j") for s in steps]
    outcomes = [(s[0], s[1], "1", "box", [True, False, True, None][int(s[0], 16) % 4], "r", "g") for s in samples]
    rows = {"problems": problems, "samples": samples, "outcomes": outcomes, "steps": steps, "labels": judged}
    return write_round(folder, rows, rule, digits, scope)


def test_shards_change_nothing(tmp_path: Path) -> None:
    prompt = PromptParams(chat=False, system=None, template="{problem}")
    reports = []
    for digits in (0, 1, 2):
        folder = tmp_path / str(digits)
        (folder / "out").mkdir(parents=True)
        reports.append(build_dataset(many(folder, digits), PARAMS, prompt, 1, digits, folder / "out"))
        assert sorted(path.name for path in folder.iterdir()) == [
            "labels", "out", "outcomes", "problems", "samples", "selections", "steps",
        ], "what waited on disk is gone"  # fmt: skip
    assert reports[0] == reports[1] == reports[2]
    assert 100 < reports[0]["rows"] < 300


@pytest.mark.parametrize("rule", [EVERYTHING, SelectParams()], ids=["everything", "paper"])
def test_judging_only_what_is_kept_gives_the_same_rows(tmp_path: Path, rule: SelectParams) -> None:
    prompt = PromptParams(chat=False, system=None, template="{problem}")
    reports = {}
    for scope in get_args(JudgeScope):
        (tmp_path / scope / "out").mkdir(parents=True)
        tables = many(tmp_path / scope, 1, rule, scope)
        reports[scope] = build_dataset(tables, PARAMS, prompt, 1, 1, tmp_path / scope / "out")
    selected, everything = reports["selected"], reports["all"]
    for key in ("rows", "hash", "files", "weights", "paired_with_own_problem"):
        assert selected[key] == everything[key], key
    assert selected["labels"]["after"] == everything["labels"]["after"]
    assert selected["labels"]["before"]["outcome"] == everything["labels"]["before"]["outcome"]
    assert selected["labels"]["before"]["step"] == selected["labels"]["after"]["step"]
    assert selected["quality"]["completions"] == selected["rows"] < everything["quality"]["completions"] == 300


def test_a_step_that_is_nowhere_is_named(tmp_path: Path) -> None:
    inputs = many(tmp_path, 0)
    kept = pl.read_parquet(inputs.selections / "all.parquet").filter(pl.col("drop_reason").is_null())
    for folder, table in ((inputs.steps, STEP), (inputs.labels, LABEL)):
        frame = pl.read_parquet(folder / "all.parquet")
        write_table(folder, table, frame.filter(pl.col("sample_id") != kept["sample_id"].max()), 0)
    (tmp_path / "out").mkdir()
    prompt = PromptParams(chat=False, system=None, template="{problem}")
    with pytest.raises(ValueError, match="1 samples have no problem or no steps"):
        build_dataset(inputs, PARAMS, prompt, 1, 0, tmp_path / "out")


@given(st.permutations(range(23)), st.integers(1, 9), st.integers(1, 9))
def test_rows_are_written_at_their_places(places: list[int], batch: int, part: int) -> None:
    table = pl.DataFrame({POSITION: places, "text": [f"row {place}" for place in places], "n": places})
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(external_sort, "ROW_GROUP", part)
        with ExternalSort(Path(folder)) as external:
            for start in range(0, table.height, batch):
                external.add(table[start : start + batch])
        external.write({Path(folder, "a.parquet"): ("text",), Path(folder, "b.parquet"): ("n", "text")})
        assert pl.read_parquet(Path(folder, "a.parquet"))["text"].to_list() == [f"row {at}" for at in range(23)]
        assert pl.read_parquet(Path(folder, "b.parquet")).columns == ["n", "text"]


def test_the_order_is_the_one_of_old() -> None:
    """Data sets made before are made again: a change of the order shows here."""
    table = frame([(at // 3, at % 2 == 0, at) for at in range(12)])
    numbers = [int(name[1:]) for name in order_for_training(table, 4, 7)["sample_id"]]
    assert numbers == [7, 1, 6, 0, 4, 9, 3, 10, 8, 5, 11, 2]
