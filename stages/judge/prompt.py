"""The judge's prompts: files in prompts/, each version named by its hash."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stages.common.tables import content_hash

FOLDER = Path(__file__).parent / "prompts"


@cache
def prompt_hash(name: str) -> str:
    """Hash of the template `name`: another wording is another judge, the same wording by another name is not.

    Raises `FileNotFoundError` naming the templates that there are.
    """
    return content_hash("prompt", _source(name))


def render(name: str, problem: str, reference: str, steps: Sequence[str], fault: str | None) -> str:
    """The prompt for `steps`, in mode `step` those up to the one that is judged.

    `fault` says what was wrong with the reply before, None at the first try. Texts are put in as they are: nothing in
    them is taken for a part of the template.
    """
    return _template(name).render(problem=problem, reference=reference, steps=steps, fault=fault)


@cache
def _source(name: str) -> str:
    path = FOLDER / f"{name}.jinja"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.jinja")))
        raise FileNotFoundError(f"judge.served.prompt: no template {name}; there are {known}")
    return path.read_text(encoding="utf-8")


@cache
def _template(name: str) -> Template:
    # Nothing is escaped: this is plain text for a model, not a page.
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    return environment.from_string(_source(name))
