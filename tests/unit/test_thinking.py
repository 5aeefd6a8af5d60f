"""Where thinking ends: one rule for judges' replies, the verifier, samples and the splitter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.thinking import join_thinking, split_thinking
from stages.common.verifiers.math.extract.completion_end import find_answer_region

_PIECES = st.lists(
    st.sampled_from(["<think>", "</think>", "<THOUGHT>", "[/THINK]", "◁think▷", "<|x|>", "a", "\n", " ", "{}"]),
    max_size=12,
).map("".join)


@pytest.mark.parametrize(
    ("text", "thinking", "rest", "is_closed"),
    [
        ("no thinking", "", "no thinking", True),
        ("<think>\na\n</think>\n\nb", "a", "\n\nb", True),
        ("a</think>b", "a", "b", True),
        ("<think>a", "a", "", False),
        ("b<think>a", "a", "b", False),
        ("<think>a</think>b<think>c</think>d", "abc", "d", True),
        ("<think>a</think>b<think>c", "ac", "b", False),
        ("<think></think>b", "", "b", True),
        ("<Thinking>a</THINKING>b", "a", "b", True),
        ("[THINK]a[/THINK]b", "a", "b", True),
        ("◁think▷a◁/think▷b", "a", "b", True),
        ("<|begin_of_thought|>a<|end_of_thought|>b", "a", "b", True),
        ("<|channel|>analysis<|message|>a<|channel|>final<|message|>b", "a", "b", True),
        ("1 < 2 and <thinker>", "", "1 < 2 and <thinker>", True),
        ("", "", "", True),
    ],
)
def test_cases(text: str, thinking: str, rest: str, is_closed: bool) -> None:
    split = split_thinking(text)
    assert (split.thinking, split.rest, split.is_closed) == (thinking, rest, is_closed)


@given(st.text(max_size=60) | _PIECES)
def test_the_rest_holds_no_mark_and_the_verifier_looks_nowhere_else(text: str) -> None:
    split = split_thinking(text)
    assert text[split.start : split.end] == split.rest
    again = split_thinking(split.rest)
    assert (again.rest, again.thinking, again.is_closed) == (split.rest, "", True)
    start, end = find_answer_region(text)
    assert split.start <= start <= end <= split.end


@given(st.text(min_size=1, max_size=40), st.text(max_size=40) | _PIECES)
def test_what_is_joined_is_taken_apart_again(thinking: str, text: str) -> None:
    joined = join_thinking(thinking, text)
    if split_thinking(text).rest == text:
        assert split_thinking(joined).rest == f"\n\n{text}"
    assert join_thinking(None, text) == join_thinking("", text) == text
    assert not split_thinking(join_thinking(thinking.replace(">", ""), " ", is_cut=True)).is_closed
