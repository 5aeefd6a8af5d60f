"""Which views a server has: labelling, or looking around. Never both, or a person who labels would not be blind."""

from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from stages.common.errors import UserError
from stages.common.human_labels import read_human_labels
from tools.audit.label_page.gold_items import read_gold
from tools.audit.label_page.label_queue import LabelQueue, QueueOptions
from tools.audit.label_page.label_routes import make_label_routes, read_page_version
from tools.audit.label_page.label_session import Examination, LabelSession, Mode
from tools.audit.label_page.label_writer import GUIDELINE, LabelWriter, hash_version
from tools.audit.page.look_routes import make_look_routes
from tools.audit.step_hashes import require_current_labels
from tools.audit.table_sets import TableSet, find_all_tables
from tools.dvc_lock import read_lock


@dataclass(frozen=True)
class ServeOptions:
    """What is served, to whom, and where their labels go."""

    annotator: str
    human_labels: Path
    shows_labels: bool = False
    mode: Mode = "first_error"
    round_name: str | None = None
    """Label this round's or evaluation's samples only; None for all."""
    gold: Path | None = None
    """Human labels of gold items; None for none."""
    min_score: float = 0.8
    """Share of the gold items of the examination that has to be labelled as known."""
    guideline: Path | None = None
    """A guideline instead of ours."""
    queue: QueueOptions = field(default_factory=QueueOptions)


def make_routes(root: Path, options: ServeOptions, table_sets: list[TableSet] | None = None) -> list[web.RouteDef]:
    """The routes that `options` ask for, over `table_sets` or all there are.

    Raises `UserError` for a file that cannot be used, and where there is nothing to label or to look at.
    """
    gold = read_gold(options.gold) if options.gold else {}
    if options.queue.num_exam > len(gold):
        raise UserError(f"--exam {options.queue.num_exam}: expected at most {len(gold)}, the items of --gold")
    if table_sets is None:
        table_sets = find_all_tables(root, read_lock(root))
    if options.gold:
        require_current_labels(options.gold, read_human_labels(options.gold), root, table_sets)
    if options.shows_labels:
        return make_look_routes(root, table_sets, options.annotator, options.human_labels)
    names = [tables.name for tables in table_sets if tables.labels]
    if options.round_name is not None and options.round_name not in names:
        raise UserError(f"--round: expected one of {', '.join(names) or 'none'}, found {options.round_name!r}")
    chosen = [it for it in table_sets if it.name in names and options.round_name in (None, it.name)]
    path = options.guideline or GUIDELINE
    try:
        guideline = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start}: expected UTF-8; save the file in this encoding") from error
    by_name = {tables.name: tables for tables in chosen}
    writer = LabelWriter(
        root, by_name, options.annotator, options.human_labels, read_page_version(), hash_version(guideline)
    )
    queue = LabelQueue(root, chosen, gold, options.queue)
    session = LabelSession(writer, queue, options.mode, Examination(gold, options.min_score))
    return make_label_routes(session, guideline)
