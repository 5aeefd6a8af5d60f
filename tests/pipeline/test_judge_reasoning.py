"""Every way in which a judge may reason, through the graph: labels, replies, the audit, its page, what is published."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pytest

from stages.common.params.judge import FREE_REASONING, ReasoningMode
from stages.common.tables import LABEL, REPLY, STEP, read_table
from tests.support.clones import edit, run
from tools.audit import verify
from tools.audit.lineage.show import show
from tools.audit.page.problem_card import make_card
from tools.audit.page.problem_index import IndexedProblem
from tools.audit.table_sets import find_all_tables
from tools.dvc_lock import read_lock
from tools.publish.exported_round import read_round
from tools.publish.formats import FORMATS

pytestmark = pytest.mark.slow

FORMS = [
    *(("completion", reasoning) for reasoning in get_args(ReasoningMode)),
    *(("step", "tags"), ("critique", "before_verdict"), ("critique", "two_turns")),
]
ROUNDS = {f"{mode}-{reasoning}".replace("_", "-"): (mode, reasoning) for mode, reasoning in FORMS}


@pytest.fixture(scope="module")
def place(smoke_made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke recipe with a round for every form of reply, each up to its dataset."""
    target = tmp_path_factory.mktemp("reasoning") / "clone"
    shutil.copytree(smoke_made, target, symlinks=True)
    for name, (mode, reasoning) in ROUNDS.items():
        llm: dict[str, Any] = {
            "engine": {"kind": "mock", "mock": {"truncation_rate": 0.05}},
            "mock": {"error_rate": 0.1, "invalid_rate": 0.1},
            "model": "mock-judge",
            "mode": mode,
            "reasoning": reasoning,
            "temperature": 1.0,
        }
        judge = {"kind": "llm", "llm": llm, "num_votes": 3}
        # Critiques of a policy whose first steps are nearly all incorrect say nothing else.
        judge["checks"] = {"stop": False}
        edit(target, "rounds", name, {"policy": "M0", "judge": judge})
    run(target, "dvc", "repro", *(f"dataset@{name}" for name in ROUNDS))
    return target


def test_the_audit_reads_every_form_again(place: Path) -> None:
    results = verify(place, checks=frozenset({"files", "tables", "samples", "steps", "labels", "selection", "kto"}))
    assert not results.is_broken, "\n".join(results.format_lines())
    num_replies = sum(read_table(place / f"data/labels/{name}/replies", REPLY, 0).height for name in ROUNDS)
    assert results.by_check["labels"].num_checked > num_replies


@pytest.mark.parametrize("name", ROUNDS)
def test_a_round(place: Path, name: str) -> None:
    mode, reasoning = ROUNDS[name]
    labels = read_table(place / "data/labels" / name, LABEL, 0)
    replies = read_table(place / "data/labels" / name / "replies", REPLY, 0)
    assert labels.height == read_table(place / "data/steps" / name, STEP, 0).height
    assert {True, False} <= set(labels["label"])
    thought = replies.drop_nulls("reasoning")
    assert thought.height == (replies.height if reasoning in FREE_REASONING else 0)
    assert thought["reasoning"].str.contains("I check it against").mean() in (None, pytest.approx(1.0, abs=0.05))
    assert not replies["text"].str.contains("I check it against").any()

    sample_id = replies["sample_id"][0]
    shown = "\n".join(show(place, sample_id, name, with_whole_text=True))
    assert ("I check it against" in shown) is (reasoning in FREE_REASONING)
    assert f"prompt    stages/judge/llm/prompts/{mode}.jinja" in shown

    exported = read_round(name, place)
    (published,) = FORMATS.get("replies").read_frames(exported)
    columns = [column.name for column in FORMATS.get("replies").list_columns(False)]
    assert "reasoning" not in columns
    assert published.height == replies.height
    reasons = [frame.height for frame in FORMATS.get("reasoning").read_frames(exported)]
    assert sum(reasons) == thought.height
    (steps,) = FORMATS.get("labels").read_frames(exported)
    for step in steps.explode("steps")["steps"].drop_nulls().to_list():
        correct, incorrect = step["votes_correct"], step["votes_incorrect"]
        assert correct + incorrect + step["votes_invalid"] == 3
        assert step["label"] is None or step["label"] is (correct > incorrect)


def test_the_page_shows_thinking_apart_from_the_reply(place: Path) -> None:
    tables = next(each for each in find_all_tables(place, read_lock(place)) if each.name == "completion-two-turns")
    problem_id = read_table(place / "data/labels/completion-two-turns", LABEL, 0)["problem_id"][0]
    card = make_card(place, tables, IndexedProblem(tables.name, problem_id, {}))
    replies = [reply for completion in card["completions"] for reply in completion["replies"]]
    assert replies
    assert all("I check it against" in reply["reasoning"] for reply in replies)
    assert not any("I check it against" in reply["text"] for reply in replies)
    assert pl.DataFrame(replies).columns == ["head", "reasoning", "text"]
