"""A model's chat template as a frame: its markup is read as the tokenizer reads it, what is put into it never is."""

import re
from collections.abc import Sequence
from typing import Any

from stages.common.errors import UserError, describe_error

Part = str | int | None
"""A piece of an input: text, a token's id, or None: the end of a step, whose tag has just ended."""

Message = tuple[str, list[Part]]
"""The role, and the parts of the content."""

TEMPLATE_DATE = "26 Jul 2024"
"""What Llama's templates take for today's date, so that inputs are the same tomorrow: the date in that of Llama 3.1."""

_PLACE = "\ue000{}\ue001"
_PLACES = re.compile(r"\ue000(\d+)\ue001")


class ChatFrame:
    """Puts messages into the chat template of `tokenizer`, the tokenizer of `model`."""

    def __init__(self, tokenizer: Any, model: str) -> None:
        self._tokenizer = tokenizer
        self._model = model
        self._tokens: dict[str, int] = dict(tokenizer.added_tokens_encoder)
        template = str(tokenizer.chat_template)
        if "strftime_now" in template and "date_string" not in template:
            raise UserError(f"judge.prm.chat: {model}: its chat template writes today's date; remove that from a copy")
        longest_first = sorted(self._tokens, key=lambda token: (-len(token), token))
        self._token = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._markups: dict[tuple[str, ...], list[list[Part]]] = {}

    def lay_out(self, messages: Sequence[Message]) -> list[Part]:
        """The whole conversation in parts. Raises `UserError` where the template cannot express it."""
        roles = tuple(role for role, _ in messages)
        if roles not in self._markups:
            self._markups[roles] = self._find_markup(roles)
        first, *others = self._markups[roles]
        parts = list(first)
        for (_, content), markup in zip(messages, others, strict=True):
            parts += [*content, *markup]
        return parts

    def _find_markup(self, roles: tuple[str, ...]) -> list[list[Part]]:
        """What stands before, between and after the contents of messages of these roles."""
        text = self.render([(role, _PLACE.format(place)) for place, role in enumerate(roles)])
        first, *others = _PLACES.split(text)
        if [int(place) for place in others[::2]] != list(range(len(roles))):
            raise UserError(
                f"judge.prm.chat: {self._model}: its chat template leaves out, repeats or moves messages of the roles "
                f"{', '.join(roles)}; choose other values of chat.steps and chat.system"
            )
        return [self._read_tokens(markup) for markup in (first, *others[1::2])]

    def render(self, messages: Sequence[tuple[str, str]], *, tokenize: bool = False) -> Any:
        """The conversation as text, or as the tokenizer's own ids, in which contents may be read as special tokens."""
        from jinja2 import TemplateError

        chat = [{"role": role, "content": content} for role, content in messages]
        options = {"date_string": TEMPLATE_DATE, "return_dict": False}
        try:
            return self._tokenizer.apply_chat_template(chat, tokenize=tokenize, **options)
        except (TemplateError, ValueError) as error:
            raise UserError(f"judge.prm.chat: {self._model}: chat template: {describe_error(error)}") from error

    def _read_tokens(self, markup: str) -> list[Part]:
        parts: list[Part] = []
        at = 0
        for match in self._token.finditer(markup):
            parts += [markup[at : match.start()], self._tokens[match[0]]]
            at = match.end()
        return [part for part in (*parts, markup[at:]) if part != ""]
