"""How a problem becomes what the policy reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.common.params.sample import PromptParams

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def chat_messages(problem: str, params: PromptParams) -> list[dict[str, str]]:
    """The chat that asks for a solution of `problem`."""
    system = [{"role": "system", "content": params.system}] if params.system is not None else []
    return [*system, {"role": "user", "content": plain_prompt(problem, params)}]


def plain_prompt(problem: str, params: PromptParams) -> str:
    """The prompt as text; only ``{problem}`` is filled in, any other brace is the problem's own."""
    return params.template.replace("{problem}", problem)


def prompt_ids(problem: str, params: PromptParams, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Token ids of the prompt, special tokens of the chat template included."""
    if params.chat:
        return tokenizer.apply_chat_template(
            chat_messages(problem, params), add_generation_prompt=True, return_dict=False
        )
    return tokenizer(plain_prompt(problem, params))["input_ids"]
