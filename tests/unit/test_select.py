"""Which samples are kept, and why the others are not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.params.block import ParamsError, validate
from stages.common.params.dataset import DatasetParams
from stages.common.params.judge import load_scope
from stages.common.params.recipe import resolve
from stages.common.params.select import SelectParams
from stages.common.tables import OUTCOME, SAMPLE, SELECTION, read_table, seed_from, write_table
from stages.select import keep_in_scope, keep_selected, select_samples
from stages.select.__main__ import select
from stages.split.__main__ import split

PAPER = SelectParams()
EVERYTHING = SelectParams(max_correct=None, max_incorrect=None, require_both=False, balance=False, deduplicate=False)
ROWS = st.lists(st.tuples(st.integers(0, 6), st.sampled_from([True, False, None]), st.integers(0, 3)), max_size=60)
LIMIT = st.sampled_from([None, 1, 2, 3])
RULES = st.builds(
    SelectParams,
    max_correct=LIMIT,
    max_incorrect=LIMIT,
    require_both=st.booleans(),
    balance=st.booleans(),
    deduplicate=st.booleans(),
)
Row = tuple[int, bool | None, int]
"""Problem, outcome, and a number for the text, where 0 is an empty one."""


def frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(
        [(f"s{at}", f"p{problem}", f"text {text}" if text else " ", label)
         for at, (problem, label, text) in enumerate(rows)],
        schema={"sample_id": pl.String, "problem_id": pl.String, "completion": pl.String, "is_correct": pl.Boolean},
        orient="row",
    )  # fmt: skip


def select_by_hand(rows: list[Row], rule: SelectParams) -> dict[str, tuple[int | None, str | None]]:
    """Rank and reason of each sample by the rule's words, problem by problem in plain Python."""
    found: dict[str, tuple[int | None, str | None]] = {}
    for problem in {row[0] for row in rows}:
        own = [(f"s{at}", label, text) for at, (of, label, text) in enumerate(rows) if of == problem]
        kept: dict[bool, list[str]] = {True: [], False: []}
        texts = set()
        for name, label, text in sorted(own, key=lambda row: (seed_from("select", 1, row[0]), row[0])):
            if label is None:
                found[name] = (None, "outcome unknown")
            elif not text:
                found[name] = (None, "empty completion")
            elif rule.deduplicate and text in texts:
                found[name] = (None, "same completion for the same problem")
            else:
                texts.add(text)
                kept[label].append(name)
        limits = {True: rule.max_correct, False: rule.max_incorrect}
        limited = {label: names[: limits[label]] for label, names in kept.items()}
        fewer = min(map(len, limited.values()))
        for label, names in kept.items():
            for rank, name in enumerate(names):
                reason = None
                if rule.require_both and not (kept[True] and kept[False]):
                    reason = "problem lacks a correct or an incorrect sample"
                elif name not in limited[label]:
                    reason = "more than the limit per problem"
                elif rule.balance and rank >= fewer:
                    reason = "balance of correct and incorrect"
                found[name] = (None if reason else rank, reason)
    return found


@given(ROWS, RULES)
def test_every_sample_is_kept_or_has_a_reason(rows: list[Row], rule: SelectParams) -> None:
    selection = select_samples(frame(rows), rule, 1)
    found = {row[0]: row[1:] for row in selection.select("sample_id", "rank", "drop_reason").iter_rows()}
    assert found == select_by_hand(rows, rule)
    assert selection.equals(SELECTION.check(selection).sort(SELECTION.key))


@given(ROWS)
def test_the_papers_rule(rows: list[Row]) -> None:
    samples = frame(rows)
    for _, group in keep_selected(samples, select_samples(samples, PAPER, 1)).group_by("problem_id"):
        num_correct, num_incorrect = int(group["is_correct"].sum()), int((~group["is_correct"]).sum())
        assert num_correct == num_incorrect
        assert 1 <= num_correct <= 2
        assert not group["completion"].is_duplicated().any()


@given(ROWS)
def test_keeping_everything_drops_only_what_cannot_be_used(rows: list[Row]) -> None:
    samples = frame(rows)
    kept = keep_selected(samples, select_samples(samples, EVERYTHING, 1))
    assert kept.height == sum(label is not None and text > 0 for _, label, text in rows)


def test_selection_does_not_depend_on_row_order() -> None:
    table = frame([(at % 5, at % 3 == 0, at + 1) for at in range(60)])
    one = select_samples(table, PAPER, 1)
    assert one.equals(select_samples(table.sample(fraction=1, shuffle=True, seed=4), PAPER, 1))
    assert not one.equals(select_samples(table, PAPER, 2))


def test_reasons_are_those_of_the_rule() -> None:
    rows = [(0, True, 1), (0, None, 2), (1, False, 1), (1, False, 1), (1, True, 3), (1, False, 4), (1, False, 5)]
    counts = Counter(select_samples(frame(rows), PAPER, 1)["drop_reason"].drop_nulls())
    assert counts == {
        "outcome unknown": 1,
        "same completion for the same problem": 1,
        "problem lacks a correct or an incorrect sample": 1,
        "more than the limit per problem": 1,
        "balance of correct and incorrect": 1,
    }


def test_what_is_judged_follows_from_the_scope() -> None:
    samples = frame([(0, True, 1), (0, False, 2), (1, True, 3)])
    selection = select_samples(samples, PAPER, 1)
    assert keep_in_scope(samples, selection, "all").equals(samples)
    assert keep_in_scope(samples, selection, "selected")["sample_id"].to_list() == ["s0", "s1"]


def write_samples(folder: Path, rows: list[Row]) -> None:
    table = frame(rows)
    facts = {"policy": "p", "sampling_hash": "s", "sample_index": 0, "seed": 1, "finish_reason": "stop"}
    samples = table.drop("is_correct").with_columns(
        *(pl.lit(value).alias(name) for name, value in facts.items()),
        prompt_tokens=1,
        completion_tokens=1,
        completion_ids=None,
        tokenizer=None,
    )
    outcomes = table.drop("completion").with_columns(
        answer=pl.lit("1"), extraction_rule=pl.lit("box"), reason=pl.lit("r"), verifier=pl.lit("v")
    )
    write_table(folder / "samples", SAMPLE, samples, 0)
    write_table(folder / "outcomes", OUTCOME, outcomes, 0)


def test_the_stage_writes_every_sample_with_its_reason(tmp_path: Path) -> None:
    write_samples(tmp_path, [(0, True, 1), (0, True, 2), (0, False, 3), (1, True, 4), (2, None, 5)])
    recipe = tmp_path / "params.yaml"
    recipe.write_text("select: {}\n", encoding="utf-8")
    select(recipe, tmp_path / "samples", tmp_path / "outcomes", tmp_path / "out", tmp_path / "report.json")
    rows = read_table(tmp_path / "out", SELECTION, 0)
    assert rows.height == 5
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["samples"], report["selected"]) == (5, 2) == (5, rows["rank"].count())
    assert report["outcomes"] == {
        "before": {"correct": 3, "incorrect": 1, "unknown": 1},
        "after": {"correct": 1, "incorrect": 1, "unknown": 0},
    }
    assert {reason: drop["rows"] for reason, drop in report["drops"].items()} == Counter(
        rows["drop_reason"].drop_nulls()
    )
    assert report["drops"]["outcome unknown"]["examples"] == [{"where": "s4", "text": "text 5"}]


def test_a_stage_that_fails_leaves_what_was_there_and_gives_the_same_bytes_again(tmp_path: Path) -> None:
    write_samples(tmp_path, [(0, True, 1), (0, False, 2), (1, True, 3)])
    recipe, outcomes = tmp_path / "params.yaml", tmp_path / "outcomes/all.parquet"
    recipe.write_text("select: {}\n", encoding="utf-8")
    folders = (tmp_path / "samples", tmp_path / "outcomes", tmp_path / "out", tmp_path / "report.json")
    select(recipe, *folders)
    before, whole = (tmp_path / "out/all.parquet").read_bytes(), outcomes.read_bytes()
    pl.read_parquet(outcomes).head(-1).write_parquet(outcomes)
    with pytest.raises(UserError, match=r"shard all: 1 samples of .*samples have no outcome; run stage outcome again"):
        select(recipe, *folders)
    assert (tmp_path / "out/all.parquet").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out",
        "outcomes",
        "params.yaml",
        "report.json",
        "samples",
    ]
    outcomes.write_bytes(whole)
    select(recipe, *folders)
    assert (tmp_path / "out/all.parquet").read_bytes() == before


@pytest.mark.parametrize(("scope", "num_samples"), [("selected", 2), ("all", 5)])
def test_only_what_is_judged_is_split(tmp_path: Path, scope: str, num_samples: int) -> None:
    write_samples(tmp_path, [(0, True, 1), (0, True, 2), (0, False, 3), (1, True, 4), (2, None, 5)])
    recipe = tmp_path / "params.yaml"
    recipe.write_text(yaml.safe_dump({"judge": {"kind": "none", "scope": scope}}), encoding="utf-8")
    assert load_scope(recipe) == scope
    select(recipe, tmp_path / "samples", tmp_path / "outcomes", tmp_path / "selections", tmp_path / "select.json")
    split(recipe, tmp_path / "samples", tmp_path / "selections", tmp_path / "steps", tmp_path / "split.json")
    report = json.loads((tmp_path / "split.json").read_text(encoding="utf-8"))
    assert (report["samples"], report["scope"]) == (num_samples, scope)


@pytest.mark.parametrize("old", ["max_correct", "max_right", "deduplicate", "require_both", "balance"])
def test_keys_of_the_old_block_are_refused_with_their_new_place(old: str) -> None:
    new = {"max_right": "max_correct"}.get(old, old)
    with pytest.raises(ParamsError, match=f"dataset.{old}: the key is now select.{new}; move it to block select"):
        validate(DatasetParams, {old: 1}, "dataset")
    recipe = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    recipe["rounds"]["M1"]["dataset"] = {old: 1}
    with pytest.raises(ParamsError, match=f"rounds.M1.dataset.{old}: the key is now select.{new}"):
        resolve(recipe, "M1")


def test_an_unknown_scope_is_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "params.yaml"
    recipe.write_text("judge: {kind: none, scope: kept}\n", encoding="utf-8")
    with pytest.raises(ParamsError, match=r"judge\.scope: .*'selected' or 'all'.*'kept'"):
        load_scope(recipe)
