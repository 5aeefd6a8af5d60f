"""The input of a process reward model: token ids of a completion, and the positions at which its steps are scored.

`token_classification` is the format of TRL's PRM trainer: the problem and each step are tokenised on their own, each
step is followed by the separator, and the separator's last token has the step's class; `skywork_prm` reads the same.
`step_tag` is the format of Math-Shepherd (arXiv 2312.08935): one text with a tag after each step, at which the next
token is "+" or "-". `qwen_math_prm` (arXiv 2501.07301) has the tags in a chat template, as `step_tag` may have them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any

from stages.common.errors import UserError
from stages.common.params.prm import PrmParams
from stages.judge.prm.chat_frame import ChatFrame, Message, Part


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

    `tokenizer` is the model's, `max_tokens` the longest input. Problem and steps are never read as added tokens, and
    none is cut. Raises `UserError` where params name tokens that the tokenizer does not have.
    """

    def __init__(self, params: PrmParams, tokenizer: Any, max_tokens: int) -> None:
        if not tokenizer.is_fast:
            raise UserError(f"judge.prm.model: {params.model}: expected a fast tokenizer, found a slow one")
        self._params = params
        self._max_tokens = max_tokens
        self._text_tokenizer = _make_text_tokenizer(tokenizer)
        self._vocabulary: dict[str, int] = tokenizer.get_vocab()
        self._start_id: int | None = tokenizer.bos_token_id
        self._has_text = params.layout in ("step_tag", "qwen_math_prm")
        self._has_turns = params.chat is not None and params.chat.steps == "turns"
        self._added_ids = self._find_added_ids()
        self.tag_id: int | None = tokenizer.added_tokens_encoder.get(params.separator)
        """Id of a separator that is an added token: then nothing else in an input has it."""
        if self.tag_id is None and params.layout == "qwen_math_prm":
            raise UserError(
                f"judge.prm.separator: {params.separator!r} is no special token of the tokenizer of {params.model}; "
                "name the tag that the model was trained with"
            )
        self._separator = self._tokenize(params.separator) if self.tag_id is None else [self.tag_id]
        if not self._separator:
            raise UserError(f"judge.prm.separator: {params.separator!r} has no tokens in the tokenizer of the model")
        self.candidates = self._find_candidates()
        """Ids of the tokens for correct and incorrect; None where the model has a head of its own."""
        self._chat = None if params.chat is None else ChatFrame(tokenizer, params.model)
        if self._has_text:
            self._check_tokenizer(tokenizer)

    def encode(self, problem: str, steps: Sequence[str]) -> EncodedSteps | UnscoredSteps:
        """Tokens of a completion by its steps, without white space at their ends."""
        encoded = self._assemble(self._list_parts(problem, steps))
        if isinstance(encoded, EncodedSteps) and len(encoded.ids) > self._max_tokens:
            reason = f"{len(encoded.ids)} tokens, over the limit of {self._max_tokens}"
            return UnscoredSteps(reason, "too long for the model")
        return encoded

    def _list_parts(self, problem: str, steps: Sequence[str]) -> list[Part]:
        texts = [self._params.format_step(number, step.strip()) for number, step in enumerate(steps, 1)]
        if self._chat is not None:
            return self._chat.lay_out(self._list_messages(problem.strip(), texts))
        problem = self._params.format_problem(problem)
        if not self._has_text:
            start = [] if self._start_id is None else [self._start_id]
            return [*start, *self._tokenize(problem), *self._add_tags(texts, self._separator)]
        before, after = self._added_ids
        return [*before, problem, *self._add_tags(texts, self._get_tag()), *after]

    def _list_messages(self, problem: str, texts: Sequence[str]) -> list[Message]:
        chat = self._params.chat
        assert chat is not None
        messages: list[Message] = [] if chat.system is None else [("system", [chat.system])]
        problem = self._params.format_problem(problem)
        if chat.steps != "turns":
            tagged = self._add_tags(texts, self._get_tag())
            return [*messages, ("user", [problem]), (chat.steps, [chat.before_steps, *tagged])]
        for at, text in enumerate(texts):
            before = "" if at else problem + chat.before_steps
            messages += [("user", [before, text]), ("assistant", [*self._get_tag(), None])]
        return messages

    def _get_tag(self) -> list[Part]:
        """The separator as a part of a text: its id, or its letters, which may join with those before them."""
        return [self._params.separator if self.tag_id is None else self.tag_id]

    def _add_tags(self, texts: Sequence[str], tag: Sequence[Part]) -> list[Part]:
        return [part for text in texts for part in (text, *tag, None)]

    def _assemble(self, parts: Sequence[Part]) -> EncodedSteps | UnscoredSteps:
        """Tokenise the texts between tokens, each run of neighbouring texts at once, as the tokenizer would."""
        ids: list[int] = []
        ends: list[int] = []
        for is_token, group in groupby(parts, lambda part: isinstance(part, int)):
            if is_token:
                ids += group  # type: ignore[arg-type]
                continue
            run = list(group)
            texts = [part if isinstance(part, str) else "" for part in run]
            encoding = self._text_tokenizer.encode("".join(texts), add_special_tokens=False)
            # The last token that ends where a tag ends; a tag at the start of the run is the token before it.
            by_end = {end: len(ids) + at for at, (start, end) in enumerate(encoding.offsets) if start < end}
            by_end[0] = len(ids) - 1
            lengths = accumulate(map(len, texts))
            ends += [by_end.get(length, -1) for part, length in zip(run, lengths, strict=True) if part is None]
            ids += encoding.ids
        for number, end in enumerate(ends, 1):
            if end < 0 or ids[end] != self._separator[-1]:
                return UnscoredSteps(f"the tag after step {number} runs into other text", "tag is no token of its own")
        return EncodedSteps(tuple(ids), tuple(end - self._has_turns for end in ends))

    def _tokenize(self, text: str) -> list[int]:
        ids: list[int] = self._text_tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _find_added_ids(self) -> tuple[list[int], list[int]]:
        """What the tokenizer puts before and after a text."""
        encoding = self._text_tokenizer.encode("1")
        is_own = [at for at, is_added in enumerate(encoding.special_tokens_mask) if not is_added]
        return encoding.ids[: is_own[0]], encoding.ids[is_own[-1] + 1 :]

    def _check_tokenizer(self, tokenizer: Any) -> None:
        """A harmless completion must have its tags, and the ids that the tokenizer itself gives it."""
        params = self._params
        encoded = self._assemble(self._list_parts("1", ["1", "1"]))
        if isinstance(encoded, UnscoredSteps) or (self._has_turns and len(self._separator) > 1):
            raise UserError(
                f"judge.prm.separator: {params.separator!r} is not a token of its own after a step; if the vocabulary "
                "has the tag with a space before it, begin the separator with a space"
            )
        texts = [params.format_step(number, "1") for number in (1, 2)]
        if self._chat is None:
            own = tokenizer(
                "".join([params.format_problem("1"), *(f"{text}{params.separator}" for text in texts)])
            ).input_ids
        else:
            messages = [
                (role, "".join(params.separator if isinstance(part, int) else part or "" for part in content))
                for role, content in self._list_messages("1", texts)
            ]
            own = self._chat.render(messages, tokenize=True)
        if list(encoded.ids) != list(own):
            raise UserError(
                f"judge.prm.model: {params.model}: its tokenizer reads a text with tags otherwise than in parts; such "
                "tokenizers are not supported"
            )

    def _find_candidates(self) -> tuple[int, int] | None:
        correct, incorrect = self._params.correct_token, self._params.incorrect_token
        if correct is None or incorrect is None:
            return None
        return self._find_token("correct_token", correct), self._find_token("incorrect_token", incorrect)

    def _find_token(self, key: str, token: str) -> int:
        if token not in self._vocabulary:
            raise UserError(
                f"judge.prm.{key}: {token!r} is not in the model's vocabulary; spell it as the vocabulary does, with ▁ "
                "or Ġ for a space before a word"
            )
        return self._vocabulary[token]


def _make_text_tokenizer(tokenizer: Any) -> Any:
    """A copy of the tokenizer's backend that finds no added token in text, neither special ones nor others."""
    from tokenizers import Tokenizer

    state = json.loads(tokenizer.backend_tokenizer.to_str())
    for token in state["added_tokens"]:
        token["special"] = True
    copy = Tokenizer.from_str(json.dumps(state))
    copy.encode_special_tokens = True
    copy.no_padding()
    copy.no_truncation()
    return copy
