"""The input of a process reward model: token ids of a completion, and the positions at which its steps are scored.

`token_classification` is the format of TRL's PRM trainer: the problem and each step are tokenised on their own, each
step is followed by the separator, and the separator's last token has the step's class. `step_tag` is the format of
Math-Shepherd (arXiv 2312.08935): one text with a tag after each step, at which the next token is "+" or "-".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stages.common.errors import UserError
from stages.common.params.judge import PrmParams


@dataclass(frozen=True)
class EncodedSteps:
    """Token ids of a completion with its problem, and the position in them that scores each step."""

    ids: tuple[int, ...]
    positions: tuple[int, ...]


@dataclass(frozen=True)
class UnscoredSteps:
    """Why a completion cannot be scored; `kind` is the reason in a few words without detail, for counting."""

    reason: str
    kind: str


class InputLayout:
    """Encodes completions for one model.

    `tokenizer` is the model's, `max_tokens` the longest input. Text is never read as special tokens, and none is cut.
    Raises `UserError` where params name tokens that the tokenizer does not have.
    """

    def __init__(self, params: PrmParams, tokenizer: Any, max_tokens: int) -> None:
        if not tokenizer.is_fast:
            raise UserError(f"judge.prm.model: {params.model}: expected a fast tokenizer, found a slow one")
        self._params = params
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._separator: list[int] = tokenizer(params.separator, add_special_tokens=False)["input_ids"]
        if not self._separator:
            raise UserError(f"judge.prm.separator: {params.separator!r} has no tokens in the tokenizer of the model")
        self.candidates = self._find_candidates()
        """Ids of the tokens for correct and incorrect; None where the model has classes."""
        if isinstance(self._lay_out("1", ["1", "1"]), UnscoredSteps):
            raise UserError(
                f"judge.prm.separator: {params.separator!r} is not a token of its own after a step; if the vocabulary "
                "has the tag with a space before it, begin the separator with a space; special tokens are not supported"
            )

    def encode(self, problem: str, steps: Sequence[str]) -> EncodedSteps | UnscoredSteps:
        """Tokens of a completion by its steps, without white space at their ends."""
        encoded = self._lay_out(problem, steps)
        if isinstance(encoded, EncodedSteps) and len(encoded.ids) > self._max_tokens:
            reason = f"{len(encoded.ids)} tokens, over the limit of {self._max_tokens}"
            return UnscoredSteps(reason, "too long for the model")
        return encoded

    def _lay_out(self, problem: str, steps: Sequence[str]) -> EncodedSteps | UnscoredSteps:
        texts = [self._params.format_step(number, step.strip()) for number, step in enumerate(steps, 1)]
        lay_out = self._encode_parts if self.candidates is None else self._encode_text
        return lay_out(self._params.format_problem(problem), texts)

    def _encode_parts(self, problem: str, steps: Sequence[str]) -> EncodedSteps:
        start = self._tokenizer.bos_token_id
        ids = [*([] if start is None else [start]), *self._tokenize(problem)]
        positions = []
        for step in steps:
            ids += self._tokenize(step) + self._separator
            positions.append(len(ids) - 1)
        return EncodedSteps(tuple(ids), tuple(positions))

    def _encode_text(self, problem: str, steps: Sequence[str]) -> EncodedSteps | UnscoredSteps:
        text, ends = problem, []
        for step in steps:
            text += step + self._params.separator
            ends.append(len(text))
        encoding = self._tokenizer(text, split_special_tokens=True, return_offsets_mapping=True, verbose=False)
        ids = encoding["input_ids"]
        # The last token that ends where a tag ends; tokens that are not in the text have empty spans.
        by_end = {end: at for at, (start, end) in enumerate(encoding["offset_mapping"]) if start < end}
        positions = [by_end.get(end, -1) for end in ends]
        for number, at in enumerate(positions):
            if at < 0 or ids[at] != self._separator[-1]:
                return UnscoredSteps(f"the tag after step {number} runs into other text", "tag is no token of its own")
        return EncodedSteps(tuple(ids), tuple(positions))

    def _tokenize(self, text: str) -> list[int]:
        encoding = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        ids: list[int] = encoding["input_ids"]
        return ids

    def _find_candidates(self) -> tuple[int, int] | None:
        correct, incorrect = self._params.correct_token, self._params.incorrect_token
        if correct is None or incorrect is None:
            return None
        return self._find_token("correct_token", correct), self._find_token("incorrect_token", incorrect)

    def _find_token(self, key: str, token: str) -> int:
        vocabulary: dict[str, int] = self._tokenizer.get_vocab()
        if token not in vocabulary:
            raise UserError(
                f"judge.prm.{key}: {token!r} is not in the model's vocabulary; spell it as the vocabulary does, with ▁ "
                "or Ġ for a space before a word"
            )
        return vocabulary[token]
