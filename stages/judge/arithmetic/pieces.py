"""What stands beside an equals sign: the expression, the words around it, and whether anything there is doubtful."""

from __future__ import annotations

from dataclasses import dataclass, field

from stages.judge.arithmetic.tokens import Token
from stages.judge.arithmetic.words import CHANGES_AFTER, CHANGES_BEFORE, JOINS, LABELS, PREPOSITIONS, Run, is_unit

_OPERAND_ENDS = frozenset({"number", "close", "percent", "unit", "bang"})
_OPERAND_STARTS = frozenset({"number", "open", "money", "command"})

_NOTED = _OPERAND_ENDS | {"word"}


@dataclass
class Piece:
    """Tokens between two separators, without units. `doubt` says why it has no certain reading, "" where it has one."""

    tokens: list[Token] = field(default_factory=list)
    units: tuple[str, ...] = ()
    dash: bool = False
    """A dash that starts a line stands before it: a list mark or a minus."""
    doubt: str = ""
    after_words: bool = False
    """Words stand before it that may be part of its name, as in "one-third of 27"."""


def split_pieces(tokens: list[Token]) -> list[Piece]:
    """`tokens`, which hold no relation, cut at punctuation, line ends and words that are no units."""
    tokens = _without_notes(tokens)
    cutter = _Cutter()
    position = 0
    while position < len(tokens):
        if tokens[position].kind == "word":
            end = position
            while end < len(tokens) and tokens[end].kind == "word":
                end += 1
            run = Run(tuple(token.text for token in tokens[position:end]), not tokens[position].spaced)
            position = end + cutter.words(run, tokens[end : end + 2])
        else:
            cutter.token(tokens[position], tokens[position + 1] if position + 1 < len(tokens) else None)
            position += 1
    return cutter.pieces


def _without_notes(tokens: list[Token]) -> list[Token]:
    """`tokens` without brackets after an operand that hold words alone: 7995 (total cookies) - 2595 (eaten)."""
    kept: list[Token] = []
    position = 0
    while position < len(tokens):
        if tokens[position].text == "(" and tokens[position].spaced and kept and kept[-1].kind in _NOTED:
            end = position + 1
            while end < len(tokens) and tokens[end].kind == "word":
                end += 1
            words = {token.text.lower() for token in tokens[position + 1 : end]}
            if words and not words & CHANGES_AFTER and end < len(tokens) and tokens[end].text == ")":
                position = end + 1
                continue
        kept.append(tokens[position])
        position += 1
    return kept


class _Cutter:
    """Builds the pieces from left to right."""

    def __init__(self) -> None:
        self.pieces = [Piece()]
        self._depth = 0

    @property
    def _piece(self) -> Piece:
        return self.pieces[-1]

    @property
    def _last(self) -> str:
        return self._piece.tokens[-1].kind if self._piece.tokens else ""

    def _cut(self, dash: bool = False) -> None:
        doubt = ""
        if self._depth:
            self._piece.doubt = "text within brackets"
        elif self._last == "operator":
            self._piece.doubt = doubt = "operand missing"
        self._depth = 0
        self.pieces.append(Piece(dash=dash, doubt=doubt))

    def token(self, token: Token, after: Token | None) -> None:
        if token.kind in ("break", "line", "bullet"):
            self._punctuation(token, after)
        elif token.kind == "close" and not self._depth:
            self._cut()
        elif token.kind in ("bad", "letter"):
            self._piece.doubt = f"{token.text[:20]} is not a number"
            self._piece.tokens.append(token)
        else:
            self._depth += {"open": 1, "close": -1}.get(token.kind, 0)
            self._piece.tokens.append(token)

    def _punctuation(self, token: Token, after: Token | None) -> None:
        continued = after is not None and after.kind == "operator"
        split = token.text == "," and self._last == "number" and after is not None and len(after.text) == 3
        self._cut(dash=token.kind == "bullet")
        if token.kind == "line" and continued and self.pieces[-2].tokens:
            self.pieces[-2].doubt = self._piece.doubt = "may go on in the next line"
        elif split:
            self._piece.doubt = "a list or a number with thousands"

    def words(self, run: Run, after: list[Token]) -> int:
        """Take a run of words; returns how many tokens after it belong to it: the power of a unit."""
        following = after[0].kind if after else ""
        before = self._last
        lowered = {word.lower() for word in run.words}
        if before in _OPERAND_ENDS:
            return self._after_operand(run, lowered, following, after)
        if before == "operator" or following not in _OPERAND_STARTS:
            self._piece.doubt = f"{' '.join(run.words)[:40]} is not a number"
        elif following:
            self._begin(run, lowered)
        return 0

    def _after_operand(self, run: Run, lowered: set[str], following: str, after: list[Token]) -> int:
        if run.glued and not is_unit(run) and self._last != "close":
            self._piece.doubt = f"{run.words[0][:20]} joined to a number"
        if run.words[0].lower() in CHANGES_AFTER or (len(run.words) == 1 and lowered & CHANGES_AFTER):
            self._piece.doubt = f"followed by {run.words[0]}"
        if following in _OPERAND_STARTS:
            joined = not lowered & (JOINS - {"and"})
            if joined:
                self._piece.doubt = "number after a unit"
            self._begin(run, lowered)
            if joined:
                self._piece.doubt = "after a number and a unit"  # 1 and 1/4
            return 0
        if not is_unit(run) and following not in ("break", "line", "bullet"):
            self._piece.doubt = self._piece.doubt or f"followed by {' '.join(run.words)[:40]}"
        self._piece.units += run.words
        power = len(after) == 2 and after[0].text == "^" and after[1].text in ("2", "3")
        return 2 if power else 0

    def _begin(self, run: Run, lowered: set[str]) -> None:
        """Start a new piece after the words of `run`."""
        self._cut()
        last = run.words[-1].lower()
        self._piece.after_words = last not in JOINS - PREPOSITIONS
        if last in LABELS or last in CHANGES_BEFORE or (last == "of" and lowered & CHANGES_BEFORE):
            self._piece.doubt = f"preceded by {last}"
