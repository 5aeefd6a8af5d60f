"""The prompt templates in prompts/, each identified by the hash of its text."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stages.common.errors import UserError
from stages.common.tables import content_hash

PROMPT_FOLDER = Path(__file__).parent / "prompts"


@cache
def hash_prompt(template: str) -> str:
    """Hash of a template's text: a renamed template is the same judge, an edited one is another.

    Raises `FileNotFoundError` naming the templates that exist.
    """
    return content_hash("prompt", read_template(template))


def render_prompt(template: str, problem: str, reference: str, steps: Sequence[str], error: str | None) -> str:
    """The prompt for `steps`, in mode `step` those up to the one to judge. Texts are inserted as they are.

    `error` is what was wrong with the previous reply, None at the first attempt.
    """
    return _compile_template(template).render(problem=problem, reference=reference, steps=steps, error=error)


@cache
def read_template(template: str) -> str:
    """Text of a template; see `hash_prompt`."""
    path = PROMPT_FOLDER / f"{template}.jinja"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in PROMPT_FOLDER.glob("*.jinja")))
        raise UserError(f"judge.llm.prompt: no template {template}; expected one of {known}")
    return path.read_text(encoding="utf-8")


@cache
def _compile_template(template: str) -> Template:
    # No escaping: this is plain text for a model, not a page.
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    return environment.from_string(read_template(template))
