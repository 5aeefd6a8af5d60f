"""What a line of a solution is: a heading, a numbered item, a title, the final answer, or text. One line at a time."""

import re
from dataclasses import dataclass
from typing import Literal

LineKind = Literal["step", "item", "title", "answer", "bullet", "text"]

_NUMERALS = r"[一二三四五六七八九十百\d]{1,4}"
_WORDS = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_STEP = re.compile(
    r"[ \t]*(?P<mark>(?:[-*+•][ \t]+)?(?:#{1,6}[ \t]*)?(?:\*\*|__)?(?P<bracket>[\[(（【])?)"
    rf"(?:step[ \t]{{1,9}}(?P<number>\d{{1,4}}|{_WORDS})(?!\w)"
    rf"|(?:第(?P<first>{_NUMERALS})步骤?|步骤[ \t]?(?P<second>{_NUMERALS})))"
    r"(?P<end>[ \t]?(?:[:：\])）】]|\.(?!\d)|[-–—][ \t]|[,，、])|[ \t*_]*$)?",
    re.IGNORECASE | re.MULTILINE,
)
_ITEM = re.compile(
    r"[ \t]*(?P<mark>#{1,6}[ \t]*)?(?:\*\*|__)?"
    r"(?:(?P<sub>\d{1,2}\.\d{1,2}[.)])[ \t]|(?P<dot>\d{1,3})(?:[.)](?=[ \t*$\\]|[^\x00-\x7f])|[、．])"
    r"|(?P<bracket>[(（]\d{1,2}[)）]))"
)
_BULLET = re.compile(r"[ \t]*(?:[-*+•–·●]|\\item\b)[ \t]+\S")
_TITLE_WORDS = (
    r"(?:case|part|scenario|method|approach|option|situation|problem|question|proof|solution|solución|solução|résolution"
    r"|explanation|conclusion|check|verification|note|remark|lemma|claim|answer|alternative|step)"
)
_HASHES = re.compile(r"[ \t]*(?P<level>#{1,6})[ \t]*[^\s#]")
_BOLD_LINE = re.compile(
    r"[ \t]*(?:\*\*[^*\n]{1,200}\*\*|__[^_\n]{1,200}__)[ \t]*[:：.]?[ \t\r]*$"
    rf"|[ \t]*\*\*{_TITLE_WORDS}[ \t]+\w{{1,4}}[:：.]?\*\*[:：.]?[^\n=]{{1,200}}$",
    re.MULTILINE | re.IGNORECASE,
)
_BARE_TITLE = re.compile(
    rf"[ \t]*(?:(?:{_TITLE_WORDS}(?:[ \t]+[\w.]{{1,5}})?|解答?|证明|分析)[ \t]*[:：.]?"
    r"|[A-Z][a-z]{2,14} (?:\d{1,2}|[IVX]{1,4})[ \t]*[:：])[ \t\r]*$",
    re.IGNORECASE | re.MULTILINE,
)
_PART_TITLE = re.compile(
    r"[ \t]*(?:#{1,6}[ \t]*)?(?:\*\*|__)?"
    rf"(?:{_TITLE_WORDS}[ \t]+(?:\d{{1,2}}|[a-z]|[ivx]{{1,4}})\b|[(（][a-z\dIVXivx]{{1,4}}[)）])",
    re.IGNORECASE,
)
_CONCLUDING = (
    r"(?:therefore|thus|hence|so|finally|consequently|in conclusion|in summary|and|因此|所以|故|综上所?述?|于是)"
)
_ANSWER = re.compile(
    r"[ \t>]*(?:#{1,6}[ \t]*)?(?:\*\*|__)?(?:[ivx]{1,4}\)[ \t]*)?"
    rf"(?:{_CONCLUDING}[ \t]*[,，:]?[ \t]*)?"
    r"(?:(?:(?:the|our|my)[ \t]+)?(?:"
    r"(?:(?:final|correct|required|desired|right)[ \t]+)?answer(?:[ \t]+(?:to|of|for)\b[^.:\n]{1,80}?)?"
    r"(?:(?:\*\*|__)?[ \t]*(?:is\b|are\b|[:：=]|would be)|(?:\*\*|__)[ \t\r]*$)"
    r"|final[ \t]+(?:answer|result)\b"
    r"|conclusion(?:[ \t]+(?:for|of|to)[^:：\n]{1,60})?[ \t]*(?:\*\*|__)?[:：]|correct[ \t]+(?:option|choice)[ \t]+is\b"
    r"|solution[ \t]+is\b(?![ \t]+(?:to|that|as|not|in)\b)|solution:[ \t]*choice)"
    r"|(?:最终|最后|正确|本题)?的?答案(?:应?[为是]|[:：])|(?:应|故)?选(?:项|择)?[:：]?[ \t]*[（(]?[A-F]\b|故选)"
    r"|[ \t]*####[ \t]*(?!\d{1,3}[.)][ \t])(?![^\n]*(?<![\\A-Za-z])[A-Za-z]{3})[^\sA-Za-z#]",
    re.IGNORECASE | re.MULTILINE,
)
_CONCLUSION = re.compile(rf"[ \t]*(?:\*\*|__)?{_CONCLUDING}(?:\b|(?<=[^\x00-\x7f]))", re.IGNORECASE)
_PROBLEM_TITLE = re.compile(r"[ \t]*(?:#{1,6}[ \t]*)?(?:\*\*|__)?(?:problem|question|题目|问题)\b", re.IGNORECASE)
_ORDINALS = {"0", "1", "one", "一"}


@dataclass(frozen=True, slots=True)
class Line:
    """A line at which a step might begin."""

    start: int
    """In code points, as `end`, where the next such line begins."""
    end: int
    kind: LineKind
    follows_blank: bool
    indent: int
    """Blank characters at its beginning."""
    number: int | None = None
    """Of an item."""
    style: str = ""
    """Of an item: ``1.``, ``1.1.`` and ``(1)`` number different lists. Of a step heading: `plain` without marks
    around it, `open` without a colon either."""
    level: int = 0
    """Number of hashes before a heading."""
    is_first: bool = False
    """Whether a step heading counts from the beginning."""
    is_bare: bool = False
    """Whether nothing but the heading or the title is on the line."""

    @property
    def is_marked(self) -> bool:
        """Whether marks set a step heading apart from what comes below it."""
        return self.kind == "step" and self.style == ""


def classify(text: str, start: int, end: int, follows_blank: bool) -> Line:
    """The line of `text` that begins at `start`; `end` is where the next line begins at which a step might begin."""
    line_end = text.find("\n", start, end)
    line_end = end if line_end < 0 else line_end
    stripped = text[start:line_end].lstrip(" \t")
    indent = line_end - start - len(stripped)

    def make(kind: LineKind, **fields: object) -> Line:
        return Line(start, end, kind, follows_blank, indent, **fields)  # type: ignore[arg-type]

    level = len(found["level"]) if (found := _HASHES.match(text, start, line_end)) else 0
    if step := _match_step(text, start, line_end):
        number = (step["number"] or step["first"] or step["second"]).lower()
        is_bare = not text[step.end() : line_end].strip(" \t\r*_:：")
        style = "" if step["mark"] else "plain" if (step["end"] or "").strip() else "open"
        return make("step", is_first=number in _ORDINALS, is_bare=is_bare, style=style, level=level)
    if _ANSWER.match(text, start, line_end):
        is_bare = bool(_BOLD_LINE.match(text, start, line_end) or _BARE_TITLE.match(text, start, line_end) or level)
        return make("answer", is_bare=is_bare and not any(map(str.isdigit, stripped)))
    if item := _ITEM.match(text, start, line_end):
        digits = (item["sub"] or item["dot"] or item["bracket"]).strip("()（）.").rpartition(".")[2]
        is_bare = not text[item.end() : line_end].strip(" \t\r*_:：.")
        style = "1.1." if item["sub"] else "1." if item["dot"] else "(1)"
        return make("item", number=int(digits), style=style, level=level, is_bare=is_bare)
    is_title = level or _BOLD_LINE.match(text, start, line_end) or _BARE_TITLE.match(text, start, line_end)
    if is_title and "\\boxed" not in stripped:
        return make("title", level=level, is_bare=True)
    if _BULLET.match(text, start, line_end):
        return make("bullet")
    return make("text")


def _match_step(text: str, start: int, end: int) -> re.Match[str] | None:
    """A "Step n" heading; a sentence that begins so ("Step 1 is easy"), and a bracket that stays open, is none."""
    step = _STEP.match(text, start, end)
    if step is None or (step["number"] and not step["mark"] and step["end"] is None):
        return None
    return None if step["bracket"] and not (step["end"] or "").strip() else step


def names_part(text: str, line: Line) -> bool:
    """Whether the title on `line` is that of another part or case, as "### Case 2" is, and not of a paragraph."""
    return _PART_TITLE.match(text, line.start, line.end) is not None


def concludes(text: str, line: Line) -> bool:
    """Whether the line begins with a word of conclusion: "Therefore", "So", "因此"."""
    return _CONCLUSION.match(text, line.start, line.end) is not None


def poses_problem(title: str) -> bool:
    """Whether a title is that of a problem, which is told again below it."""
    return _PROBLEM_TITLE.match(title) is not None
