"""The answer that a line or sentence states without saying that it is one."""

import re
from bisect import bisect_left, bisect_right

from stages.common.verifiers.math.extract.completion_end import TAIL_CHARS
from stages.common.verifiers.math.extract.equation_sides import FoundAnswer, narrow_value
from stages.common.verifiers.math.extract.sentence_tokens import DISPLAY, FORMULA
from stages.common.verifiers.math.extract.sentence_values import Rank, find_values

Span = tuple[int, int]

_COMMAND = re.compile(
    r"\\begin\{array\}\{[lcr|]{0,20}\}|\\(?:begin|end|text|mbox|mathrm|textbf|textit|textnormal|operatorname)\s?\{[^{}]{0,300}\}|\\[a-zA-Z]{1,30}"
)
_WORD = re.compile(r"(?<![A-Za-z\d^_])[A-Za-z]{2,}(?![A-Za-z\d^_(\[{])|[\u2e80-\u9fffЀ-ӿ]{2,}")
_NOT_PROSE = re.compile(r"and|or|a?(?:rc)?(?:sin|cos|tan)h?|cot|sec|csc|sqrt|ln|log|exp|pi|theta|infinity|inf")
_OPTION = re.compile(r"\s*(?:\*\*)?\(?(?P<letter>[A-J])(?:\)|[.:])(?:\*\*)?\s(?P<rest>[^\n]{1,200})")
_LETTER = re.compile(r"\s*\(?(?P<letter>[A-J])\b\)?(?!['’])(?=\s*(?:[,.;。，]|because|since|as |and|which|\Z))")
_CHOSEN = re.compile(
    r"\b(?:(?:option|choice|statement|answer)s? \(?(?P<named>[A-J])\b(?!['’])\)?"
    r"|(?:choose|select|pick|choice of) \(?(?P<picked>[A-J])\b(?!['’])\)?)",
    re.IGNORECASE,
)
_IS_CORRECT = re.compile(r"\(?\b(?P<letter>[A-J])\)? is (?:the )?correct")
_NOT_SPACE = re.compile(r"\S")
_DIGIT = re.compile(r"[0-9]")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_BOLD = re.compile(
    r"(?<![\w*])(?P<stars>\*{1,3})(?=[^\s*])[^*\n]{1,300}(?<![\s*])(?P=stars)(?![\w*])"
    r"|(?<![\w_])(?P<lines>__?)(?=[^\s_])[^_\n]{1,300}(?<![\s_])(?P=lines)(?![\w_])"
)
_SENTENCE_END = re.compile(
    r"(?:(?<=\\\])|(?<=\$\$)|(?<=n\*\}))(?=\s*[A-Z][a-z])|(?<=[\]$])(?=\s+(?:So|Thus|Then|Therefore|Hence|Finally|This|The|That|We)\b)|[.!?][\"'”)]*(?=\s)|[。！？]|\n"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|approx|vs|etc|no|dr|mr|mrs|ms|st|fig|eq|cf|resp|[ap]\.m|[a-z])|^\s*\d{1,2})\.\Z", re.I
)
_GOES_ON = re.compile(
    r",?\s+(?:\(|[\u0400-\u04ff\u2e80-\u9fff]|(?:of|for|when|where|because|since|which|as|at|per|from|by|on|after|every|each|with)\b)"
)
_BULLET = re.compile(r"\s*(?:[-*•]|\d{1,2}[.)]|>|#{1,6})\s+(?=\S)")
_BARE_DELIMITER = re.compile(r"\s*(?:\$|\\[)\]])\s*\Z")
_BARE_BULLET = re.compile(r"\s*(?:[-*•]|\d{1,2}[.)])\s*\Z")
_LABEL = re.compile(r"\s*(?:A(?:ns)?[:.]|=>|⇒|→|=|\\(?:therefore|implies|Rightarrow)|∴)\s+(?=\S)")
_CLAUSE = re.compile(
    r"(?:,|;| and)(?: and)? (?:so|hence|thus|therefore|giving|leaving|meaning|yielding|making"
    r"|we (?:get|have|find|obtain))\b"
    r"| so (?:the|he|she|they|it|that|there|we|in|each|you)\b"
    r"|,? which (?:implies|gives|means|equals|yields|leaves|is(?= (?:equal to |just |exactly )?[-−$\\\d(√]))\b"
    r"|; | [⇒→] | => | \\implies | \\Rightarrow "
)
_NO_CONCLUSION = re.compile(
    r"\s*(?:for example|e\.g\.|for instance|note|notice|observe|check|verify|verification|testing|recall|source)\b",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(r"\s*(?P<answer>yes|no)(?=[,.!;: ]|\Z)", re.IGNORECASE)
_MAX_SENTENCES = 4
"""Sentences at the end that are searched for one with a value."""

_MAX_WORDS = 5
"""Words of an answer without numbers."""


def find_formulas(text: str, start: int, end: int) -> list[Span]:
    return [found.span() for found in FORMULA.finditer(text, start, min(end, start + TAIL_CHARS))]


def find_sentence_end(text: str, start: int, end: int, formulas: list[Span]) -> int:
    """Return where the sentence that begins at `start` ends; line ends in `formulas` are none."""
    for boundary in _SENTENCE_END.finditer(text, start, end):
        around = bisect_right(formulas, (boundary.start(), end)) - 1
        if around >= 0 and boundary.start() < formulas[around][1]:
            continue
        if boundary.group()[:1] == "." and _ABBREVIATION.search(
            text, max(start, boundary.start() - 8), boundary.start() + 1
        ):
            continue
        if boundary.group() == "\n" and _goes_on(text, start, boundary.start(), end, formulas):
            continue
        return boundary.start() if boundary.group() in ("", "\n") else boundary.start() + 1
    return end


def _goes_on(text: str, start: int, line_end: int, end: int, formulas: list[Span]) -> bool:
    """Return whether a displayed formula joins the line to the next, which goes on in small letters."""
    following = _NOT_SPACE.search(text, line_end, end)
    after = end if following is None else following.start()
    before = start + len(text[start:line_end].rstrip())
    is_small = after < end and text[after].islower()
    index = bisect_left(formulas, (line_end, 0))
    around = formulas[max(index - 1, 0) : index + 1]
    return any(
        (first == after or (last == before and is_small)) and DISPLAY.match(text, first) for first, last in around
    )


def split_sentences(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Return the spans of the sentences in ``text[start:end]``, lines counted as sentences."""
    sentences = []
    formulas = find_formulas(text, start, end)
    while (first := _NOT_SPACE.search(text, start, end)) is not None:
        start = max(find_sentence_end(text, first.start(), end, formulas), first.end())
        sentences.append((first.start(), start))
    return sentences


def find_words(text: str) -> list[str]:
    """Return the words of `text` outside of commands and formulas, without "and", "or" and names of functions."""
    plain = _COMMAND.sub(" ", FORMULA.sub(" ", text))
    return [word for word in _WORD.findall(plain) if not _NOT_PROSE.fullmatch(word.lower())]


def is_answer_alone(text: str, start: int, end: int) -> bool:
    """Return whether the span holds only an answer: at most three words, and none before a formula or number."""
    part = text[start:end]
    first = min((found.start() for found in (FORMULA.search(part), _DIGIT.search(part)) if found), default=0)
    num_words = len(find_words(part))
    if num_words and len(FORMULA.findall(part)) > 1:
        return False
    return num_words <= 3 and not find_words(part[:first])


def find_whole(text: str, start: int, end: int) -> FoundAnswer | None:
    """Find a text that is only an answer: a formula, up to three words, or an option with its text."""
    part = text[start:end]
    if len(part) >= TAIL_CHARS or "\n\n" in part.strip():
        return None
    if (label := _LABEL.match(text, start, end)) is not None and not label.group().lstrip().startswith("A"):
        start = label.end()
    if (chosen := _CHOSEN.match(text, start, end) or _IS_CORRECT.match(text, start, end)) is not None:
        return FoundAnswer(chosen.start(), chosen.end(), text=_get_letter(chosen))
    option = _OPTION.fullmatch(part)
    if option is not None and option.group().lstrip().startswith("A:"):
        return FoundAnswer(start, end, text=f"(A) {option['rest']}")  # a choice with its text, or short for "Answer"
    if option is not None or (is_answer_alone(text, start, end) and part.strip(" .,;:*_-#|")):
        return narrow_value(text, start, end)
    return None


def find_last_line(text: str, start: int, end: int) -> FoundAnswer | None:
    """Find the last line if it is only an answer."""
    line = max(text.rfind("\n", start, end) + 1, start)
    for formula in FORMULA.finditer(text, max(start, end - TAIL_CHARS), end):
        if formula.start() < line and not text[formula.end() : end].strip(" .\n"):
            line = formula.start()  # a displayed formula of several lines
    if _BARE_BULLET.match(text, line, end) and line > start:
        return None
    if line == start and end - start >= TAIL_CHARS:
        return None
    for prefix in (_BULLET, _LABEL):
        if (match := prefix.match(text, line, end)) is not None:
            line = match.end()
    alone = is_answer_alone(text, line, end) and _LETTER_OR_DIGIT.search(text, line, end)
    return narrow_value(text, line, end) if alone else None


def find_last_sentence(text: str, start: int, end: int) -> FoundAnswer | None:
    """Find the value that the last sentence with one states."""
    start = max(start, end - TAIL_CHARS)
    for first, last in reversed(split_sentences(text, start, end)[-_MAX_SENTENCES:]):
        if (
            _BARE_BULLET.match(text, first, last)
            or text[first:last].rstrip().endswith("?")
            or _NO_CONCLUSION.match(text, first, last)
        ):
            continue
        if _BARE_DELIMITER.match(text, first, last):
            return None  # of a formula that does not begin on its line
        found = read_sentence(text, first, last, is_stated=False)
        if found is not None:
            return found
    match = _YES_OR_NO.match(text, start, end)
    return FoundAnswer(*match.span("answer"), is_value=False) if match else None


def read_sentence(text: str, start: int, end: int, is_stated: bool = True) -> FoundAnswer | None:
    """Return the value that a sentence states; `is_stated`: it begins where the answer does."""
    bold = [found.span() for found in _BOLD.finditer(text, start, end)]
    plain = text if not bold else text[:start] + _BOLD.sub(_hide_marks, text[start:end]) + text[end:]
    if is_stated:
        if (option := _read_option(plain, start, end)) is not None:
            return option
        values = find_values(plain, start, end, is_stated=True)
        if is_answer_alone(plain, start, end) and (
            not values or (len(values) == 1 and not _GOES_ON.match(plain, values[0].end, end))
        ):
            return narrow_value(text, start, end) if _LETTER_OR_DIGIT.search(plain, start, end) else None
    if (bullet := _BULLET.match(plain, start, end)) is not None and not is_stated:
        start = bullet.end()
    if text[start:end].lstrip().startswith("|"):
        cells = [cell for cell in re.finditer(r"[^|]+", plain[start:end]) if cell.group().strip()]
        start, end = (start + cells[-1].start(), start + cells[-1].end()) if cells else (start, end)
    chosen = _CHOSEN.search(plain, start, end) or (None if is_stated else _IS_CORRECT.search(plain, start, end))
    value = _choose_value(plain, start, end, bold, is_stated)
    if chosen is not None:
        letter = _get_letter(chosen)
        if value is None or value.is_guess or value.text is not None or value.end > chosen.start():
            return FoundAnswer(chosen.start(), chosen.end(), text=letter)
        return FoundAnswer(value.start, chosen.end(), text=f"({letter}) {text[value.start : value.end]}")
    if value is not None:
        return value
    if bold and len(find_words(text[slice(*bold[-1])])) <= _MAX_WORDS and not is_stated:
        return FoundAnswer(*bold[-1], is_value=False)
    if not is_stated or not _LETTER_OR_DIGIT.search(plain, start, end):
        return None
    return FoundAnswer(start, end, len(find_words(plain[start:end])) > _MAX_WORDS, is_value=False)


def _get_letter(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group)


def _hide_marks(match: re.Match[str]) -> str:
    marks = len(match["stars"] or match["lines"])
    return f"{' ' * marks}{match.group()[marks:-marks]}{' ' * marks}"


def _read_option(text: str, start: int, end: int) -> FoundAnswer | None:
    """Return the letter of a choice, with its text if that is all that follows."""
    option = _OPTION.match(text, start, end)
    if option is not None:
        if is_answer_alone(text, option.start("rest"), end):
            return FoundAnswer(start, end)
        return FoundAnswer(*option.span("letter"))
    letter = _LETTER.match(text, start, end)
    return FoundAnswer(*letter.span("letter")) if letter is not None else None


def _choose_value(text: str, start: int, end: int, bold: list[tuple[int, int]], is_stated: bool) -> FoundAnswer | None:
    """Return the value of the last clause that has one."""
    clauses = [start, end]
    if not is_stated:
        clauses[1:1] = [found.start() for found in _CLAUSE.finditer(text, start, end)]
    for first, last in zip(reversed(clauses[:-1]), reversed(clauses[1:]), strict=True):
        values = [one for one in find_values(text, first, last, bold, is_stated) if one.rank is not Rank.DENIED]
        if not values:
            continue
        best = max(one.rank for one in values)
        top = [one for one in values if one.rank == best]
        if best is Rank.NAME and len(values) > 1:
            top = values
        before_last = text[first : values[-1].start].rstrip()
        is_sure = len(values) == 1 or (len(top) == 1 and best >= Rank.AFTER_COPULA)
        if (
            before_last.endswith("=")
            or (
                best < Rank.AFTER_COPULA
                and before_last.endswith((" is", " are", " equals"))
                and not text[values[-1].end : last].strip(" .*$")
            )
            or narrow_value(text, values[-1].start, values[-1].end).start > values[-1].start + 2
        ):
            top, is_sure = values, True  # what follows the last sign or verb, behind relative clauses
        chosen = top[-1] if is_sure else values[-1]
        return narrow_value(text, chosen.start, chosen.end, is_guess=not is_sure or chosen.is_open)
    return None
