"""What the commands of ``stepkto`` share."""

from collections.abc import Iterable
from typing import Annotated

import typer

RoundNames = Annotated[list[str] | None, typer.Option("--round", metavar="NAME", help="A round; may be repeated.")]


def make_app(text: str) -> typer.Typer:
    """A group of commands; their help is plain text, and their errors are shown by `stages.common.console.run`."""
    return typer.Typer(
        help=text, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )


def print_lines(lines: Iterable[str]) -> None:
    """Print each line as soon as it is made."""
    for line in lines:
        typer.echo(line)
