r"""Choices: the options of a problem with their letters, and answers that name one of them."""

import re

from stages.common.gold_answers.answer_key import make_comparison_key

_WRAPPED = r"(?:\\(?:textbf|textrm|text|mathbf|mathrm|bf|rm)\s{0,3}\{?\s{0,3})?"
_MARK = re.compile(
    rf"(?:(?<![A-Za-z0-9\\(])|(?=\\)){_WRAPPED}[(（]?\s?{_WRAPPED}(?P<letter>[A-J])\s?\}}?\s?(?:[)）]|[.:．：、](?!\d))\s?\}}?\.?"
)
r"""``A.``, ``(A)``, ``A)``, ``A:``, ``\textbf{(A)}``, ``(\mathrm{A})``."""

_SPACING = re.compile(r"\\q?quad|\\hspace\{[^{}]*\}|\\[ ,;:!\\]|\\hfill|[^\S\n]+")
_LETTERS = "ABCDEFGHIJ"
_MIN_OPTIONS = 3
_MAX_OPTION_CHARS = 200


def find_options(problem: str) -> dict[str, str]:
    r"""Return the options at the end of `problem` by their letters, empty if there are none.

    ``A. 6  B. 9  C. 12`` and ``$\textbf{(A)}\ 6 \qquad\textbf{(B)}\ 9 \qquad\textbf{(C)}\ 12$``: three letters or more
    in their order from A, each once, each with a line of its own words.
    """
    marks = list(_MARK.finditer(problem))
    first = max((at for at, mark in enumerate(marks) if mark["letter"] == "A"), default=len(marks))
    marks = marks[first:]
    if len(marks) < _MIN_OPTIONS or not _LETTERS.startswith("".join(mark["letter"] for mark in marks)):
        return {}
    ends = [*(mark.start() for mark in marks[1:]), len(problem)]
    texts = [problem[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
    texts[-1] = texts[-1].partition("\n")[0]
    texts = [_clean(text) for text in texts]
    if len(set(texts)) < len(texts) or not all(map(_is_option, texts)):
        return {}
    return {mark["letter"]: text for mark, text in zip(marks, texts, strict=True)}


def complete_choice(problem: str, answer: str) -> str:
    r"""Return `answer` with its letter and its text where it is one of the options of `problem`, else as it is.

    ``B``, ``\textbf{(B)}`` and ``\frac12`` are ``(B) \frac12`` where this is option B: the verifier then takes the
    letter and the value. An answer is the option whose text differs from it in layout only.
    """
    options = find_options(problem)
    if not options:
        return answer
    key = make_comparison_key(answer)
    letter = key.strip("().:")
    if letter not in options:
        letter = next((letter for letter, text in options.items() if make_comparison_key(text) == key), "")
    return f"({letter}) {options[letter]}" if letter else answer


def _clean(text: str) -> str:
    """`text` of an option without the layout around it."""
    text = re.sub(r"\$ \$\Z", "", _SPACING.sub(" ", text).strip(" ,;."))
    if text.count("$") % 2:
        text = text.removesuffix("$") if text.endswith("$") else text.removeprefix("$")
    return text.strip(" ,;.")


def _is_option(text: str) -> bool:
    """Whether `text` is one line and no part of a formula or sentence that the marks cut."""
    pairs = all(text.count(left) == text.count(right) for left, right in ("()", "{}", "[]"))
    is_interval = re.fullmatch(r"\$?[(\[][^()\[\]]+[)\]]\$?", text) is not None
    return (
        0 < len(text) <= _MAX_OPTION_CHARS and "\n" not in text and (pairs or is_interval) and text.count("$") % 2 == 0
    )
