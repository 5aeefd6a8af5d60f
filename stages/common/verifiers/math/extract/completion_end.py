"""The part of a completion that may state the answer: behind the thinking, before end tokens and closing remarks."""

import re
import unicodedata

from stages.common.thinking import split_thinking

TAIL_CHARS = 4_000
"""Characters at the end of a completion that the rules search for a statement without a box."""

_NO_WIDTH = "\u034f" + "".join(one for one in map(chr, range(0x10000)) if unicodedata.category(one) == "Cf")
"""Characters without a width."""

_BLANK = "".join(filter(str.isspace, map(chr, range(0x3001)))) + _NO_WIDTH
"""What may follow an answer any number of times."""

_MARK = re.compile(r"<[|/｜a-z]|◁|\[/?(?:THINK|INST|EOS)", re.IGNORECASE)
"""How all marks of thinking and of turns begin, to tell at once that a text has none."""

_TOKEN = re.compile(
    r"<\|[\w ▁-]{1,40}\|>|<｜[\w▁ ]{1,40}｜>|</?s>|<(?:eos|bos|pad|(?:end|start)_of_turn)>|\[(?:/?INST|EOS)\]",
    re.IGNORECASE,
)
"""Tokens that begin or end a turn of a chat."""

_ROLE = re.compile(r"\s{0,9}(?:assistant|model)?\s{0,9}")
_NEXT_TASK = re.compile(
    r"\n(?!\n)[#* ]{0,9}+(?:(?:next |new |another )?(?:question|problem|exercise)(?: ?\d{1,3})?"
    r"|q|user|human|instruction)"
    r"[*]{0,2} ?[:.]",
    re.IGNORECASE,
)
"""Where a model goes on with a question of its own, behind an empty line."""

_CHATTER = re.compile(
    r"(?:i (?:really |truly |sincerely )?hope (?:it|this|that|the|my|you)|hope (?:this|that|it) (?:helps|is|was|makes)"
    r"|(?:please )?(?:let me know|feel free|don'?t hesitate)"
    r"|if you(?:'d)? (?:still |do )?(?:have|need|want|would like|like)\b"
    r"(?=[^\n]{0,80}\b(?:question|help|clarif|assist|explan|detail|more))"
    r"|do you (?:have|need|want)|(?:is|are) there any(?:thing| other| more)|would you like|(?:i'?m )?happy to"
    r"|thank(?:s(?! to)| you)|you'?re welcome|good luck|great (?:job|work|question)|have a (?:great|nice|good)"
    r"|best regards|any (?:other|more|further) questions|i(?: a|')m here|keep (?:practicing|up|learning)"
    r"|happy (?:learning|studying|solving|calculating)"
    r"|this (?:completes|concludes|finishes) (?:the|our|my)|q\.?e\.?d\b)",
    re.IGNORECASE,
)
"""How closing remarks begin; they hold no answer."""

_TRAILING = re.compile(
    rf"(?:[\s*_~{_NO_WIDTH}]"
    r"|,? as (?:required|desired|claimed|expected|needed|asked|wanted)\.?|-{3,}+|={3,}+"
    r"|#{2,}+(?=\s*\Z)|`{3,}+"
    r"|∎|■|□|\$?\\(?:black)?square\$?|\\qed|\\end\{(?:document|solution|proof)\}"
    r"|</(?:answer|solution|response|output|final_answer|final)>|[\U0001F300-\U0001FAFF\u2600-\u27BF\uFE0F])+\Z"
)
_SENTENCE_START = re.compile(
    rf"(?:[.!?。！？)}}\]*$]|\\[\])])[*_{_NO_WIDTH}]{{0,9}}\s[\s{_NO_WIDTH}]{{0,8}}(?=[\"'(*_]{{0,4}}[A-Za-z])"
)
_MAX_REMARKS = 8
"""Closing remarks that are removed from one completion."""


def find_answer_region(text: str) -> tuple[int, int]:
    """Return start and end of what counts in a completion: empty where all of it is thinking.

    Thinking (`split_thinking`) does not; what follows a token that ends a turn belongs to another text.
    """
    if _MARK.search(text) is None:
        return 0, len(text.rstrip(_BLANK))
    _, start, end, _ = split_thinking(text)
    for token in _TOKEN.finditer(text, start, end):
        if not text[start : token.start()].strip() or _ROLE.fullmatch(text, start, token.start()):
            start = token.end()  # it begins the turn
        else:
            end = token.start()
            break
    return start, start + len(text[start:end].rstrip(_BLANK))


def find_next_task(text: str, start: int, end: int) -> int:
    """Return where a further question begins in ``text[start:end]``, `end` if none does."""
    for task in _NEXT_TASK.finditer(text, start, end):
        before = text[max(start, task.start() - 10) : task.start()]
        if (first := before.find("\n", len(before.rstrip()))) >= 0:
            return task.start() - len(before) + first
    return end


def strip_remarks(text: str, start: int, end: int) -> int:
    """Return the end of ``text[start:end]`` without closing remarks, rulers, fences and signs that end a proof."""
    begin = max(start, end - TAIL_CHARS)
    for _ in range(_MAX_REMARKS):
        end = _strip_trailing(text, begin, end)
        if text.endswith("[/asy]", begin, end):
            end = max(text.rfind("[asy]", begin, end), begin)  # a drawing
        remark = _find_last_remark(text, begin, end)
        if remark is None or not text[start:remark].strip(" \n*_"):
            break
        end = remark
    line = text[max(text.rfind("\n", begin, end) + 1, begin) : end]
    while line.endswith("}") and not line.endswith(r"\}") and line.count("}") > line.count("{"):
        line, end = line[:-1], end - 1  # a brace that closes nothing
    return end


def _strip_trailing(text: str, begin: int, end: int) -> int:
    """Return the end of ``text[begin:end]`` without blanks, rulers and signs, however many: a search sees few."""
    found = True
    while found:
        end = begin + len(text[begin:end].rstrip(_BLANK))
        found = False
        if _TRAILING.search(text, max(begin, end - 20), end) and (  # each alternative is shorter
            trailing := _TRAILING.search(text, max(begin, end - 400), end)
        ):
            end, found = trailing.start(), True
    return end


def _find_last_remark(text: str, start: int, end: int) -> int | None:
    """Return where the last sentence begins if it is a closing remark."""
    last = max(text.rfind("\n", start, end - 1) + 1, start)
    for boundary in _SENTENCE_START.finditer(text, last, end):
        if boundary.end() < end:
            last = boundary.end()
    while last < end and text[last] in " *_\n\"'(" + _NO_WIDTH:
        last += 1
    return last if _CHATTER.match(text, last, end) else None
