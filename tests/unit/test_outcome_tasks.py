"""Verifiers by task: one from outside beside mathematics, in one table and in one vote."""

from __future__ import annotations

from contextlib import closing

import polars as pl
import pytest

from stages.common.errors import UserError
from stages.common.params.outcome import OutcomeParams
from stages.common.registry import Registry
from stages.common.tables import OUTCOME, PROBLEM, SAMPLE
from stages.common.verifiers import ExtractedAnswer, Verifier, VerifierSet, verify_answer
from stages.outcome import verify_samples


class StringMatch(Verifier):
    """Equal texts after "Answer: "."""

    version = "string_match 1"

    def extract(self, completion: str, is_truncated: bool = False) -> ExtractedAnswer | None:
        start = completion.rfind("Answer: ") + len("Answer: ")
        found = ExtractedAnswer(completion[start:], start, len(completion), "answer line")
        return found if "Answer: " in completion and not is_truncated else None

    def equal(self, first: str, second: str) -> bool | None:
        return first == second


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: Registry[type[Verifier]] = Registry("verifier", {"math": "stages.common.verifiers.math:MathVerifier"})
    tasks.register("string_match", StringMatch)
    monkeypatch.setattr("stages.common.verifiers.verify.VERIFIERS", tasks)


def tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    problem = dict.fromkeys(PROBLEM.schema, "-") | {"origin_row": 0}
    sample = dict.fromkeys(SAMPLE.schema) | {"policy": "-", "sampling_hash": "-", "sample_index": 0}
    problems = [
        problem | {"problem_id": f"p{number}", "answer": answer, "task": task}
        for number, (answer, task) in enumerate([("cat", "string_match"), ("1/2", "math"), ("dog", "string_match")])
    ]
    samples = [
        sample | {"sample_id": f"s{number}", "problem_id": f"p{number}", "completion": text, "finish_reason": "stop"}
        for number, text in enumerate(["Answer: cat", r"\boxed{0.5}", r"\boxed{dog}"])
    ]
    return pl.DataFrame(problems, schema=PROBLEM.schema), pl.DataFrame(samples, schema=SAMPLE.schema)


def test_each_task_of_a_table_has_its_verifier() -> None:
    outcomes = OUTCOME.check(verify_samples(*tables(), OutcomeParams(), num_workers=1))
    rows = outcomes.select("sample_id", "answer", "extraction_rule", "is_correct", "reason").rows()
    assert rows == [
        ("s0", "cat", "answer line", True, "equal"),
        ("s1", "0.5", "box", True, "exact numbers"),
        ("s2", None, None, False, "no answer"),
    ]
    assert outcomes["verifier"][0] == outcomes["verifier"][2] == "string_match 1"
    assert outcomes["verifier"][1].startswith("mpmath ")


def test_answers_of_a_vote_are_compared_by_their_task() -> None:
    pairs = [("1/2", "0.5"), ("0.5", "0.5"), ("1", "2")]
    with closing(VerifierSet(1, 5.0)) as verifiers:
        assert verifiers.get("math").equal_many(pairs) == [True, True, False]
        assert verifiers.get("string_match").equal_many(pairs) == [False, True, False]


def test_an_unknown_task_names_the_nearest_one() -> None:
    with pytest.raises(UserError, match="unknown verifier kind 'maths'; did you mean math"):
        verify_answer("1", "1", task="maths")
