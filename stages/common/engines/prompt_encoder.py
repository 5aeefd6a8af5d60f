"""Prompts as token ids, for engines that run the model themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stages.common.engines.engine import EngineError, ModelId
from stages.common.engines.request import GenerationRequest, Message
from stages.common.errors import describe_error

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class PromptError(ValueError):
    """A prompt that the model's template cannot express; the message is one line."""


class PromptEncoder:
    """Token ids of prompts, by the tokenizer and chat template of `model`: the ones that training uses.

    Raises `EngineError` where there is no tokenizer.
    """

    def __init__(self, model: ModelId) -> None:
        from transformers import AutoTokenizer

        try:
            self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                model.source, revision=model.revision, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            raise EngineError(f"{model.source}: expected a tokenizer, found none: {describe_error(error)}") from error
        self._last: tuple[str, list[int]] = ("", [])

    def encode(self, request: GenerationRequest) -> list[int]:
        """Ids of `request`'s prompt, start tokens and generation prompt included; raise `PromptError`."""
        if self._last[0] != request.prompt_hash:  # neighbours share their prompt: encode it once
            self._last = (
                request.prompt_hash,
                encode_prompt(self.tokenizer, request.prompt, request.template_kwargs),
            )
        return self._last[1]


def encode_prompt(
    tokenizer: PreTrainedTokenizerBase, prompt: str | list[Message], template_kwargs: Mapping[str, Any] = {}
) -> list[int]:
    """Ids of a prompt as a model is sampled with it, start tokens and generation prompt included; raise `PromptError`.

    `template_kwargs` are what the chat template gets besides the chat.
    """
    from jinja2 import TemplateError

    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    try:
        ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False, **template_kwargs)
        return list(ids)
    except (TemplateError, ValueError, TypeError) as error:
        raise PromptError(f"chat template: {describe_error(error)}") from error
