"""Where the thinking in a text ends: one rule for judges' replies, the verifier, samples and the splitter."""

import re
from typing import NamedTuple

_ANY_MARK = re.compile(r"</?[tr](?:hink|hought|eason|eflect)|◁|<\||\[/?THINK", re.IGNORECASE)
"""How all marks begin, to tell at once that a text has none."""

_END = re.compile(
    r"</(?:think|thinking|thought|reasoning|reflection)>|◁/think▷|<\|end_of_thought\|>|\[/THINK\]"
    r"|<\|channel\|>final<\|message\|>",
    re.IGNORECASE,
)
_START = re.compile(
    r"<(?:think|thinking|thought|reasoning|reflection)>|◁think▷|<\|begin_of_thought\|>|\[THINK\]"
    r"|<\|channel\|>analysis<\|message\|>",
    re.IGNORECASE,
)
_MARK = re.compile(f"{_END.pattern}|{_START.pattern}", re.IGNORECASE)


class ThinkingSplit(NamedTuple):
    """A text without its thinking: ``text[start:end]``, empty where all of it is thinking."""

    text: str
    start: int
    """In code points; 0 where no thinking comes first."""
    end: int
    is_closed: bool
    """Whether no thinking lasts to the end of the text; True for a text without thinking."""

    @property
    def rest(self) -> str:
        """The text without its thinking."""
        return self.text[self.start : self.end]

    @property
    def thinking(self) -> str:
        """The thinking without its marks and without white space around it; empty if there is none."""
        return _MARK.sub("", self.text[: self.start] + self.text[self.end :]).strip()


def split_thinking(text: str) -> ThinkingSplit:
    """Find the thinking in `text`.

    It ends with the last ``</think>`` (or another model's mark), with or without a beginning, since many chat templates
    write that into the prompt; everything before is thinking. One that is never closed lasts to the end. Time is linear
    in the length of `text`.
    """
    start, end = 0, len(text)
    if _ANY_MARK.search(text) is None:
        return ThinkingSplit(text, start, end, is_closed=True)
    for closing in _END.finditer(text):
        start = closing.end()
    opening = _START.search(text, start)
    return ThinkingSplit(text, start, end if opening is None else opening.start(), opening is None)


def is_thinking_mark(text: str) -> bool:
    """Whether `text` is one mark of a beginning or an end of thinking and nothing else."""
    return _MARK.fullmatch(text) is not None


def join_thinking(thinking: str | None, text: str, is_cut: bool = False) -> str:
    """A completion with the thinking that a server gave apart, as the tags of most models have it.

    `split_thinking` takes it apart again. A completion that `is_cut` before any text came is left unclosed; without
    thinking, `text` is returned as it is.
    """
    if not thinking:
        return text
    return f"<think>\n{thinking}" if is_cut and not text.strip() else f"<think>\n{thinking}\n</think>\n\n{text}"
