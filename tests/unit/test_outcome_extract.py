"""Final answers: where they are found, rule by rule."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.verifiers.math.extract.final_answer import MAX_ANSWER_CHARS, RULE_NAMES, extract_answer

CASES = json.loads((Path(__file__).parents[1] / "data" / "outcome_answers.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["source"])
def test_cases(case: dict[str, str]) -> None:
    found = extract_answer(case["completion"], is_truncated="is_truncated" in case)
    assert (found and found.text, found and found.rule) == (case["answer"], case["extraction_rule"])


def test_every_rule_has_a_case() -> None:
    assert {case["extraction_rule"] for case in CASES} - {None} == set(RULE_NAMES)


_PIECES = [
    *(
        "\\boxed{",
        "\\fbox{",
        "{",
        "}",
        "\\{",
        "answer is ",
        "Answer: ",
        "#### ",
        "**",
        "$",
        "$$",
        "\\(",
        "\\)",
        "\\[",
        "\\]",
    ),
    *("\n", "\n\n", " ", "7", ".", ", ", " and ", "x", "even", "I hope it is correct", "\\"),
]


@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from(_PIECES), max_size=40).map("".join)), st.booleans())
def test_an_answer_lies_in_the_solution(text: str, is_truncated: bool) -> None:
    found = extract_answer(text, is_truncated)
    if found is None:
        return
    assert 0 <= found.start < found.end <= len(text)
    assert 0 < len(found.text) <= MAX_ANSWER_CHARS
    if found.rule != "box" and not found.rule.startswith("last"):
        assert found.text == text[found.start : found.end]
        assert not is_truncated


@given(
    st.recursive(
        st.sampled_from(["1", "x", "\\}", "a, b"]), lambda inner: inner.map(lambda text: f"{{{text}}}"), max_leaves=5
    )
)
def test_a_box_gives_back_what_was_put_into_it(content: str) -> None:
    found = extract_answer(f"Thus \\boxed{{{content}}}, as asked for above.")
    assert found is not None
    assert found.text == content


BAIT = [
    "\\boxed{",
    "\\boxed{1} and ",
    "\\boxed ",
    "\\fbox{}",
    "{",
    "}",
    "answer is ",
    "answer:\n",
    "#### ",
    "*",
    "$",
    "\\(",
    "\\[ ",
]


@pytest.mark.parametrize("piece", [*BAIT, "\\text{", "1,", "a", " ", "\n", "\\", "I hope ", ". A", "9"])
def test_a_megabyte_takes_no_longer_than_its_length_asks(piece: str) -> None:
    """Quadratic code takes minutes here and is cut off."""
    program = (
        "import sys; from stages.common.verifiers.math.extract.final_answer import extract_answer\n"
        "extract_answer(sys.stdin.read())"
    )
    text = piece * (1_000_000 // len(piece))
    subprocess.run([sys.executable, "-c", program], input=text, text=True, check=True, timeout=60)
