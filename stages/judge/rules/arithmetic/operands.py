"""The operands of an equals sign: the expression, the words around it, and whether it is ambiguous."""

from dataclasses import dataclass, field

from stages.judge.rules.arithmetic.tokens import OPERAND_ENDS, OPERAND_STARTS, Token
from stages.judge.rules.arithmetic.word_lists import (
    CONCLUSIONS,
    CONNECTIVES,
    FUNCTION_NOUNS,
    MODIFIERS_AFTER,
    MODIFIERS_BEFORE,
    NUMBERED_NOUNS,
    WordRun,
    is_unit,
)

CLAUSE_ENDS = frozenset({"break", "line", "bullet"})
"""Kinds of tokens that end an expression."""

_ARTICLES = frozenset({"the", "a", "an"})
_NOTE_PRECEDERS = OPERAND_ENDS | {"word"}


@dataclass
class Operand:
    """Tokens between two separators, without units; `skip_reason` is "" if they have one certain reading."""

    tokens: list[Token] = field(default_factory=list)
    units: tuple[str, ...] = ()
    has_dash: bool = False
    """A dash at the start of the line precedes it: a list mark or a minus sign."""
    skip_reason: str = ""
    has_name: bool = False
    """A name or a letter stands in it for a number."""
    follows_words: bool = False
    """It follows words that may be part of its name, as in "one-third of 27"."""


def split_operands(tokens: list[Token]) -> list[Operand]:
    """`tokens`, none of which is a relation, split at punctuation, line ends and words that are not units."""
    tokens = _drop_notes(tokens)
    splitter = _OperandSplitter()
    position = 0
    while position < len(tokens):
        if tokens[position].kind == "word":
            end = position
            while end < len(tokens) and tokens[end].kind == "word":
                end += 1
            run = WordRun(tuple(token.text for token in tokens[position:end]), not tokens[position].has_space)
            position = end + splitter.add_words(run, tokens[end : end + 2])
        else:
            splitter.add_token(tokens[position], tokens[position + 1] if position + 1 < len(tokens) else None)
            position += 1
    return splitter.operands


def _drop_notes(tokens: list[Token]) -> list[Token]:
    """`tokens` without bracketed notes of words after an operand: 7995 (total cookies) - 2595 (eaten)."""
    kept: list[Token] = []
    position = 0
    while position < len(tokens):
        if tokens[position].text == "(" and tokens[position].has_space and kept and kept[-1].kind in _NOTE_PRECEDERS:
            end = position + 1
            while end < len(tokens) and tokens[end].kind == "word":
                end += 1
            words = {token.text.lower() for token in tokens[position + 1 : end]}
            if words and not words & MODIFIERS_AFTER and end < len(tokens) and tokens[end].text == ")":
                position = end + 1
                continue
        kept.append(tokens[position])
        position += 1
    return kept


def is_one_clause(tokens: list[Token]) -> bool:
    """Whether no punctuation and no line end divides `tokens`, the side of a relation."""
    return not any(token.kind in CLAUSE_ENDS for token in tokens)


def read_name(tokens: list[Token]) -> tuple[tuple[str, ...], bool] | None:
    """The name at the end of the side `tokens` of an equals sign, and whether it begins the next equation at once.

    A name is a letter or some words: "Total cost". It is None where another expression stands there.
    """
    ends = [at for at, token in enumerate(tokens) if token.kind in CLAUSE_ENDS]
    start = ends[-1] + 1 if ends else 0
    while start < len(tokens) and tokens[start].text.lower() in CONNECTIVES - {"a"}:
        start += 1
    named = tokens[start:]
    if not named or any(token.kind not in ("word", "letter", "money") for token in named):
        return None
    skipped = tokens[ends[0] if ends else 0 : start]
    between = {token.text.lower() for token in skipped if token.kind in ("word", "letter")}
    is_next = bool(ends) and ends[0] > 0 and between <= CONCLUSIONS | _ARTICLES
    words = [token.text for token in named if token.kind != "money"]
    return tuple(words if len(words) == 1 else map(str.lower, words)), is_next


class _OperandSplitter:
    """Builds the operands from left to right."""

    def __init__(self) -> None:
        self.operands = [Operand()]
        self._depth = 0

    @property
    def _current(self) -> Operand:
        return self.operands[-1]

    @property
    def _last(self) -> str:
        """The kind of the last token; a dollar sign may end a formula."""
        return next((token.kind for token in reversed(self._current.tokens) if token.kind != "money"), "")

    def _start_operand(self, has_dash: bool = False) -> None:
        skip_reason = ""
        if self._depth:
            self._current.skip_reason = "text within brackets"
        elif self._last == "operator":
            self._current.skip_reason = skip_reason = "operand missing"
            self._current.has_name = True
        self._depth = 0
        self.operands.append(Operand(has_dash=has_dash, skip_reason=skip_reason))

    def add_token(self, token: Token, after: Token | None) -> None:
        if token.kind in CLAUSE_ENDS:
            self._add_punctuation(token, after)
        elif token.kind == "close" and not self._depth:
            self._start_operand()
            if after is not None and after.kind == "operator":
                self._current.skip_reason = "follows a bracket of several parts"  # max(3, 4) - 1
        elif token.kind in ("bad", "letter"):
            self._current.skip_reason = f"{token.text[:20]} is not a number"
            self._current.has_name = True
            self._current.tokens.append(token)
        else:
            self._depth += {"open": 1, "close": -1}.get(token.kind, 0)
            self._current.tokens.append(token)

    def _add_punctuation(self, token: Token, after: Token | None) -> None:
        is_continued = after is not None and after.kind == "operator"
        is_list = token.text == "," and self._last == "number" and after is not None and len(after.text) == 3
        self._start_operand(has_dash=token.kind == "bullet")
        self._current.follows_words = token.text == ","
        if token.kind == "line" and is_continued and self.operands[-2].tokens:
            self.operands[-2].skip_reason = self._current.skip_reason = "may continue in the next line"
        elif is_list:
            self._current.skip_reason = "a list or a number with thousands"

    def add_words(self, run: WordRun, after: list[Token]) -> int:
        """Add a run of words; return how many tokens after it belong to it: the power of a unit."""
        following = after[0].kind if after else ""
        before = self._last
        lower_words = {word.lower() for word in run.words}
        if before == "operator" and self._is_rate(run, following):
            self._current.tokens.pop()
            self._current.units += run.words
            return 0
        if before in OPERAND_ENDS:
            return self._add_after_operand(run, lower_words, following, after)
        if before == "operator" or following not in OPERAND_STARTS:
            self._current.skip_reason = f"{' '.join(run.words)[:40]} is not a number"
            self._current.has_name = True
        elif following:
            self._start_after_words(run, lower_words)
            if _is_factor(run.words[-1], after[0]):
                self._current.skip_reason = f"{run.words[-1][:20]} may be a factor or a function"
        return 0

    def _is_rate(self, run: WordRun, following: str) -> bool:
        """Whether `run` after a slash is what the number before it is counted per: $15/student."""
        before = [token.kind for token in self._current.tokens[-2:]]
        return (
            before[0] in OPERAND_ENDS
            and self._current.tokens[-1].text == "/"
            and following not in OPERAND_STARTS
            and is_unit(run._replace(is_attached=False))
        )

    def _add_after_operand(self, run: WordRun, lower_words: set[str], following: str, after: list[Token]) -> int:
        if run.is_attached and not is_unit(run) and self._last != "close":
            self._current.skip_reason = f"{run.words[0][:20]} joined to a number"
        if run.words[0].lower() in MODIFIERS_AFTER or (len(run.words) == 1 and lower_words & MODIFIERS_AFTER):
            self._current.skip_reason = f"followed by {run.words[0]}"
        if following in OPERAND_STARTS:
            is_formula = self._current.tokens[-1].kind == "money" and following == "money"  # $1 + 1$ and $2 + 2$
            is_joined = not is_formula and not lower_words & (CONNECTIVES - {"and"})
            if is_joined:
                self._current.skip_reason = "number after a unit"
            self._start_after_words(run, lower_words)
            if is_joined:
                self._current.skip_reason = "after a number and a unit"  # 1 and 1/4
            return 0
        if not is_unit(run) and following not in ("break", "line", "bullet"):
            self._current.skip_reason = self._current.skip_reason or f"followed by {' '.join(run.words)[:40]}"
        self._current.units += run.words
        power = len(after) == 2 and after[0].text == "^" and after[1].text in ("2", "3")
        return 2 if power else 0

    def _start_after_words(self, run: WordRun, lower_words: set[str]) -> None:
        """Start a new operand after the words of `run`."""
        self._start_operand()
        last = run.words[-1].lower()
        self._current.follows_words = last not in CONCLUSIONS
        is_function = last == "of" and lower_words & (MODIFIERS_BEFORE | FUNCTION_NOUNS)
        if last.removesuffix("s") in NUMBERED_NOUNS or last in MODIFIERS_BEFORE or is_function:
            self._current.skip_reason = f"preceded by {last}"


def _is_factor(word: str, after: Token) -> bool:
    """Whether `word` before the token `after` may belong to its value: a(1 + 2), AB \\sqrt{2}, f(3)."""
    if after.kind == "money":
        return False
    return not after.has_space or (after.kind in ("open", "command") and (word == "a" or word.isupper()))
