"""Where sentences begin, for texts that are one line, and for a model that may divide anywhere."""

import re

from stages.split.protect import Span, is_display

_SENTENCE_END = re.compile(
    r"(?P<last>[A-Za-z.]{0,12})[.!?][\"'”’)\]*_]{0,3}[ \t\r\n]{1,80}(?=[\"'“‘(\[*_]{0,3}[A-Z0-9$\\\u4e00-\u9fff])"
    r"|[。！？][”’）]?[ \t]*(?=\S)"
)
_BEHIND_DISPLAY = re.compile(r"[.,;]?[ \t\r\n]{1,80}(?=[A-Z])")
_ABBREVIATIONS = frozenset([
    "e.g", "i.e", "mr", "mrs", "ms", "dr", "prof", "st", "no", "fig", "eq", "vs", "cf", "approx", "resp", "thm",
])  # fmt: skip


def start_sentences(text: str, spans: list[Span]) -> list[int]:
    """Where sentences of `text` begin, outside of `spans`, also behind a display; sorted, 0 first; linear time."""
    starts = {0}
    for span in spans:
        behind = _BEHIND_DISPLAY.match(text, span[1]) if is_display(text, span) else None
        starts |= {behind.end()} if behind else set()
    waiting = iter(spans)
    start, end = next(waiting, (len(text), len(text)))
    for match in _SENTENCE_END.finditer(text):
        at = match.end()
        while end <= at and start < len(text):
            start, end = next(waiting, (len(text), len(text)))
        if not start < at < end and (match["last"] or "").lower() not in _ABBREVIATIONS:
            starts.add(at)
    return sorted(starts)
