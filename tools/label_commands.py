"""``stepkto labels``, ``audit agreement`` and ``audit adjudicate``: what is done with human labels once given."""

import getpass
from pathlib import Path
from typing import Annotated, Literal

import typer

from stages.common.errors import UsageError
from stages.common.human_labels import HUMAN_LABELS
from tools.command_line import make_app, print_lines

HumanLabels = Annotated[Path, typer.Option("--labels", metavar="FILE", help="Where human labels are kept.")]

FormatName = Literal["label_studio", "potato", "prm800k", "processbench"]
"""Of `tools.human_labels.FORMATS`."""

ExportName = Literal["label_studio", "potato", "prm800k", "processbench", "stepwise"]

IsLossy = Annotated[bool, typer.Option("--lossy", help="Leave out what the other format has no place for.")]

labels_app = make_app("Take human labels to other tools and back.")


def show_agreement(
    labels: HumanLabels = HUMAN_LABELS,
    gold: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Human labels that are known, for a score per person.")
    ] = None,
) -> None:
    """Show how far people agree with one another and judges with people; and how many steps are incorrect."""
    from tools.human_labels import SampleTables, describe_agreement

    tables = SampleTables.find(Path())
    current, left_out = tables.read_labels(labels)
    known, gold_left_out = tables.read_labels(gold) if gold else ([], "")
    print_lines(describe_agreement(current, known))
    print_lines(f"{path}: {line}" for path, line in ((labels, left_out), (gold, gold_left_out)) if line)


def settle_labels(
    sample_id: Annotated[str | None, typer.Argument(metavar="[SAMPLE]", help="Sample of a step to settle.")] = None,
    step: Annotated[int | None, typer.Argument(metavar="[STEP]", help="Its index, counted from 0.")] = None,
    label: Annotated[
        str | None, typer.Argument(metavar="[LABEL]", help="correct, incorrect, neutral, cannot_tell or bad_split.")
    ] = None,
    adjudicator: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Who settles it; by default your login.")
    ] = None,
    labels: HumanLabels = HUMAN_LABELS,
) -> None:
    """List the steps on which people differ, or settle one of them: the label given here wins over theirs."""
    from stages.common.human_labels import read_human_labels
    from tools.human_labels import SampleTables, adjudicate, list_disagreements

    if sample_id is None:
        print_lines(list_disagreements(SampleTables.find(Path()), read_human_labels(labels)))
        return
    if step is None or label is None:
        raise UsageError("adjudicate: expected SAMPLE STEP LABEL, or nothing for the list")
    typer.echo(adjudicate(labels, sample_id, step, label, adjudicator or getpass.getuser()))


@labels_app.command("export")
def export_label_file(
    out: Annotated[Path, typer.Argument(help="File to write.")],
    format_name: Annotated[ExportName, typer.Option("--format", help="What to write.")],
    labels: HumanLabels = HUMAN_LABELS,
    is_lossy: IsLossy = False,
) -> None:
    """Write human labels in the format of another tool, or as solutions that `calibrate` and a gate read (stepwise).

    What was written is read again; an export that would lose anything is refused unless --lossy.
    """
    from tools.human_labels import SampleTables, export_labels, export_solutions

    tables = SampleTables.find(Path())
    if format_name == "stepwise":
        typer.echo(export_solutions(tables, labels, out))
    else:
        print_lines(export_labels(tables, labels, format_name, out, is_lossy))


@labels_app.command("import")
def import_label_files(
    files: Annotated[list[Path], typer.Argument(help="Files of another tool.")],
    format_name: Annotated[FormatName, typer.Option("--format", help="What they hold.")],
    labels: HumanLabels = HUMAN_LABELS,
    is_lossy: IsLossy = False,
) -> None:
    """Append the labels in files of another tool, without those that are there already.

    Bad rows are named and left out. Exit code 1 if there were any.
    """
    from tools.human_labels import SampleTables, import_labels

    print_lines(import_labels(SampleTables.find(Path()), files, format_name, labels, is_lossy))
