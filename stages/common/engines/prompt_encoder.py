"""Prompts as token ids, for engines that run the model themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.common.engines.engine import EngineError, ModelId
from stages.common.engines.request import GenerationRequest
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
            self._last = (request.prompt_hash, self._encode(request))
        return self._last[1]

    def _encode(self, request: GenerationRequest) -> list[int]:
        from jinja2 import TemplateError

        if isinstance(request.prompt, str):
            return list(self.tokenizer(request.prompt)["input_ids"])
        try:
            ids = self.tokenizer.apply_chat_template(
                request.prompt, add_generation_prompt=True, return_dict=False, **request.template_kwargs
            )
            return list(ids)
        except (TemplateError, ValueError, TypeError) as error:
            raise PromptError(f"chat template: {describe_error(error)}") from error
