"""Final answers: where they are found, rule by rule."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from stages.common.verifiers import VerifierInput, VerifierSet, verify_answers
from stages.common.verifiers.math.extract import statements
from stages.common.verifiers.math.extract.final_answer import MAX_ANSWER_CHARS, RULE_NAMES, extract_answer

DATA = Path(__file__).parents[1] / "data"
CASES = json.loads((DATA / "outcome_answers.json").read_text(encoding="utf-8"))
ENDINGS = [json.loads(line) for line in (DATA / "outcome_endings.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["source"])
def test_cases(case: dict[str, str]) -> None:
    found = extract_answer(case["completion"], is_truncated="is_truncated" in case)
    assert (found and found.text, found and found.rule) == (case["answer"], case["extraction_rule"])


def test_realistic_endings() -> None:
    """How models end completions: at least 99% of right answers are found, and no other is called right."""
    verdicts = [one.is_correct for one in verify_answers([(case["gold"], case["completion"]) for case in ENDINGS])]
    expected = [case["is_correct"] for case in ENDINGS]
    found = [given for given, value in zip(verdicts, expected, strict=True) if value is True]
    credited = [case for case, given in zip(ENDINGS, verdicts, strict=True) if given and case["is_correct"] is not True]
    assert len(ENDINGS) >= 500
    assert all(case["source"] for case in ENDINGS)
    assert found.count(True) >= 0.99 * len(found)
    assert credited == []


SEVERAL = "Tom gave 5 of his 12 apples to Ann and 3 to Bob."


@pytest.mark.parametrize(("accepts_guesses", "verdicts"), [(False, [None, None]), (True, [True, False])])
def test_one_of_several_values_is_a_guess(accepts_guesses: bool, verdicts: list[bool | None]) -> None:
    with closing(VerifierSet(1, 5.0, accepts_guesses)) as verifiers:
        given = verifiers.get("math").verify_many(VerifierInput(gold, SEVERAL) for gold in ("3", "5"))
        assert [one.is_correct for one in given] == verdicts


@pytest.mark.parametrize("workers", [1, 2])
def test_none_and_numbers_are_read_as_text(workers: int) -> None:
    pairs: list[Any] = [(None, "5"), (5, "5"), (5.0, r"\boxed{5}"), ("5", None), ("5", 5), (None, None)]
    verdicts = [one.is_correct for one in verify_answers(pairs, num_workers=workers)]
    assert verdicts == [None, True, True, False, True, None]


_ENDINGS = st.sampled_from([case["completion"] for case in ENDINGS if "think" not in case["completion"]])


@given(_ENDINGS, st.sampled_from(["", "<think>\n", "<think>", "<thinking>"]))
def test_thinking_is_no_answer(ending: str, begin: str) -> None:
    """An answer behind it is the same; thinking that is never closed has none."""
    plain = extract_answer(ending)
    end = "</thinking>" if begin == "<thinking>" else "</think>"
    found = extract_answer(f"{begin}So it is \\boxed{{99}}, and the answer is 98.\n{end}\n{ending}")
    if plain is None or plain.rule not in ("whole", "last line"):
        assert (found and found.text) == (plain and plain.text)
    assert extract_answer("<think>" + ending.replace("<|", "")) is None


@given(
    _ENDINGS,
    st.sampled_from(["<|im_end|>", "</s>", "<|endoftext|>", "<|eot_id|>", "<end_of_turn>", "<｜end▁of▁sentence｜>"]),
)
def test_what_follows_a_turn_is_no_part_of_it(ending: str, token: str) -> None:
    plain, found = extract_answer(ending), extract_answer(f"{ending}{token}\nThe answer is 99.")
    if ending.strip():
        assert (found and found.text) == (plain and plain.text)


@given(
    _ENDINGS,
    st.text(alphabet=" \n\t\r\u00a0\u3000\u200b\u200d\ufeff", min_size=1, max_size=8),
    st.sampled_from([60, 401, 5_000]),
)
@example("$$x = 15$$ as required.", "\u00a0" * 7, 60)
def test_blank_characters_behind_an_answer_cost_nothing(ending: str, blank: str, count: int) -> None:
    """A few hundred of them also where a closing remark follows."""
    answer = extract_answer(ending)
    assume(answer is not None)
    for rest in ("", "I hope this helps!", "---"):
        blanks = blank * (min(count, 60) if rest else count)
        plain, found = extract_answer(f"{ending}\n\n{rest}"), extract_answer(f"{ending}\n\n{blanks}\n\n{rest}")
        assert (found and found.text) == (plain and plain.text)


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


@given(
    st.sampled_from(['"answer": "3', "<answer>3", "The answer to", "#### 3", "**Answer:**"]),
    st.sampled_from(["\n\nQuestion: 4", "\n \n### New problem 2: 4"]),
    st.sampled_from(['"', "</answer>", " this is 4", ""]),
)
def test_a_statement_that_a_further_task_cuts_costs_nothing(start: str, task: str, rest: str) -> None:
    found = extract_answer(f"#### 7\n{start}{task}{rest}")
    assert found is not None
    assert found.text in ("3", "7")


@given(_ENDINGS)
def test_statements_are_searched_wherever_their_words_stand(ending: str) -> None:
    """The words that let a pattern be left out are in every match of it."""
    for _, pattern, literals in statements._PATTERNS:
        for match in pattern.finditer(ending):
            assert any(literal in match.group().casefold() for literal in literals.split())


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


@pytest.mark.parametrize(
    "piece", [*BAIT, "\\text{", "1,", "a", " ", "\n", "\\", "I hope ", ". A", "9", "\n ", "\nq", "<s>"]
)
def test_a_megabyte_takes_no_longer_than_its_length_asks(piece: str) -> None:
    """Quadratic code takes minutes here and is cut off."""
    program = (
        "import sys; from stages.common.verifiers.math.extract.final_answer import extract_answer\n"
        "extract_answer(sys.stdin.read())"
    )
    text = piece * (1_000_000 // len(piece))
    subprocess.run([sys.executable, "-c", program], input=text, text=True, check=True, timeout=60)


@pytest.mark.slow
def test_the_search_for_a_sentence_is_linear() -> None:
    """Where the part that is searched is a hundred times as long, quadratic code takes minutes and is cut off."""
    program = (
        "import json, sys\n"
        "from stages.common.verifiers.math.extract import completion_end, final_answer, last_sentence\n"
        "for module in (completion_end, final_answer, last_sentence): module.TAIL_CHARS = 10**6\n"
        "for text in json.load(sys.stdin): final_answer.extract_answer(text)"
    )
    pieces = ["\\(", "\\[", "$", "$5 ", "$a$ ", ". ", "a. ", "- ", "\n- ", "| ", "**a** ", "(", "x "]
    texts = [start + piece * (200_000 // len(piece)) for start in ("", "The answer is ") for piece in pieces]
    subprocess.run([sys.executable, "-c", program], input=json.dumps(texts), text=True, check=True, timeout=120)
