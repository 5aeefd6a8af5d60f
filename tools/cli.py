"""``stepkto``: one command for everything that a person does with rounds, labels and policies.

DVC runs the stages (``python -m stages.NAME``); these commands stand on top of what the stages wrote.
"""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from stages.common.console import die_with_parent, run
from stages.common.errors import UsageError

PARAMS = Path("params.yaml")
REPORT_FOLDER = Path("reports")
HUMAN_LABELS = Path("work/human_labels.jsonl")


def _make_app(text: str) -> typer.Typer:
    return typer.Typer(
        help=text, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )


app = _make_app("Step-labelled maths data that can be traced, and the models trained on it.")
audit_app = _make_app("Trace a label to what made it, check all labels, list what changed.")
params_app = _make_app("Show and check the params of a recipe.")
app.add_typer(audit_app, name="audit")
app.add_typer(params_app, name="params")

RecipeFile = Annotated[Path, typer.Argument(metavar="[RECIPE]", help="A params file.", show_default=True)]
RoundName = Annotated[str | None, typer.Option("--round", metavar="NAME", help="Use this round, where several fit.")]
RoundNames = Annotated[list[str] | None, typer.Option("--round", metavar="NAME", help="A round; may be repeated.")]
IsFull = Annotated[bool, typer.Option("--full", help="Do not shorten texts.")]
HumanLabels = Annotated[Path, typer.Option("--labels", metavar="FILE", help="Where human labels are kept.")]


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@app.command()
def plan(
    recipe: Annotated[Path | None, typer.Option(metavar="FILE", help="Plan as if FILE were params.yaml.")] = None,
) -> None:
    """Show which stages a run would execute at most, why, and what they would ask of language models."""
    from tools.plan import show_plan

    typer.echo(show_plan(recipe))


@app.command()
def repro(
    stages: Annotated[list[str] | None, typer.Argument(help="Stages such as train@M2; by default all.")] = None,
) -> None:
    """Run what the recipe in force still needs (dvc repro), then print the table of rounds.

    A dvc.lock that a kill or a full disk tore is restored first.
    """
    from tools.dvc_recovery import prepare_repro

    for line in prepare_repro():
        typer.echo(line, err=True)
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *(stages or [])]
    # Bash replaces itself by the stage, which then dies with DVC; and dvc.yaml's `python` is this one.
    folders = [str(Path(sys.executable).parent), *filter(None, [os.environ.get("PATH")])]
    environment = {**os.environ, "SHELL": "/bin/bash", "PATH": os.pathsep.join(folders)}
    # No shell, and the user's own words. A DVC that outlived this command would block the next one.
    code = subprocess.run(command, check=False, env=environment, preexec_fn=die_with_parent).returncode  # noqa: S603
    if code:
        raise typer.Exit(code)
    if not stages:
        report(PARAMS)


@app.command()
def report(recipe: RecipeFile = PARAMS) -> None:
    """Print the table of rounds again."""
    from stages.report import show_report

    typer.echo(show_report(recipe, REPORT_FOLDER))


@app.command()
def grade(
    gold: Annotated[str, typer.Argument(help="Gold answer.")],
    completion: Annotated[str, typer.Argument(help="An answer, or a completion that ends in one.")],
    task: Annotated[str, typer.Option(help="Task whose verifier to use.")] = "math",
    timeout_s: Annotated[float, typer.Option(help="Seconds after which the verdict is unknown.")] = 5.0,
) -> None:
    """Explain the verdict on one completion. Put -- before an answer that begins with a minus sign."""
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
    files: Annotated[list[Path], typer.Argument(help="Completions with human labels, in the format of ProcessBench.")],
    judge: Annotated[list[str] | None, typer.Option(help="A judge without params; may be repeated.")] = None,
    recipe: Annotated[list[Path] | None, typer.Option(help="The judge of this recipe; may be repeated.")] = None,
    half: Annotated[str | None, typer.Option(help="Only the first or the second half of the rows.")] = None,
    show: Annotated[list[str] | None, typer.Option(help="Print these: correct, late, 'false alarm'.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write all metrics to this JSON file.")] = None,
) -> None:
    """Measure judges on human labels."""
    from stages.judge.calibration import calibrate_judges

    if not judge and not recipe:
        raise typer.BadParameter("name a --judge or a --recipe")
    _print_lines(calibrate_judges(files, judge or (), recipe or (), half, show or (), out))


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
) -> None:
    """Publish rounds or a policy as one commit and one tag, if everything is committed, up to date and verified."""
    from tools.publish.commands import publish as publish_folder

    if bool(rounds) == (model is not None):
        raise typer.BadParameter("name either --round or --model")
    publish_folder(repo, rounds or (), model, private, dry_run, accept or ())


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


@audit_app.command("show")
def show_lineage(
    identity: Annotated[str, typer.Argument(metavar="ID", help="An id, or a beginning that no other has.")],
    round_name: RoundName = None,
    is_full: IsFull = False,
) -> None:
    """Show what made a problem, sample, policy or dataset."""
    from tools.audit.lineage.show import show

    _print_lines(show(Path(), identity, round_name, is_full))


@audit_app.command("row")
def show_published_row(
    file: Annotated[Path, typer.Argument(help="A Parquet or JSON Lines file with sample_id or problem_id.")],
    number: Annotated[int, typer.Argument(help="Row, counted from 0.")],
    round_name: RoundName = None,
    is_full: IsFull = False,
) -> None:
    """Show what made a row of a published file."""
    from tools.audit.lineage.published_row import show_row

    _print_lines(show_row(Path(), file, number, round_name, is_full))


@audit_app.command("diff")
def show_label_changes(revision: Annotated[str, typer.Argument(help="A Git revision.")]) -> None:
    """List which labels changed since a Git revision, and which stage caused it."""
    from tools.audit.lineage.label_diff import diff

    _print_lines(diff(Path(), revision))


@audit_app.command("verify")
def verify_rounds(
    rounds: RoundNames = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this check; may be repeated.")] = None,
    num_workers: Annotated[int | None, typer.Option(help="Processes; by default one per core.")] = None,
) -> None:
    """Make again what can be made again, and compare all rows. Exit code 1 if anything differs."""
    from tools.audit import CHECKS, verify

    results = verify(Path(), rounds, only or CHECKS, num_workers or _count_cores())
    _print_lines(results.format_lines())
    if results.is_broken:
        raise typer.Exit(1)


@audit_app.command("serve")
def serve_page(
    host: Annotated[str, typer.Option(help="Any other host lets others read all data.")] = "127.0.0.1",
    port: int = 8765,
    annotator: Annotated[str | None, typer.Option(help="Who labels; by default your login.")] = None,
    labels: HumanLabels = HUMAN_LABELS,
) -> None:
    """Open a page on which people read completions and agree or disagree with labels."""
    from tools.audit.page.page_server import serve

    serve(Path(), annotator or getpass.getuser(), labels, host, port)


@audit_app.command("page")
def write_page_file(
    num_problems: Annotated[int, typer.Option(help="Problems on the page.")] = 200,
    round_name: Annotated[str, typer.Option("--round", metavar="NAME", help="Only this round.")] = "all",
    kind: Annotated[str, typer.Option(help="Only problems with a sample of this kind, as the page names it.")] = "all",
    seed: Annotated[int, typer.Option(help="Decides which problems are drawn.")] = 0,
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write.")] = Path("work/labels.html"),
) -> None:
    """Write the same page as one file that can be shared."""
    from tools.audit.page.page_html import write_page
    from tools.audit.page.problem_index import ProblemFilter

    write_page(Path(), out, num_problems, ProblemFilter(round_name, kind=kind), seed)
    typer.echo(f"{out}: {out.stat().st_size / 2**20:.1f} MiB")


@audit_app.command("agreement")
def show_agreement(labels: HumanLabels = HUMAN_LABELS) -> None:
    """Show how far judges agree with human labels."""
    from tools.audit.page.label_log import describe_agreement

    _print_lines(describe_agreement(labels))


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
