"""``stepkto``: one command for everything that a person does with rounds, labels and policies.

DVC runs the stages (``python -m stages.NAME``); these commands stand on top of what the stages wrote.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from stages.common.console import run
from stages.common.errors import UsageError
from tools.audit_commands import audit_app
from tools.command_line import RoundNames, make_app, print_lines
from tools.label_commands import labels_app

PARAMS = Path("params.yaml")
REPORT_FOLDER = Path("reports")


app = make_app("Step-labelled maths data that can be traced, and the models trained on it.")
params_app = make_app("Show and check the params of a recipe.")
app.add_typer(audit_app, name="audit")
app.add_typer(labels_app, name="labels")
app.add_typer(params_app, name="params")

RecipeFile = Annotated[Path, typer.Argument(metavar="[RECIPE]", help="A params file.", show_default=True)]


@app.command()
def plan(
    recipe: Annotated[Path | None, typer.Option(metavar="FILE", help="Plan as if FILE were params.yaml.")] = None,
    assumed: Annotated[
        list[str] | None,
        typer.Option("--assume", metavar="NAME=VALUE", help="Assume this, such as kept=0.3; may be repeated."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Plan as if this key were set; nothing is written. Repeatable."
        ),
    ] = None,
) -> None:
    """Show which stages a run would execute at most, why, and what they would ask of language models.

    Before there are problems, their number is the Hub's or counted, and what else is assumed is stated.
    """
    from tools.plan import show_plan

    typer.echo(show_plan(recipe, assumed=assumed or (), overrides=overrides or ()))


@app.command()
def repro(
    stages: Annotated[list[str] | None, typer.Argument(help="Stages such as train@M2; by default all.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="First set this key of params.yaml, as YAML; may be repeated."),
    ] = None,
    is_quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing but errors.")] = False,
    is_verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the warnings of libraries, too.")] = False,
) -> None:
    """Run what the recipe in force still needs (dvc repro), then print the table of rounds and what the run did.

    A dvc.lock that a kill or a full disk tore is restored first.
    """
    from stages.common.logs import QUIET, VERBOSE
    from tools.overrides import set_params
    from tools.repro import run_repro

    if overrides:
        print_lines(set_params(PARAMS, overrides))
    verbosity = QUIET if is_quiet else VERBOSE if is_verbose else None
    if code := run_repro(stages or [], verbosity, PARAMS, REPORT_FOLDER):
        raise typer.Exit(code)


@app.command("reproduce")
def reproduce_run(
    revision: Annotated[str, typer.Argument(help="The commit whose run to repeat.")] = "HEAD",
    folder: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the clone in this new folder.")] = None,
) -> None:
    """Repeat a committed run in a fresh clone. Exit code 1 if any byte differs: then show where first and how far."""
    from tools.reproduce import reproduce

    is_same, lines = reproduce(Path(), revision, folder)
    print_lines(lines)
    if not is_same:
        raise typer.Exit(1)


@app.command()
def report(
    recipe: RecipeFile = PARAMS,
    with_times: Annotated[
        str | None, typer.Option(metavar="RUN", help="Also write the page with the times of this run, or of the last.")
    ] = None,
) -> None:
    """Print the table of rounds again."""
    from stages.report import show_report, write_page_with_times
    from tools.runs import find_run

    typer.echo(show_report(recipe, REPORT_FOLDER))
    if with_times is not None:
        typer.echo(f"page with times: {write_page_with_times(recipe, REPORT_FOLDER, find_run(with_times))}")


@app.command()
def runs(
    name: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run, the beginning of its name, or last.")
    ] = None,
) -> None:
    """List all runs, or show what one did: its stages, how fast they were, what they paid, and on which machine."""
    from tools.runs import find_run, format_run, format_runs

    print_lines(format_runs() if name is None else format_run(find_run(name)))


@app.command(context_settings={"ignore_unknown_options": True})  # an answer may begin with a minus sign
def grade(
    gold: Annotated[str, typer.Argument(help="Gold answer.")],
    completion: Annotated[str, typer.Argument(help="An answer, or a completion that ends in one.")],
    task: Annotated[str, typer.Option(help="Task whose verifier to use.")] = "math",
    timeout_s: Annotated[float, typer.Option(help="Seconds after which the verdict is unknown.")] = 5.0,
) -> None:
    """Explain the verdict on one completion."""
    from stages.common.verifiers import verify_answer

    for name, value in verify_answer(gold, completion, task, timeout_s)._asdict().items():
        typer.echo(f"{name:16} {value:.6f}" if isinstance(value, float) else f"{name:16} {value}")


@app.command("recorded")
def evaluate_recorded(
    file: Annotated[Path, typer.Argument(help="JSON Lines with problem, answer and a list solutions.")],
    recipe: Annotated[Path, typer.Option(metavar="FILE", help="Params of verifier, judge and bootstrap.")] = PARAMS,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the report as JSON.")] = None,
) -> None:
    """Evaluate completions that were sampled elsewhere, without any model."""
    from stages.evaluate import run_recorded

    typer.echo(run_recorded(file, recipe, out))


@app.command()
def calibrate(
    files: Annotated[
        list[Path],
        typer.Argument(help="Human labels of steps: our own, ProcessBench, PRM800K, Hard2Verify, PRMBench or TRL's."),
    ],
    judge: Annotated[list[str] | None, typer.Option(help="A judge without params; may be repeated.")] = None,
    recipe: Annotated[list[Path] | None, typer.Option(help="The judge of this recipe; may be repeated.")] = None,
    split: Annotated[
        Literal["dev", "test"] | None,
        typer.Option(help="Only the half to choose prompts and thresholds on, or the one to measure on."),
    ] = None,
    show: Annotated[list[str] | None, typer.Option(help="Print these: correct, late, 'false alarm'.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write all metrics to this JSON file.")] = None,
) -> None:
    """Measure judges on human labels."""
    from stages.judge.calibration import calibrate_judges
    from tools.human_labels import SampleTables, read_calibration_set

    if not judge and not recipe:
        raise typer.BadParameter("name a --judge or a --recipe")
    read = partial(read_calibration_set, SampleTables.find(Path()))
    print_lines(calibrate_judges(files, judge or (), recipe or (), split, show or (), out, read))


@app.command()
def publish(
    repo: Annotated[str, typer.Option(metavar="ORG/NAME", help="Repository on the Hub.")],
    rounds: RoundNames = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="A policy instead: M0, or its round.")] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private; refuse a public one.")
    ] = False,
    dry_run: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the folder to DIR and send nothing.")
    ] = None,
    accept: Annotated[
        list[str] | None, typer.Option(help="Let private data of this kind pass; may be repeated.")
    ] = None,
    with_reasoning: Annotated[
        bool, typer.Option("--with-reasoning", help="Publish the thinking of judges, too.")
    ] = False,
    human_labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Publish these labels by people, too.")
    ] = None,
    with_annotators: Annotated[
        bool, typer.Option("--with-annotators", help="Name the people instead of numbering them.")
    ] = False,
) -> None:
    """Publish rounds or a policy as one commit and one tag, if everything is committed, up to date and verified."""
    from tools.publish.commands import publish as publish_folder

    if bool(rounds) == (model is not None):
        raise typer.BadParameter("name either --round or --model")
    publish_folder(
        repo, rounds or (), model, private, dry_run, accept or (), with_reasoning, human_labels, with_annotators
    )


@params_app.command("show")
def show_params(
    recipe: RecipeFile = PARAMS,
    round_name: Annotated[str, typer.Option("--round", metavar="NAME", help="After this round's overrides.")] = "M0",
) -> None:
    """Print every key in force, defaults included, with its description."""
    from stages.common.params.params_listing import show_params as show

    typer.echo(show(recipe, round_name), nl=False)


@params_app.command("check")
def check_params(recipes: Annotated[list[Path] | None, typer.Argument(help="Params files.")] = None) -> None:
    """Check recipes: unknown keys, values, rounds."""
    from stages.common.params.recipe import order_rounds, read_recipe

    for path in recipes or [PARAMS]:
        typer.echo(f"{path}: valid; rounds {', '.join(order_rounds(read_recipe(path).rounds))}")


@app.command(hidden=True)
def docs() -> None:
    """Print docs/cli.md."""
    from typer.cli import get_docs_for_click

    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="stepkto")
    typer.echo(text.rstrip())


def main() -> None:
    """Run the command; an error that the user can fix, in the command line too, is one line."""
    run(_run_app)


def _run_app() -> None:
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        message = error.format_message()
        if message.startswith("Usage: "):  # no command was given: the message is the help
            sys.exit(message)
        context = getattr(error, "ctx", None)
        raise UsageError(
            f"{message.rstrip('.')}; see `{context.command_path if context else 'stepkto'} --help`"
        ) from None
    sys.exit(code)


if __name__ == "__main__":
    main()
