"""Which solutions a person is asked to label, what is taken down, and what they may see and when."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.human_labels import append_human_labels, hash_step_text, read_human_labels
from tests.support.human_labels import human_label
from tests.support.labelled_round import DISAGREEMENT, SECRETS, Completion, make_completions, write_labelled_round
from tests.support.small_round import PART
from tools.audit.label_page.gold_items import GoldScore, read_gold, score_gold
from tools.audit.label_page.label_queue import ItemKey, LabelItem, LabelQueue, QueueOptions
from tools.audit.label_page.label_session import Examination, LabelSession, Mode
from tools.audit.label_page.label_writer import LabelWriter, SampleMarks
from tools.audit.step_hashes import require_current_labels

COMPLETIONS = make_completions(60)
BY_KEY = {("M1", it.sample_id): it for it in COMPLETIONS}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("round")
    write_labelled_round(place, COMPLETIONS)
    return place


def open_session(
    root: Path,
    path: Path,
    annotator: str = "me",
    mode: Mode = "first_error",
    gold: dict[ItemKey, int | None] | None = None,
    min_score: float = 0.8,
    **options: Any,
) -> LabelSession:
    writer = LabelWriter(root, {"M1": PART}, annotator, path, "0123abcd", "abcd0123")
    queue = LabelQueue(root, [PART], gold or {}, QueueOptions(**options))
    return LabelSession(writer, queue, mode, Examination(gold or {}, min_score))


def mark(item: dict[str, Any], *labels: str, first: int = 0) -> SampleMarks:
    marks = [{"step": first + at, "label": label, "seconds": 1.5} for at, label in enumerate(labels)]
    return SampleMarks.model_validate({"round": item["round"], "sample_id": item["sample_id"], "marks": marks})


def list_queue(queue: LabelQueue, count: int = 60) -> list[LabelItem]:
    """The first items that a person is asked who labels everything."""
    asked: list[LabelItem] = []
    while len(asked) < count and (item := queue.choose_next(len(asked), lambda it: it not in asked)):
        asked.append(item)
    return asked


# The queue


def test_everything_is_asked_once_in_the_same_order_for_everybody(root: Path) -> None:
    asked = list_queue(LabelQueue(root, [PART], ()), 100)
    assert Counter(item.key for item in asked) == Counter(list(BY_KEY))
    assert asked == list_queue(LabelQueue(root, [PART], ()), 100)
    assert asked != list_queue(LabelQueue(root, [PART], (), QueueOptions(seed=1)), 100)


def test_picked_items_come_by_value(root: Path) -> None:
    queue = LabelQueue(root, [PART], (), QueueOptions(random_fraction=0.25))
    picked = [BY_KEY[item.key] for item in list_queue(queue) if queue.find_queue(item.key) == "value"]

    def tier(it: Completion) -> int:
        if it.reason == DISAGREEMENT:
            return 0
        if it.is_correct and False in it.labels:
            return 1
        return 2 if None in it.labels else 3

    tiers = [tier(it) for it in picked]
    assert tiers == sorted(tiers)
    assert set(tiers) == {0, 1, 2, 3}


def test_the_random_queue_is_a_fixed_share_that_says_nothing_of_the_labels(tmp_path: Path) -> None:
    many = make_completions(2000, num_steps=3)
    write_labelled_round(tmp_path, many)
    queue = LabelQueue(tmp_path, [PART], (), QueueOptions(random_fraction=0.25))
    drawn = [it for it in many if queue.find_queue(("M1", it.sample_id)) == "random"]
    assert 400 < len(drawn) < 600  # 500 expected; 5 standard deviations are 97
    kinds = Counter((it.reason, it.is_correct, tuple(it.labels)) for it in drawn)
    assert len(kinds) == 5
    assert all(55 < count < 145 for count in kinds.values())  # 100 expected, 5 standard deviations are 45
    asked = list_queue(queue, 200)
    assert 20 < sum(queue.find_queue(item.key) == "random" for item in asked) < 80
    in_order = [item for item in asked if queue.find_queue(item.key) == "random"]
    assert [item.rank for item in in_order] == sorted(item.rank for item in in_order)
    assert queue.find_queue(asked[0].key) == "random"


def test_the_first_item_needs_no_reading_of_all_labels(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = LabelQueue(root, [PART], ())
    monkeypatch.setattr(queue, "sort_by_value", lambda: pytest.fail("all labels were read"))
    assert queue.choose_next(0, lambda _: True)


def test_gold_items_are_mixed_in_at_their_rate_and_asked_as_nothing_else(root: Path) -> None:
    gold = [key for at, key in enumerate(BY_KEY) if at % 3 == 0]
    queue = LabelQueue(root, [PART], gold, QueueOptions(gold_fraction=0.3))
    asked = [item.key for item in list_queue(queue)]
    assert Counter(asked) == Counter(list(BY_KEY))
    early = sum(key in gold for key in asked[:30])
    assert 2 < early < 20
    assert {queue.find_queue(key) for key in gold} == {"value"}
    exam = LabelQueue(root, [PART], gold, QueueOptions(num_exam=5))
    assert [item.key in gold for item in list_queue(exam, 5)] == [True] * 5


def test_where_there_is_nothing_to_label_it_is_said(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no step has a judge's label here"):
        LabelQueue(tmp_path, [PART], ())
    with pytest.raises(UserError, match="gold: M1: no labelled sample nowhere"):
        LabelQueue(root, [PART], [("M1", "nowhere")])


# The session


@pytest.mark.parametrize("mode", ["first_error", "per_step"])
def test_nothing_of_judge_or_verifier_is_told_before_the_label(root: Path, tmp_path: Path, mode: Mode) -> None:
    session = open_session(root, tmp_path / "labels.jsonl", mode=mode)
    for _ in range(10):
        answer = session.describe_next()
        key = (answer["item"]["round"], answer["item"]["sample_id"])
        told = [answer, session.describe_item(key)]
        with pytest.raises(UserError, match="label this solution first"):
            session.reveal(key)
        given = mark(answer["item"], *["correct"] * 4)
        told.append(session.add(given))
        assert not [secret for secret in SECRETS if secret in json.dumps(told)]
        assert not {"label", "reason", "queue", "kind", "verdict", "tags"} & set(
            json.dumps(told).replace('"', " ").split()
        )
        shown = session.reveal(key)
        assert [step["label"] for step in shown["steps"]] == [
            {True: "correct", False: "incorrect", None: "unknown"}[label] for label in BY_KEY[key].labels
        ]
        assert "REASON OF THE VERIFIER" in shown["reason"]
    assert {label.is_blind for label in read_human_labels(tmp_path / "labels.jsonl")} == {True}


def test_a_label_changed_after_the_judge_s_was_shown_is_not_blind(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    session = open_session(root, path)
    item = session.describe_next()["item"]
    session.add(mark(item, "correct", "incorrect"))
    session.add(mark(item, "incorrect"))  # corrected while still blind
    assert [(it.step, it.label, it.is_blind) for it in read_human_labels(path)] == [(0, "incorrect", True)]
    session.reveal((item["round"], item["sample_id"]))
    session.add(mark(item, "correct", "incorrect"))
    assert [(it.label, it.is_blind) for it in read_human_labels(path)] == [("correct", False), ("incorrect", False)]
    again = open_session(root, path)  # a new session does not forget
    again.add(mark(item, *["correct"] * 4))
    assert {it.is_blind for it in read_human_labels(path)} == {False}


def test_what_is_labelled_is_not_asked_again_and_what_is_begun_comes_first(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    session = open_session(root, path, mode="per_step")
    first = session.describe_next()["item"]
    session.add(mark(first, "correct", "neutral", "incorrect"))
    second = session.describe_next()["item"]
    session.add(mark(second, "correct"))
    again = open_session(root, path, mode="per_step").describe_next()
    assert (again["item"]["sample_id"], again["num_finished"]) == (second["sample_id"], 1)
    assert again["item"]["labels"] == {0: "correct"}
    other = open_session(root, path, annotator="you", mode="per_step").describe_next()
    assert (other["item"]["sample_id"], other["num_finished"]) == (first["sample_id"], 0)


def test_a_skipped_item_is_asked_in_the_next_session(root: Path, tmp_path: Path) -> None:
    session = open_session(root, tmp_path / "labels.jsonl")
    first = session.describe_next()["item"]
    second = session.describe_next(skip=(first["round"], first["sample_id"]))["item"]
    assert second["sample_id"] != first["sample_id"]
    assert open_session(root, tmp_path / "labels.jsonl").describe_next()["item"] == first


def test_an_item_labelled_while_looking_around_is_not_asked(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    first = open_session(root, path).describe_next()["item"]
    text_hash = hash_step_text(first["steps"][0])
    seen = {"sample_id": first["sample_id"], "is_blind": False, "queue": "browsing", "text_hash": text_hash}
    append_human_labels(path, [human_label(**seen)])
    session = open_session(root, path)
    assert session.describe_next()["item"]["sample_id"] != first["sample_id"]
    session.add(mark(first, *["correct"] * 4))
    assert {it.is_blind for it in read_human_labels(path)} == {False}


def test_the_end_is_said(root: Path, tmp_path: Path) -> None:
    session = open_session(root, tmp_path / "labels.jsonl")
    for _ in COMPLETIONS:
        session.add(mark(session.describe_next()["item"], *["correct"] * 4))
    assert session.describe_next() == {"item": None, "num_finished": 60, "message": "Everything here is labelled. "}


@pytest.mark.parametrize(
    ("labels", "first"),
    [
        (["correct"], 0),
        (["correct", "correct", "correct"], 0),
        (["incorrect", "correct"], 0),
        (["incorrect", "incorrect"], 0),
        (["neutral"], 0),
        (["correct", "neutral", "incorrect"], 0),
        (["correct", "neutral"], 0),
        (["incorrect"], 1),
        (["correct"] * 5, 0),
    ],
)
def test_a_first_error_has_all_before_it_correct(root: Path, tmp_path: Path, labels: list[str], first: int) -> None:
    session = open_session(root, tmp_path / "labels.jsonl")
    item = session.describe_next()["item"]
    with pytest.raises(UserError, match=r"marks: expected|no label of"):
        session.add(mark(item, *labels, first=first))
    assert not (tmp_path / "labels.jsonl").exists()


@given(st.lists(st.sampled_from(["correct", "incorrect", "cannot_tell", "bad_split"]), min_size=1, max_size=4))
@settings(max_examples=30)
def test_labels_of_any_first_error_are_read_as_given(
    root: Path, tmp_path_factory: pytest.TempPathFactory, labels: list[str]
) -> None:
    path = tmp_path_factory.mktemp("any") / "labels.jsonl"
    session = open_session(root, path)
    item = session.describe_next()["item"]
    end = next((at for at, label in enumerate(labels) if label != "correct"), None)
    given_labels = ["correct"] * 4 if end is None else labels[: end + 1]
    assert session.add(mark(item, *given_labels)) == {"is_finished": True, "num_finished": 1}
    assert [it.label for it in read_human_labels(path)] == given_labels
    assert open_session(root, path).describe_item((item["round"], item["sample_id"]))["item"]["is_finished"]


def test_another_sample_is_refused(root: Path, tmp_path: Path) -> None:
    session = open_session(root, tmp_path / "labels.jsonl")
    for key in (("M1", "nowhere"), ("M9", COMPLETIONS[0].sample_id)):
        for ask in (session.describe_item, session.reveal):
            with pytest.raises(UserError, match="no labelled sample"):
                ask(key)


def test_a_label_of_another_text_is_asked_again(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    session = open_session(root, path)
    first = session.describe_next()["item"]
    session.add(mark(first, *["correct"] * 4))
    written = read_human_labels(path)
    assert [it.text_hash for it in written] == [hash_step_text(text) for text in first["steps"]]
    assert open_session(root, path).describe_next()["item"]["sample_id"] != first["sample_id"]
    path.unlink()
    append_human_labels(path, [it.model_copy(update={"text_hash": "00000000"}) for it in written])
    again = open_session(root, path).describe_next()
    assert (again["item"]["sample_id"], again["item"]["labels"], again["num_finished"]) == (first["sample_id"], {}, 0)
    with pytest.raises(UserError, match=rf"M1, sample {first['sample_id']} step 0: labelled another text of this step"):
        require_current_labels(path, read_human_labels(path), root, [PART])


# Gold items


def test_gold_labels_are_known_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"

    def write(*cells: dict[str, Any]) -> None:
        path.write_text("", encoding="utf-8")
        append_human_labels(path, [human_label(kind="gold", **it) for it in cells])

    write({"step": 0}, {"step": 1, "label": "incorrect"}, {"sample_id": "b", "step": 0, "label": "neutral"})
    assert read_gold(path) == {("M1", "0" * 32): 1, ("M1", "b"): None}
    write({"step": 0}, {"step": 0, "label": "incorrect", "annotator": "you"})
    with pytest.raises(UserError, match="expected one label, found correct and incorrect"):
        read_gold(path)
    for cells in ({"step": 1, "label": "incorrect"}, {"step": 0, "label": "cannot_tell"}):
        write(cells)
        with pytest.raises(UserError, match="the first error cannot be told"):
            read_gold(path)


def test_the_score_counts_first_errors_found_blind() -> None:
    gold: dict[ItemKey, int | None] = {("M1", "a"): 1, ("M1", "b"): None, ("M1", "c"): 0}
    labels = [
        human_label(kind="gold", **cells)
        for cells in (
            {"sample_id": "a", "step": 0}, {"sample_id": "a", "step": 1, "label": "incorrect"},
            {"sample_id": "b", "step": 0, "label": "neutral"},
            {"sample_id": "c", "step": 0, "label": "incorrect", "is_blind": False},
            {"sample_id": "a", "step": 0, "label": "cannot_tell", "annotator": "you"},
            {"sample_id": "elsewhere", "step": 0},
        )
    ]  # fmt: skip
    assert score_gold([*labels, human_label(sample_id="c")], gold) == {"me": GoldScore(3, 2), "you": GoldScore(1, 0)}


def test_an_examination_stops_who_fails_it(root: Path, tmp_path: Path) -> None:
    gold: dict[ItemKey, int | None] = dict.fromkeys(list(BY_KEY)[:6], 2)
    for name, wrong, is_passed in (("good", 0, True), ("fair", 1, True), ("bad", 2, False)):
        path = tmp_path / f"{name}.jsonl"
        session = open_session(root, path, gold=gold, num_exam=5, min_score=0.8)
        asked = []
        for number in range(5):
            item = session.describe_next()["item"]
            asked.append(item)
            session.add(mark(item, "correct", *([] if number < wrong else ["correct"]), "incorrect"))
        key = (asked[0]["round"], asked[0]["sample_id"])
        assert all((it["round"], it["sample_id"]) in gold for it in asked)
        assert {label.kind for label in read_human_labels(path)} == {"gold"}
        for it in (session, open_session(root, path, gold=gold, num_exam=5, min_score=0.8)):
            answer = it.describe_next()
            assert (answer["item"] is not None) == is_passed
            if not is_passed:
                assert answer["message"].startswith(
                    "The examination is over: first errors found in 3 of 5 gold items, 80% are needed."
                )
                with pytest.raises(UserError, match="the examination is over"):
                    it.add(mark(asked[0], "correct", "correct", "incorrect"))
        assert session.describe_score() == f"First errors found: {5 - wrong} of 5 gold items."
        assert key in gold


def test_an_examination_cannot_be_skipped(root: Path, tmp_path: Path) -> None:
    gold: dict[ItemKey, int | None] = dict.fromkeys(list(BY_KEY)[:3])
    session = open_session(root, tmp_path / "labels.jsonl", gold=gold, num_exam=2)
    item = session.describe_next()["item"]
    with pytest.raises(UserError, match="no item of the examination can be skipped"):
        session.describe_next(skip=(item["round"], item["sample_id"]))
