"""A verdict that contradicts the last sentence of its own analysis; docs/judge.md has the rule with cases.

Only plain statements count: of the step that is judged, without a condition, and of one kind. What says neither or both
contradicts nothing.
"""

import re

_END_CHARS = 600
"""Characters at the end of an analysis in which its last sentence is searched."""

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')*_]{0,3}\s+|\n+")
_RESERVATION = re.compile(
    r"\b(?:if|unless|whether|except|apart from|but|however|although|though|while|only|partly|partially|almost)\b|\?",
    re.IGNORECASE,
)
"""What makes a sentence no plain statement, wherever it stands."""

_DISTANCE = re.compile(
    r"\b(?:would|could|should|might|may|assum\w*|suppos\w*|claim\w*|says?|students?|seems?|appears?|not)\b",
    re.IGNORECASE,
)
"""What makes a statement that follows no statement of the judge's own."""

_CORRECT = r"(?:correct|right|valid|true|sound|accurate)"
_INCORRECT = (
    r"(?:incorrect|wrong|invalid|false|flawed|mistaken|erroneous|not\s{1,3}(?:correct|right|valid|true|sound|accurate))"
)
_ADVERB = (
    r"(?:(?:therefore|thus|hence|so|then|also|indeed|clearly|mathematically|logically|completely|entirely)\s{1,3})?"
)
_LEAD = r"(?:(?:so|thus|hence|therefore|overall|in conclusion|conclusion|verdict|the verdict is)\s{0,3}[,:]?\s{0,3})?"
_SUBJECT = r"(?<!\w)(?:this step|the step|step\s{1,3}(?P<number>\d{1,4})|the verdict)"

_STATEMENT = re.compile(
    rf"{_SUBJECT}\s{{1,3}}is\s{{1,3}}{_ADVERB}"
    rf"(?:(?P<incorrect>{_INCORRECT})|(?P<negated>not\s{{1,3}}{_INCORRECT})|(?P<correct>{_CORRECT}))\b",
    re.IGNORECASE,
)
_ALONE = re.compile(
    rf"{_LEAD}(?:(?P<incorrect>{_INCORRECT})|(?P<correct>{_CORRECT}))[\s.!*_\"')]{{0,9}}", re.IGNORECASE
)
_ALL_CORRECT = re.compile(r"\b(?:all (?:of )?(?:the )?steps are|(?:every|each) step is) correct\b", re.IGNORECASE)
_FIRST_ERROR = re.compile(
    r"\bfirst (?:incorrect step|wrong step|error|mistake) (?:is|occurs|appears|comes)(?: in| at)?"
    r" step (?P<number>\d{1,4})\b"
    r"|\bstep (?P<subject>\d{1,4}) is the first (?:incorrect|wrong)\b",
    re.IGNORECASE,
)


def contradicts_verdict(analysis: str, number: int, is_correct: bool) -> bool:
    """Whether the last sentence of `analysis` plainly states the opposite of the verdict on step `number`, from 1."""
    sentence = _find_last_sentence(analysis)
    if _RESERVATION.search(sentence):
        return False
    alone = _ALONE.fullmatch(sentence)
    matches = [alone] if alone else [m for m in _STATEMENT.finditer(sentence) if int(m["number"] or number) == number]
    if any(_DISTANCE.search(sentence, 0, match.start()) for match in matches):
        return False
    stated = {match["incorrect"] is None for match in matches}
    return stated == {not is_correct}


def contradicts_first_error(analysis: str, first_error: int | None) -> bool:
    """Whether the last sentence of `analysis` plainly names another first error, from 1; None is that there is none."""
    sentence = _find_last_sentence(analysis)
    if _RESERVATION.search(sentence):
        return False
    if _ALL_CORRECT.search(sentence):
        return first_error is not None
    named = {int(match["number"] or match["subject"]) for match in _FIRST_ERROR.finditer(sentence)}
    return len(named) == 1 and named != {first_error}


def _find_last_sentence(text: str) -> str:
    return _SENTENCE_END.split(text[-_END_CHARS:].strip())[-1].strip(" \t*_\"'")
