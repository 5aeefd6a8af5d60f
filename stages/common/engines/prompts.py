"""Prompts as token ids, for engines that run the model themselves."""

from __future__ import annotations

from stages.common.engines.errors import EngineError
from stages.common.engines.model import Model
from stages.common.engines.request import Request


class PromptError(ValueError):
    """A prompt that the model's template cannot express; the message is one line."""


class PromptEncoder:
    """Token ids of requests' prompts, by the tokenizer and chat template of `model`: the ones that training uses.

    Raises `EngineError` where there is no tokenizer.
    """

    def __init__(self, model: Model) -> None:
        from transformers import AutoTokenizer

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(
                model.source, revision=model.revision, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            raise EngineError(f"{model.source}: has no tokenizer ({' '.join(str(error).split())[:200]})") from error
        self._last: tuple[str, list[int]] = ("", [])

    def __call__(self, request: Request) -> list[int]:
        """Ids of `request`'s prompt, start tokens and generation prompt included; raises `PromptError`."""
        if self._last[0] != request.family:  # neighbours share their prompt: encode it once
            self._last = (request.family, self._encode(request))
        return self._last[1]

    def _encode(self, request: Request) -> list[int]:
        from jinja2 import TemplateError

        if isinstance(request.prompt, str):
            ids: list[int] = self._tokenizer(request.prompt)["input_ids"]
            return ids
        try:
            ids = self._tokenizer.apply_chat_template(request.prompt, add_generation_prompt=True, return_dict=False)
        except (TemplateError, ValueError) as error:
            raise PromptError(f"chat template: {' '.join(str(error).split())[:300]}") from error
        return ids
