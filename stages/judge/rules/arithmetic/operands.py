"""The operands of an equals sign: the expression, the words around it, and whether it is ambiguous."""

from dataclasses import dataclass, field

from stages.judge.rules.arithmetic.tokens import OPERAND_ENDS, OPERAND_STARTS, Token
from stages.judge.rules.arithmetic.word_lists import (
    CONNECTIVES,
    MODIFIERS_AFTER,
    MODIFIERS_BEFORE,
    NUMBERED_NOUNS,
    PREPOSITIONS,
    WordRun,
    is_unit,
)

_NOTE_PRECEDERS = OPERAND_ENDS | {"word"}


@dataclass
class Operand:
    """Tokens between two separators, without units; `skip_reason` is "" if they have one certain reading."""

    tokens: list[Token] = field(default_factory=list)
    units: tuple[str, ...] = ()
    has_dash: bool = False
    """A dash at the start of the line precedes it: a list mark or a minus sign."""
    skip_reason: str = ""
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
        return self._current.tokens[-1].kind if self._current.tokens else ""

    def _start_operand(self, has_dash: bool = False) -> None:
        skip_reason = ""
        if self._depth:
            self._current.skip_reason = "text within brackets"
        elif self._last == "operator":
            self._current.skip_reason = skip_reason = "operand missing"
        self._depth = 0
        self.operands.append(Operand(has_dash=has_dash, skip_reason=skip_reason))

    def add_token(self, token: Token, after: Token | None) -> None:
        if token.kind in ("break", "line", "bullet"):
            self._add_punctuation(token, after)
        elif token.kind == "close" and not self._depth:
            self._start_operand()
        elif token.kind in ("bad", "letter"):
            self._current.skip_reason = f"{token.text[:20]} is not a number"
            self._current.tokens.append(token)
        else:
            self._depth += {"open": 1, "close": -1}.get(token.kind, 0)
            self._current.tokens.append(token)

    def _add_punctuation(self, token: Token, after: Token | None) -> None:
        is_continued = after is not None and after.kind == "operator"
        is_list = token.text == "," and self._last == "number" and after is not None and len(after.text) == 3
        self._start_operand(has_dash=token.kind == "bullet")
        if token.kind == "line" and is_continued and self.operands[-2].tokens:
            self.operands[-2].skip_reason = self._current.skip_reason = "may continue in the next line"
        elif is_list:
            self._current.skip_reason = "a list or a number with thousands"

    def add_words(self, run: WordRun, after: list[Token]) -> int:
        """Add a run of words; return how many tokens after it belong to it: the power of a unit."""
        following = after[0].kind if after else ""
        before = self._last
        lower_words = {word.lower() for word in run.words}
        if before in OPERAND_ENDS:
            return self._add_after_operand(run, lower_words, following, after)
        if before == "operator" or following not in OPERAND_STARTS:
            self._current.skip_reason = f"{' '.join(run.words)[:40]} is not a number"
        elif following:
            self._start_after_words(run, lower_words)
        return 0

    def _add_after_operand(self, run: WordRun, lower_words: set[str], following: str, after: list[Token]) -> int:
        if run.is_attached and not is_unit(run) and self._last != "close":
            self._current.skip_reason = f"{run.words[0][:20]} joined to a number"
        if run.words[0].lower() in MODIFIERS_AFTER or (len(run.words) == 1 and lower_words & MODIFIERS_AFTER):
            self._current.skip_reason = f"followed by {run.words[0]}"
        if following in OPERAND_STARTS:
            is_joined = not lower_words & (CONNECTIVES - {"and"})
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
        self._current.follows_words = last not in CONNECTIVES - PREPOSITIONS
        if last in NUMBERED_NOUNS or last in MODIFIERS_BEFORE or (last == "of" and lower_words & MODIFIERS_BEFORE):
            self._current.skip_reason = f"preceded by {last}"
