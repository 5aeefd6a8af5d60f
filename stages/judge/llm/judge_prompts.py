"""What a judge is told: the templates in prompts/, each identified by the hash of its text, and the second turn."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stages.common.errors import UserError
from stages.common.tables import content_hash
from stages.judge.llm.reply_form import ReplyForm

PROMPT_FOLDER = Path(__file__).parent / "prompts"

FIRST_TURN = (
    "Explain in plain text what you find, and end with your conclusions. Do not reply in JSON yet: you will be "
    "asked for the verdicts afterwards."
)
"""Where the reply's format is described otherwise, of a judge that replies in two turns."""

THINK_FIRST = "Think for as long as you need before you reply. "
"""Begins the description of the reply's format, of a judge that thinks freely."""


@cache
def hash_prompt(template: str) -> str:
    """Hash of a template's text: a renamed template is the same judge, an edited one is another.

    Raises `FileNotFoundError` naming the templates that exist.
    """
    return content_hash("prompt", read_template(template))


def render_prompt(
    template: str,
    problem: str,
    reference: str,
    steps: Sequence[str],
    form: ReplyForm,
    numbers: Sequence[int],
    error: str | None = None,
) -> str:
    """The prompt for `steps`, in mode `step` those up to the one to judge. Texts are inserted as they are.

    `numbers` are the steps to vote on, from 1; `error` is what was wrong with the previous reply, None at the first
    attempt.
    """
    reply_format = FIRST_TURN
    if form.reasoning != "two_turns":
        reply_format = (THINK_FIRST if form.has_thinking else "") + form.describe(numbers)
    return _compile_template(template).render(
        problem=problem, reference=reference, steps=steps, reply_format=reply_format, error=error
    )


def render_second_turn(form: ReplyForm, numbers: Sequence[int], error: str | None = None) -> str:
    """The request for the verdicts, after the judge's reasoning; `error` as in `render_prompt`."""
    again = f"\n\nYour previous reply was invalid: {error}." if error else ""
    return f"Now give your verdicts. {form.describe(numbers)}{again}"


def hash_words(form: ReplyForm) -> str:
    """Hash of what a judge is told besides its template."""
    described = render_second_turn(form, [1, 2]) if form.reasoning == "two_turns" else form.describe([1, 2])
    return content_hash("words", described, FIRST_TURN, THINK_FIRST)


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
