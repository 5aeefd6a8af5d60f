r"""Answers in words: even, Tuesday, no solution, (B), (B) with the option's text."""

from __future__ import annotations

import re

from stages.common.verifiers.math.compare.exact_numbers import parse_number, parse_numeral
from stages.common.verifiers.verifier import Decision

_TRUTH_WORDS = frozenset({"yes", "no", "true", "false", "even", "odd", "none", "infinite", "undefined"})
_PHRASE = re.compile(r"(?:[A-Za-z]{2,}|a)(?:[ '-][A-Za-z]+){0,12}")
_NAME = re.compile(r"[a-z]{3,}(?: [a-z]{3,}){0,3}")
_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_LEADING_WORDS = re.compile(r"(?:it is |it's |they are )?(?:(?:an?|the) )?(?=[a-z]{2})")
_JOINED = re.compile(r", ?(?:and )?| and ")
_YES_OR_NO = re.compile(r"(yes|no|true|false)[,.;:] ?.*", re.DOTALL)
_NOTHING = re.compile(
    r"(?:there (?:is|are) )?no(?: (?:real|integer|such|valid|possible))*(?: (?:solutions?|roots?|values?|numbers?))?"
    r"(?: exists?)?|none|(?:the )?empty set|impossible"
)
_NOT_EXISTING = re.compile(r"dne|(?:the limit )?does(?: not|n't) exist|do(?: not|n't) exist")
_ALL_REALS = re.compile(r"(?:(?:all|any|every) )?(?:the )?(?:set of )?(?:all )?real numbers?|all (?:the )?reals")
_MEANINGS = (
    (_NOTHING, r"\emptyset"),
    (_NOT_EXISTING, "does not exist"),
    (_ALL_REALS, r"(-\infty,\infty)"),
)
_CHOICE = re.compile(r"(?:(?:option|choice|answer) ?)?\(?(?:\\text\{)?\(?([A-J])\)?\}?\)?", re.IGNORECASE)
_CHOICE_AND_TEXT = re.compile(r"(?:\\text\{ ?(?:\(([A-J])\)|([A-J])[.):]) ?\}|\(([A-J])\)|([A-J])[.):](?= ?\S)) ?(.+)")
_SEVERAL = re.compile(r"[A-J](?:(?:,| and |,? ?\\text\{ ?and ?\}) ?[A-J])+|[A-J]{2,6}")


def canonicalize_words(text: str) -> str:
    r"""Return `text` with "no solution" as ``\emptyset``, "all real numbers" as ``(-\infty,\infty)``, "two" as 2."""
    phrase = simplify_words(text)
    if phrase in (r"\emptyset", r"\{\}", "{}"):
        return r"\emptyset"
    if phrase in (r"\mathbb{r}", r"x \in\mathbb{r}", r"x\in\mathbb{r}", r"\mathbb r", r"(-\infty,+\infty)"):
        return r"(-\infty,\infty)"
    if len(phrase) > 60 or phrase == "no":
        return text
    meaning = next((meaning for pattern, meaning in _MEANINGS if pattern.fullmatch(phrase)), None)
    return meaning or parse_numeral(phrase) or text


def simplify_words(text: str) -> str:
    r"""Return `text` in lower case without ``\text``, the full stop and words like "it is a"."""
    return _LEADING_WORDS.sub("", _TEXT.sub(r"\1", text).strip().casefold().removesuffix("."), count=1)


def compare_words(left: str, right: str) -> Decision | None:
    """Compare words without regard to case; "Yes, it is" is yes."""
    first, second = simplify_words(left), simplify_words(right)
    if first == second and _PHRASE.fullmatch(first):
        return True, "words"
    names = [sorted(_JOINED.split(phrase)) for phrase in (first, second)]
    if min(map(len, names)) > 1 and all(_NAME.fullmatch(name) for name in (*names[0], *names[1])):
        return names[0] == names[1], "words"
    if (more := _YES_OR_NO.fullmatch(second)) and first in ("yes", "no", "true", "false"):
        return first == more[1], "words"
    phrases = bool(_PHRASE.fullmatch(first) and _PHRASE.fullmatch(second))
    # Short words may be products of variables: ab equals ba.
    if first in _TRUTH_WORDS or (phrases and (second in _TRUTH_WORDS or max(len(first), len(second)) > 3)):
        return False, "words"
    if second in _TRUTH_WORDS and parse_number(left):
        return False, "words"
    return None


def compare_choices(left: str, right: str) -> Decision | None:
    r"""Compare choices: (B), B and ``\text{B}`` are one, with or without the option's text; several are a set."""
    gold, answer = _CHOICE.fullmatch(left), _CHOICE.fullmatch(right) or _CHOICE_AND_TEXT.fullmatch(right)
    if gold is not None and answer is not None:
        return _letter(gold) == _letter(answer), "choices"
    gold = _CHOICE_AND_TEXT.fullmatch(left)
    if gold is not None and answer is not None:
        return _letter(gold) == _letter(answer), "choices"
    if _SEVERAL.fullmatch(left) and _SEVERAL.fullmatch(right) and len(left) != len(right):
        return set(re.findall("[A-J]", left)) == set(re.findall("[A-J]", right)), "choices"
    return None


def get_option_text(text: str) -> str | None:
    """Return the text after the letter of a choice, None if there is none."""
    match = _CHOICE_AND_TEXT.fullmatch(text)
    return match[5].strip() if match else None


def _letter(match: re.Match[str]) -> str:
    return next(group for group in match.groups()[:4] if group).upper()
