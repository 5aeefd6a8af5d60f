"""How a problem becomes what the policy reads."""

from stages.common.params.sample import PromptParams


def make_chat(problem: str, params: PromptParams) -> list[dict[str, str]]:
    """The chat that requests a solution of `problem`."""
    system = [{"role": "system", "content": params.system}] if params.system is not None else []
    return [*system, {"role": "user", "content": make_plain_prompt(problem, params)}]


def make_plain_prompt(problem: str, params: PromptParams) -> str:
    """The prompt as text; only ``{problem}`` is filled in, any other brace is the problem's own."""
    return params.template.replace("{problem}", problem)


def make_prompt(problem: str, params: PromptParams) -> str | list[dict[str, str]]:
    """A chat or a plain text, as `params` say."""
    return make_chat(problem, params) if params.chat else make_plain_prompt(problem, params)
