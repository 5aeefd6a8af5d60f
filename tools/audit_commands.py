"""``stepkto audit``: the commands on labels and what made them."""

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stages.common.human_labels import HUMAN_LABELS
from tools.command_line import RoundNames, make_app, print_lines
from tools.label_commands import HumanLabels, settle_labels, show_agreement

if TYPE_CHECKING:
    from aiohttp.web import RouteDef

RoundName = Annotated[str | None, typer.Option("--round", metavar="NAME", help="Use this round, where several fit.")]
IsFull = Annotated[bool, typer.Option("--full", help="Do not shorten texts.")]

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
    host: Annotated[str, typer.Option(help="Any other host lets others read all data.")] = "127.0.0.1",
    port: int = 8765,
    annotator: Annotated[str | None, typer.Option(help="Who labels; by default your login.")] = None,
    labels: HumanLabels = HUMAN_LABELS,
) -> None:
    """Open a page on which people read completions and agree or disagree with labels."""
    from tools.audit.page.look_routes import make_look_routes
    from tools.audit.page.page_server import serve
    from tools.audit.table_sets import find_all_tables
    from tools.dvc_lock import read_lock

    def make_routes() -> "list[RouteDef]":
        table_sets = find_all_tables(Path(), read_lock(Path()))
        return make_look_routes(Path(), table_sets, annotator or getpass.getuser(), labels)

    serve(make_routes, host, port)


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
