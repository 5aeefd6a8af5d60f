"""What a problem asks for: a proof, several things at once, or something seen in a figure."""

import re

# A verb asks for something where a clause begins with it: "If x > 0, find y", not "one can find y".
_CLAUSE = r"(?:^|[.;:,?!$)\]}*]\s*|\b(?:and|then|also|please|try to)\s+)[\s*_\"“\\]*"
_ANSWER = re.compile(
    _CLAUSE + r"(?:find|determine|calculate|compute|evaluate|solve|simplify|express|give|list|write|state|factori[sz]e|"
    r"factor|expand|estimate|identify|describe|discuss|compare|investigate|examine|deduce|decide|choose|select)\b"
    r"(?!\s+(?:your|the)\s+(?:final\s+)?answer)"
    r"|[?？](?![\"”’'])|_{2,}|(?:\\_){2,}|\\underline|\(\s*\)|（\s*）",
    re.IGNORECASE | re.MULTILINE,
)
_PROOF = re.compile(
    _CLAUSE + r"(?:(?:to\s+)?(?:prove|show|demonstrate|verify|justify)\b(?!\s+(?:your|the)\s+(?:work|answer))"
    r"|derive the (?:equalit|identit|inequalit))",
    re.IGNORECASE | re.MULTILINE,
)
_PICTURE = r"(?:figure|diagram|picture|drawing|sketch|illustration)"
_PLACE = r"(?:below|above|here|(?:at|to|on) (?:the )?(?:right|left))"
DRAWING_CODE = re.compile(r"\[asy\].*?(?:\[/asy\]|\Z)", re.DOTALL | re.IGNORECASE)
"""Asymptote code, as MATH has it."""

_FIGURE = re.compile(
    r"\[asy\]|\\includegraphics|\\begin\{(?:tikzpicture|asy|picture)\}|!\[[^\]]*\]\(|<img"
    r"|https?://\S+\.(?:png|jpe?g|gif|svg)"
    rf"|\b(?:in|see|from|on|using) (?:the |this )(?:\w+ )?{_PICTURE}\b(?! (?:formed|bounded|enclosed|consisting|of\b))"
    rf"|\b(?:{_PICTURE}|graph)s? (?:is |are )?(?:shown|shows?|{_PLACE})\b"
    r"|\bfig(?:ure|\.)\s*\(?\d|\bas (?:shown|pictured|illustrated|depicted)\b|\bthree views\b",
    re.IGNORECASE,
)
_BESIDE = re.compile(
    rf"\b(?:table|chart|image|view)s? (?:is |are )?(?:shown|shows?|{_PLACE})\b|\b(?:shown|pictured) {_PLACE}\b", re.I
)
_TABLE = re.compile(r"\\begin\{(?:tabular|array|matrix|table)\}|^\s*\|", re.MULTILINE)
_LISTED = re.compile(
    r"condition|propert|satisf|such that|rule|axiom|statement|proposition|conclusion|which of the following|operation|"
    r"option|assum|\bif\b|\bfollows\b|\bholds?\b|\bknown\b|\bmoves?\b",
    re.IGNORECASE,
)
_MARK = re.compile(
    r"(?P<line>^)?(?:(?<=\s)|(?<=[$*;:.?!{]|\])|^)[ \t*$]*(?:\\textbf\{|\[b\])?[ \t]*"
    r"(?P<open>[(（])?(?P<label>\d{1,2}|[a-h]|i{1,3}|iv|vi{0,3}|I{1,3}|IV|V|[①-⑨Ⅰ-Ⅸ])(?P<close>\s?[.)）:]+|(?<=[①-⑨]))"
    r"(?:[ \t*$}\]]|\[/b\])*(?P<next>\S)",
    re.MULTILINE,
)
_SERIES = (
    [str(number) for number in range(1, 21)],
    list("abcdefgh"),
    ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii"],
    ["I", "II", "III", "IV", "V"],
    list("①②③④⑤⑥⑦⑧⑨"),
    list("ⅠⅡⅢⅣⅤⅥⅦⅧⅨ"),
)


def asks_for_proof_only(problem: str) -> bool:
    """Whether the problem asks for a proof and for nothing that has an answer."""
    problem = DRAWING_CODE.sub("", problem)
    return _PROOF.search(problem) is not None and _ANSWER.search(problem) is None


def needs_figure(problem: str) -> bool:
    """Whether the problem holds or refers to a figure, or to a table that is not in the text."""
    if _FIGURE.search(problem):
        return True
    return _BESIDE.search(problem) is not None and _TABLE.search(problem) is None


def find_parts(problem: str) -> tuple[str, list[str]]:
    """The text before the first of two or more marked parts, and the parts: "(1) ... (2) ..." or "a) ... b) ...".

    Capital letters mark choices, not parts. Without parts: the whole text and no parts.
    """
    marks = [mark for mark in _MARK.finditer(problem) if _is_mark(mark)]
    best: list[int] = []
    for labels in _SERIES:
        starts: list[int] = []
        for mark in marks:
            if len(starts) < len(labels) and mark["label"] == labels[len(starts)]:
                starts.append(mark.start())
        best = max(best, starts, key=len)
    if len(best) < 2:
        return problem, []
    return problem[: best[0]], [problem[start:end] for start, end in zip(best, [*best[1:], None], strict=True)]


def _is_mark(mark: re.Match[str]) -> bool:
    """At the start of a line any mark counts; inside a line only one in parentheses, before a word."""
    if mark["label"] in "①②③④⑤⑥⑦⑧⑨ⅠⅡⅢⅣⅤⅥⅦⅧⅨ":
        return True
    if mark["line"] is not None:
        # "1.5" and "a.b" at the start of a line are no marks
        return mark["close"].strip() != "." or mark.end("close") < mark.start("next")
    return ")" in mark["close"] and (mark["next"].isupper() or (mark["open"] is not None and mark["next"].isalpha()))


def has_multiple_questions(problem: str) -> bool:
    """Whether the problem asks more than one thing: tasks in two marked parts or paragraphs, or a list of exercises.

    Marked parts without a task are conditions ("with the following properties: 1. ... 2. ...") where the text before
    them says so, and exercises ("solve the equations: a) ... b) ...") otherwise.
    """
    problem = DRAWING_CODE.sub("", problem)
    stem, parts = find_parts(problem)
    if parts:
        asking = sum(1 for part in parts if _ANSWER.search(part) or _PROOF.search(part))
        if asking >= 2:
            return True
        if asking == 0 and not _LISTED.search(stem[-120:]):
            return True
    return sum(1 for paragraph in re.split(r"\n\s*\n", problem) if _ANSWER.search(paragraph)) >= 2
