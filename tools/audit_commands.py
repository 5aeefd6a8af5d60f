"""``stepkto audit``: the commands on labels and what made them."""

import getpass
import os
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from stages.common.human_labels import HUMAN_LABELS
from tools.command_line import RoundNames, make_app, print_lines
from tools.label_commands import HumanLabels, settle_labels, show_agreement

RoundName = Annotated[str | None, typer.Option("--round", metavar="NAME", help="Use this round, where several fit.")]
IsFull = Annotated[bool, typer.Option("--full", help="Do not shorten texts.")]


class LabelMode(StrEnum):
    FIRST_ERROR = "first_error"
    PER_STEP = "per_step"


audit_app = make_app("Trace a label to what made it, check all labels, list what changed.")


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@audit_app.command("show")
def show_lineage(
    identity: Annotated[str, typer.Argument(metavar="ID", help="An id, or a beginning that no other has.")],
    round_name: RoundName = None,
    is_full: IsFull = False,
) -> None:
    """Show what made a problem, sample, policy or dataset."""
    from tools.audit.lineage.show import show

    print_lines(show(Path(), identity, round_name, is_full))


@audit_app.command("row")
def show_published_row(
    file: Annotated[Path, typer.Argument(help="A Parquet or JSON Lines file with sample_id or problem_id.")],
    number: Annotated[int, typer.Argument(help="Row, counted from 0.")],
    round_name: RoundName = None,
    is_full: IsFull = False,
) -> None:
    """Show what made a row of a published file."""
    from tools.audit.lineage.published_row import show_row

    print_lines(show_row(Path(), file, number, round_name, is_full))


@audit_app.command("diff")
def show_label_changes(revision: Annotated[str, typer.Argument(help="A Git revision.")]) -> None:
    """List which labels changed since a Git revision, and which stage caused it."""
    from tools.audit.lineage.label_diff import diff

    print_lines(diff(Path(), revision))


@audit_app.command("compare")
def show_answer_changes(
    policy: Annotated[str, typer.Argument(help="A policy that was evaluated: M0.")],
    other: Annotated[str, typer.Argument(help="Another one: M3.")],
    num_shown: Annotated[int, typer.Option("--show", min=0, help="Problems shown of each change.")] = 5,
    benchmark: Annotated[str | None, typer.Option(help="A benchmark, instead of the recipe's problems.")] = None,
    is_full: IsFull = False,
) -> None:
    """Show problems that one of two policies answers correctly and the other does not."""
    from tools.audit.lineage.answer_changes import compare_answers

    print_lines(compare_answers(Path(), policy, other, num_shown, benchmark, is_full))


@audit_app.command("verify")
def verify_rounds(
    rounds: RoundNames = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this check; may be repeated.")] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="STAGE", help="Only what dataset@M1, say, was made from; may be repeated."),
    ] = None,
    num_workers: Annotated[int | None, typer.Option(help="Processes; by default one per core.")] = None,
) -> None:
    """Make again what can be made again, and compare all rows. Exit code 1 if anything differs or is out of date.

    What has not run yet is named and changes no exit code.
    """
    from tools.audit import CHECKS, verify

    results = verify(Path(), rounds, only or CHECKS, num_workers or _count_cores(), targets or ())
    print_lines(results.format_lines())
    if results.is_broken:
        raise typer.Exit(1)


@audit_app.command("serve")
def serve_page(
    annotator: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Who labels; by default your login.")
    ] = None,
    shows_labels: Annotated[
        bool, typer.Option("--show-labels", help="Look around, with all that was said of each completion.")
    ] = False,
    mode: Annotated[LabelMode, typer.Option(help="Find the first error, or label each step.")] = LabelMode.FIRST_ERROR,
    round_name: RoundName = None,
    labels: HumanLabels = HUMAN_LABELS,
    gold: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Human labels that are known to be right, mixed in unannounced.")
    ] = None,
    num_exam: Annotated[int, typer.Option("--exam", min=0, help="Gold items asked first.")] = 0,
    min_score: Annotated[
        float, typer.Option("--exam-score", min=0, max=1, help="Share of them to be labelled right, or the page stops.")
    ] = 0.8,
    random_fraction: Annotated[
        float, typer.Option(min=0, max=1, help="Share of items drawn at random, for unbiased rates.")
    ] = 0.25,
    gold_fraction: Annotated[float, typer.Option(min=0, max=1, help="Share of turns that ask a gold item.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Decides the order of items, the same for all who label.")] = 0,
    guideline: Annotated[Path | None, typer.Option(metavar="FILE", help="Your own guideline, as text.")] = None,
    host: Annotated[str, typer.Option(help="Any other host lets others read all data.")] = "127.0.0.1",
    port: int = 8765,
) -> None:
    """Open a page on which people label steps without seeing the judge's labels, or look around with them."""
    from tools.audit.label_page.label_queue import QueueOptions
    from tools.audit.label_page.label_server import ServeOptions, make_routes
    from tools.audit.page.page_server import serve

    options = ServeOptions(
        annotator=annotator or getpass.getuser(),
        human_labels=labels,
        shows_labels=shows_labels,
        mode=mode.value,
        round_name=round_name,
        gold=gold,
        min_score=min_score,
        guideline=guideline,
        queue=QueueOptions(seed, random_fraction, gold_fraction, num_exam),
    )
    serve(partial(make_routes, Path(), options), host, port)


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


audit_app.command("agreement")(show_agreement)
audit_app.command("adjudicate")(settle_labels)
