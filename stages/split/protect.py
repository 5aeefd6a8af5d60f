r"""Where no step may begin: mathematics and code that goes over several lines.

Every environment is matched on its own, and what lies between its marks is protected; spans of different kinds may
nest or overlap. An opening mark without its end protects nothing, so that a sample cut in a formula keeps its steps:

- ``\[`` and ``\(`` do not nest: each end belongs to the last opening mark before it, earlier ones have no end.
- ``\begin{name}`` belongs to the ``\end{name}`` of its name, nested ones of a name from the inside; names that are
  not mathematics or code (``itemize``, ``proof``) protect nothing.
- ``$$`` and ``$`` end before the next blank line or not at all, as in TeX. A single ``$`` is money unless it touches
  what follows it and is ended by one that touches what comes before it, and stands by no digit.
- A code fence ends at a line of at least as many of its characters and nothing else.
- Rows of a table are neighbouring lines that begin with "|".
"""

import re
from collections.abc import Iterator

_FENCE = re.compile(r"^[ \t]*(?P<marks>`{3,}|~{3,})(?P<info>[^`\n]*)$", re.MULTILINE)
_TABLE = re.compile(r"^[ \t]*\|[^\n]*(?:\n[ \t]*\|[^\n]*)+", re.MULTILINE)
_TOKEN = re.compile(
    r"\\(?P<bracket>[\[\]()])"
    r"|\\(?P<edge>begin|end)\{(?P<name>[A-Za-z]{1,30})\*?\}"
    r"|\[(?P<figure>/?asy)\]"
    r"|\\[\s\S]"  # an escaped character: \$ is money, and \\[2pt] is a line break with its optional argument
    r"|(?P<dollars>\${1,2})"
    r"|(?P<blank>\n[ \t\r]*(?=\n))"
)
# fmt: off
_ENVIRONMENTS = frozenset([
    "align", "alignat", "aligned", "alignedat", "array", "asy", "bmatrix", "Bmatrix", "cases", "dcases",
    "displaymath", "eqnarray", "equation", "flalign", "gather", "gathered", "lstlisting", "math", "matrix",
    "multline", "multlined", "pmatrix", "rcases", "smallmatrix", "split", "subarray", "tabular",
    "tikzpicture", "verbatim", "vmatrix", "Vmatrix",
])
# fmt: on

Span = tuple[int, int]


def protected_spans(text: str) -> list[Span]:
    """Spans of `text`, in code points, that hold no beginning of a step; sorted, disjoint. Linear time."""
    tables = [match.span() for match in _TABLE.finditer(text)]
    spans = sorted([*_fences(text), *_mathematics(text), *tables])
    merged: list[Span] = []
    for start, end in spans:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def is_display(text: str, span: Span) -> bool:
    """Whether a protected span is a formula, or a figure, that stands apart from the sentence around it."""
    return text.startswith(("\\[", "$$", "\\begin{", "[asy]"), span[0])


def _fences(text: str) -> Iterator[Span]:
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        marks = fence["marks"]
        if fence["info"].strip():
            # Only an opening fence names a language; one that was open before it has no end.
            opened = fence
        elif opened is None:
            opened = fence
        elif opened["marks"][0] == marks[0] and len(marks) >= len(opened["marks"]):
            yield opened.start(), fence.end()
            opened = None


def _mathematics(text: str) -> Iterator[Span]:
    brackets: dict[str, int] = {}
    environments: dict[str, list[int]] = {}
    display: int | None = None
    inline: int | None = None
    for token in _TOKEN.finditer(text):
        start, end = token.span()
        if token["blank"] is not None:
            display = inline = None
        elif mark := token["bracket"]:
            if mark in "[(":
                brackets[mark] = start
            elif (begun := brackets.pop("[" if mark == "]" else "(", None)) is not None:
                yield begun, end
        elif name := token["name"] or token["figure"]:
            opens = token["edge"] == "begin" or token["figure"] == "asy"
            waiting = environments.setdefault(name.lstrip("/"), [])
            if opens and name in _ENVIRONMENTS:
                waiting.append(start)
            elif not opens and waiting:
                yield waiting.pop(), end
        elif token["dollars"] == "$$":
            if display is not None:
                yield display, end
                display = None
            else:
                display = start
        elif token["dollars"]:
            if inline is not None and _closes(text, start):
                yield inline, end
                inline = None
            elif _opens(text, start):
                inline = start


def _opens(text: str, at: int) -> bool:
    """Whether the dollar at `at` may open a formula: something follows it at once, and it ends no word."""
    return not text[at + 1 : at + 2].isspace() and not text[max(at - 1, 0) : at].isalnum()


def _closes(text: str, at: int) -> bool:
    """Whether the dollar at `at` may end a formula: something comes right before it, and no digit after it."""
    return not text[at - 1].isspace() and not text[at + 1 : at + 2].isdigit()
