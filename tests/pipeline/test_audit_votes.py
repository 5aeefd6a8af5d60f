"""A served judge's labels are counted again from its raw replies, others follow from scores; what does not is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stages.common.errors import UserError
from stages.common.params.engine import EngineParams
from stages.common.params.judge import JudgeParams, LlmJudgeParams, VotingMode
from stages.common.params.prm import PrmParams
from stages.common.tables import LABEL, PROBLEM, REPLY, SAMPLE, STEP
from stages.judge import make_judge
from tests.support.table_rows import make_steps, make_table_set, write_rows
from tools.audit.check_results import MAX_NAMED, CheckResults
from tools.audit.key_ranges import KeyRange
from tools.audit.table_sets import TableSet
from tools.audit.verify.label_checks import check_labels
from tools.audit.verify.row_comparison import check_equal

PROBLEM_ID, SAMPLE_ID = "a" * 32, "b" * 32
IDS = {"sample_id": SAMPLE_ID, "problem_id": PROBLEM_ID}
LLM = LlmJudgeParams(engine=EngineParams(kind="openai"), model="some/judge", temperature=1.0)
JUDGE = "d" * 32
"""Stands for the judge's hash where it is the right one."""
EVERYTHING = KeyRange("all", "", None)


def part(votes: int, judges: int, flip: float = 0.0, mode: VotingMode = "completion") -> TableSet:
    llm = LLM.model_copy(update={"mode": mode})
    second = llm if judges > 1 else None
    cells = {"num_votes": votes, "min_agreement": 0.6, "label_noise": flip, "llm": llm, "second_judge": second}
    return make_table_set(judge=JudgeParams.model_construct(kind="llm", **cells))


def said(*right: bool) -> str:
    """A whole reply with these verdicts on steps 1, 2, ..."""
    verdicts = [
        {"step": number, "verdict": "correct" if yes else "incorrect", "rationale": f"step {number} {yes}"}
        for number, yes in enumerate(right, start=1)
    ]
    return json.dumps({"verdicts": verdicts})


def reply(text: str | None, judge: int = 0, vote: int = 0, step: int = -1, **cells: Any) -> dict[str, Any]:
    asked = {"judge_index": judge, "step": step, "vote": vote, "attempt": 0, "request_hash": "c" * 32}
    answered = {"text": text, "finish_reason": "stop", "model": "some/judge"}
    return dict.fromkeys(REPLY.schema) | IDS | asked | answered | cells


def label(
    step: int, right: bool | None, reason: str, agreement: float, first_error: int | None, votes: int
) -> dict[str, Any]:
    values = (SAMPLE_ID, PROBLEM_ID, step, right, reason, votes, agreement, first_error, JUDGE)
    return dict(zip(LABEL.schema, values, strict=True))


def check(
    root: Path, replies: list[dict[str, Any]] | None, labels: list[dict[str, Any]], judged_by: TableSet
) -> CheckResults:
    """What the check of labels finds for a sample of two steps."""
    results = CheckResults()
    try:
        identity = make_judge(judged_by.judge, judged_by.seed).identity
    except UserError:
        identity = JUDGE  # the model is not here
    if replies is not None:
        write_rows(root, judged_by, replies=replies)
    check_labels(
        results,
        root,
        judged_by,
        EVERYTHING,
        pl.DataFrame(schema=PROBLEM.schema),
        pl.DataFrame([IDS], schema=SAMPLE.schema),
        pl.DataFrame(make_steps(IDS, ["a" * 5, "b" * 4]), schema=STEP.schema),
        pl.DataFrame(labels, schema=LABEL.schema).with_columns(pl.col("judge").replace(JUDGE, identity)),
    )
    return results


THREE = [
    reply(said(True, False), vote=0),
    reply(said(True, True), vote=1),
    reply("I think", vote=2, error="it was not JSON"),
    reply(said(False, False), vote=2, attempt=1),
]
"""Votes on the first step: right, right, wrong; on the second: wrong, right, wrong; the last at the second try."""

COUNTED = [label(0, True, "step 1 True", 2 / 3, 1, 3), label(1, False, "step 2 False", 2 / 3, 1, 3)]


def test_labels_that_follow(tmp_path: Path) -> None:
    results = check(tmp_path, THREE, COUNTED, part(3, 1))
    assert not results.is_broken
    assert results.by_check["labels"].num_checked == 6  # four replies, two labels
    assert not results.by_check["labels"].not_recomputed


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"label": False}, "step 0: label is False, the vote gives True"),
        ({"agreement": 1.0}, "step 0: agreement is 1.0, the vote gives 0.66"),
        ({"reason": "said so"}, "step 0: reason is 'said so', the vote gives 'step 1 True'"),
        ({"first_error": None}, "step 0: first_error is None, the vote gives 1"),
        ({"num_votes": 4}, "step 0: num_votes is 4, the vote gives 3"),
    ],
)
def test_a_label(tmp_path: Path, cells: dict[str, Any], words: str) -> None:
    results = check(tmp_path, THREE, [COUNTED[0] | cells, COUNTED[1]], part(3, 1))
    (line,) = results.by_check["labels"].errors
    assert line.startswith(f"data/labels/M1/all.parquet: sample {SAMPLE_ID} {words}")


def test_a_vote(tmp_path: Path) -> None:
    turned = [THREE[0], reply(said(False, True), vote=1), *THREE[2:]]
    lines = check(tmp_path, turned, COUNTED, part(3, 1)).by_check["labels"].errors
    assert f"sample {SAMPLE_ID} step 0: label is True, the vote gives False" in lines[0]
    assert lines[1].endswith(f"sample {SAMPLE_ID} step 1: first_error is 1, the vote gives 0")


def test_a_vote_that_was_lost_or_came_from_nowhere(tmp_path: Path) -> None:
    lines = check(tmp_path / "lost", THREE[:1] + THREE[2:], COUNTED, part(3, 1)).by_check["labels"].errors
    assert [line.split("; ")[0].split(": ", 1)[1] for line in lines] == [
        f"sample {SAMPLE_ID} judge 0 vote 1 attempt 0: reply is missing",
        f"sample {SAMPLE_ID} step 0: label is True, the vote gives None",
    ]
    more = [*THREE, reply(said(True, True), vote=3), reply(said(True, True), judge=1)]
    lines = check(tmp_path / "more", more, COUNTED, part(3, 1)).by_check["labels"].errors
    assert len(lines) == 2
    assert "vote 3 attempt 0: was not requested: 3 votes of 1 judges were" in lines[0]
    orphan = reply(said(True, True)) | {"sample_id": "e" * 32}
    (line,) = check(tmp_path / "orphan", [*THREE, orphan], COUNTED, part(3, 1)).by_check["labels"].errors
    assert "orphan: there is no such sample" in line


def test_a_vote_that_is_there_again(tmp_path: Path) -> None:
    again = [*THREE, reply(said(True, False), vote=0, attempt=1)]  # after a valid one, which would not be tried again
    (line,) = check(tmp_path / "again", again, COUNTED, part(3, 1)).by_check["labels"].errors
    assert f"sample {SAMPLE_ID} judge 0 vote 0 attempt 1: attempts are [0, 1], invalid [False, False]" in line
    later = [*THREE[:3], THREE[3] | {"attempt": 2}]
    (line,) = check(tmp_path / "later", later, COUNTED, part(3, 1)).by_check["labels"].errors
    assert "vote 2 attempt 2: attempts are [0, 2]" in line


def test_an_attempt_after_an_invalid_one_that_is_gone(tmp_path: Path) -> None:
    lines = check(tmp_path / "gone", THREE[:3], COUNTED, part(3, 1)).by_check["labels"].errors
    assert f"sample {SAMPLE_ID} judge 0 vote 2 attempt 1: reply is missing; the one before is invalid" in lines[0]
    failed = THREE[2] | {"text": None, "error": "500 Internal Server Error", "finish_reason": None, "model": None}
    lines = check(tmp_path / "failed", [*THREE[:2], failed], COUNTED, part(3, 1)).by_check["labels"].errors
    assert not [line for line in lines if "attempt 1" in line], "the engine had made all its attempts"
    last = [THREE[2] | {"attempt": attempt} for attempt in range(LLM.max_attempts)]
    lines = check(tmp_path / "last", [*THREE[:2], *last], COUNTED, part(3, 1)).by_check["labels"].errors
    assert not [line for line in lines if "reply is missing" in line]


def test_a_changed_label_is_named_before_the_first_error_of_all_other_steps() -> None:
    ids = {"sample_id": SAMPLE_ID, "problem_id": PROBLEM_ID}
    rows = [ids | {"step": step, "label": True, "first_error": None} for step in range(2 * MAX_NAMED)]
    changed = [row | {"first_error": 15, "label": row["step"] != 15} for row in rows]
    schema = {
        "sample_id": pl.String,
        "problem_id": pl.String,
        "step": pl.Int64,
        "label": pl.Boolean,
        "first_error": pl.Int64,
    }
    results = CheckResults()
    actual, expected = pl.DataFrame(changed, schema), pl.DataFrame(rows, schema)
    check_equal(results, "labels", "all", actual, expected, ["sample_id", "problem_id", "step"], "the vote")
    found = results.by_check["labels"]
    assert "step 15: label is False, the vote gives True; first_error is 15" in found.errors[0]
    assert [f"step {step}: first_error" in line for step, line in enumerate(found.errors[1:])] == [True] * 9
    assert found.num_broken == 2 * MAX_NAMED


def test_a_step_without_its_vote(tmp_path: Path) -> None:
    verdict = {"step": 1, "verdict": "correct", "rationale": "0"}
    replies = [reply(json.dumps({"verdicts": [verdict]}), step=0)]
    labels = [label(0, True, "0", 1.0, None, 1), label(1, None, "", 0.0, None, 1)]
    lines = check(tmp_path, replies, labels, part(1, 1, mode="step")).by_check["labels"].errors
    assert [line for line in lines if f"sample {SAMPLE_ID} step 1 judge 0 vote 0 attempt 0: reply is missing" in line]


@pytest.mark.parametrize("replies", [THREE, None])
def test_another_judge(tmp_path: Path, replies: list[dict[str, Any]] | None) -> None:
    (line,) = (
        check(tmp_path, replies, [COUNTED[0] | {"judge": "e" * 32}, COUNTED[1]], part(3, 1)).by_check["labels"].errors
    )
    assert f"sample {SAMPLE_ID} step 0: judge is {'e' * 32}, the params give" in line


def test_a_reply_whose_fault_is_not_its_own(tmp_path: Path) -> None:
    hidden = [*THREE[:2], THREE[2] | {"error": None}, THREE[3]]
    by_attempts, by_text = check(tmp_path, hidden, COUNTED, part(3, 1)).by_check["labels"].errors
    assert "vote 2 attempt 1: attempts are [0, 1], invalid [False, False]" in by_attempts
    assert "attempt 0: error is None, the text gives 'it was not JSON'" in by_text


def test_two_judges_and_a_call_per_step(tmp_path: Path) -> None:
    def one(step: int, right: bool, judge: int) -> dict[str, Any]:
        verdict = {"step": step + 1, "verdict": "correct" if right else "incorrect", "rationale": f"{judge}"}
        return reply(json.dumps({"verdicts": [verdict]}), judge=judge, step=step)

    replies = [one(0, False, 0), one(0, False, 1), one(1, True, 0), one(1, False, 1)]
    labels = [label(0, False, "0", 1.0, 0, 1), label(1, None, "judges disagree: 0 / 1", 0.0, 0, 1)]
    assert not check(tmp_path, replies, labels, part(1, 2, mode="step")).is_broken
    wrong = [labels[0], labels[1] | {"label": True}]
    (line,) = check(tmp_path, replies, wrong, part(1, 2, mode="step")).by_check["labels"].errors
    assert "step 1: label is True, the vote gives None" in line


def test_a_sample_that_nobody_was_asked_about_is_unknown(tmp_path: Path) -> None:
    why = "no usable reply: the solution and its problem have 9 characters, more than the judge is shown"
    labels = [label(step, None, why, 0.0, None, 3) for step in range(2)]
    assert not check(tmp_path, [], labels, part(3, 1)).is_broken
    (line,) = check(tmp_path, [], [labels[0], labels[1] | {"label": True}], part(3, 1)).by_check["labels"].errors
    assert "step 1: label is True, the vote gives None" in line


def test_labels_flipped_on_purpose(tmp_path: Path) -> None:
    flipped = [
        label(0, False, "flipped on purpose: step 1 True", 2 / 3, 0, 3),
        label(1, True, "flipped on purpose: step 2 False", 2 / 3, 0, 3),
    ]
    assert not check(tmp_path, THREE, flipped, part(3, 1, flip=1.0)).is_broken
    assert check(tmp_path, THREE, COUNTED, part(3, 1, flip=1.0)).is_broken


def test_without_replies_what_is_left_is_checked(tmp_path: Path) -> None:
    results = check(tmp_path, None, COUNTED, part(3, 1))
    assert not results.is_broken
    assert results.by_check["labels"].not_recomputed == {"labels of kind llm without their replies": 2}
    (line,) = check(tmp_path, None, COUNTED[:1], part(3, 1)).by_check["labels"].errors[:1]
    assert "step 1: step has no label" in line
    (line,) = check(tmp_path, None, [COUNTED[0], COUNTED[1] | {"first_error": 0}], part(3, 1)).by_check["labels"].errors
    assert "step 1: first_error is 0, the labels give 1" in line


FLIPPED = "flipped on purpose: "


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        ([label(0, True, "score 0.8000", 1.0, 1, 1), label(1, False, "score 0.1999", 1.0, 1, 1)], None),
        ([label(0, None, "score 0.7999", 0.0, None, 1), label(1, None, "9 tokens, over the limit", 0, None, 1)], None),
        ([label(0, False, f"{FLIPPED}score 0.9000", 1.0, 0, 1), label(1, None, "score 0.2000", 0, 0, 1)], None),
        ([label(0, True, "score 0.7999", 1.0, None, 1), label(1, None, "score 0.5000", 0, None, 1)], "label is True"),
        ([label(0, True, "score 0.9000", 1.0, None, 1), label(1, True, "good", 1.0, None, 1)], "step 1: label is True"),
        ([label(0, True, "score 0.9000", 1.0, None, 1)], "step 1: row is missing"),
    ],
)  # fmt: skip
def test_labels_by_scores(tmp_path: Path, labels: list[dict[str, Any]], fault: str | None) -> None:
    prm = PrmParams.model_construct(model="some/prm", correct_threshold=0.8, incorrect_threshold=0.2)
    noise = float(labels[0]["reason"].startswith(FLIPPED))
    judge = JudgeParams.model_construct(kind="prm", prm=prm, label_noise=noise)
    judged_by = replace(part(1, 0), judge=judge)
    found = check(tmp_path, None, labels, judged_by).by_check["labels"]
    assert found.not_recomputed == {"scores of a process reward model, which is not run again": len(labels)}
    if fault is None:
        assert not found.errors
    else:
        (line,) = found.errors
        assert fault in line
