"""How a solution is put before a process reward model: its tokens, and the one at which each step is scored.

`token_classification` is the format of TRL's PRM trainer: the problem and each step are tokenised on their own, each
step is followed by the separator, and the separator's last token carries the step's class. `step_tag` is the format of
Math-Shepherd (arXiv 2312.08935): one text with a tag after each step, at which the next token is "+" or "-".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stages.common.params.judge import PrmParams


@dataclass(frozen=True)
class Encoded:
    """Token ids of a solution, and the position in them that scores each step."""

    ids: tuple[int, ...]
    positions: tuple[int, ...]


@dataclass(frozen=True)
class Unfit:
    """Why a solution cannot be scored: `kind` is the few words by which such are counted."""

    reason: str
    kind: str


class Layout:
    """Lays solutions out for one model.

    `tokenizer` is the model's, `limit` the longest input in tokens. A text is never read as special tokens, and none
    is cut. Raises `ValueError` where the settings name tokens that the tokenizer does not have.
    """

    def __init__(self, params: PrmParams, tokenizer: Any, limit: int) -> None:
        if not tokenizer.is_fast:
            raise ValueError(f"judge.prm.model: {params.model}: its tokenizer is no fast one, which alone is supported")
        self._params = params
        self._tokenizer = tokenizer
        self._limit = limit
        self._separator = self._separator_ids()
        self.candidates = self._candidate_ids()
        """Ids of the tokens for right and wrong; None where the model has classes."""
        if isinstance(self._lay_out("1", ["1", "1"]), Unfit):
            raise ValueError(
                f"judge.prm.separator: {params.separator!r} is no token of its own after a step; where the vocabulary "
                "has the tag with a space before it, the separator begins with one; special tokens are not supported"
            )

    def encode(self, problem: str, steps: Sequence[str]) -> Encoded | Unfit:
        """Tokens of a solution by its steps, white space at their ends aside."""
        encoded = self._lay_out(problem, steps)
        if isinstance(encoded, Encoded) and len(encoded.ids) > self._limit:
            return Unfit(f"{len(encoded.ids)} tokens, over the limit of {self._limit}", "too long for the model")
        return encoded

    def _lay_out(self, problem: str, steps: Sequence[str]) -> Encoded | Unfit:
        texts = [self._params.step_text(number, step.strip()) for number, step in enumerate(steps, 1)]
        lay_out = self._in_pieces if self.candidates is None else self._as_one_text
        return lay_out(self._params.problem_text(problem), texts)

    def _in_pieces(self, problem: str, steps: Sequence[str]) -> Encoded:
        start = self._tokenizer.bos_token_id
        ids = [*([] if start is None else [start]), *self._plain(problem)]
        positions = []
        for step in steps:
            ids += self._plain(step) + self._separator
            positions.append(len(ids) - 1)
        return Encoded(tuple(ids), tuple(positions))

    def _as_one_text(self, problem: str, steps: Sequence[str]) -> Encoded | Unfit:
        text, ends = problem, []
        for step in steps:
            text += step + self._params.separator
            ends.append(len(text))
        found = self._tokenizer(text, split_special_tokens=True, return_offsets_mapping=True, verbose=False)
        ids = found["input_ids"]
        # The last token that ends where a tag ends; tokens that the text does not hold are empty spans.
        by_end = {end: at for at, (start, end) in enumerate(found["offset_mapping"]) if start < end}
        positions = [by_end.get(end, -1) for end in ends]
        for number, at in enumerate(positions):
            if at < 0 or ids[at] != self._separator[-1]:
                return Unfit(f"the tag after step {number} runs into other text", "tag is no token of its own")
        return Encoded(tuple(ids), tuple(positions))

    def _plain(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)[
            "input_ids"
        ]
        return ids

    def _separator_ids(self) -> list[int]:
        separator = self._params.separator
        ids: list[int] = self._tokenizer(separator, add_special_tokens=False)["input_ids"]
        if not ids:
            raise ValueError(f"judge.prm.separator: {separator!r} has no tokens in the tokenizer of the model")
        return ids

    def _candidate_ids(self) -> tuple[int, int] | None:
        right, wrong = self._params.right_token, self._params.wrong_token
        if right is None or wrong is None:
            return None
        return self._token("right_token", right), self._token("wrong_token", wrong)

    def _token(self, key: str, token: str) -> int:
        known: dict[str, int] = self._tokenizer.get_vocab()
        if token not in known:
            raise ValueError(
                f"judge.prm.{key}: {token!r} is not in the model's vocabulary; write it as the vocabulary does, where "
                f"a space before a word is ▁ or Ġ"
            )
        return known[token]
