"""The commands ``serve``, ``page`` and ``agreement`` of ``python -m tools.audit``."""

from __future__ import annotations

import argparse
import getpass
from pathlib import Path

from stages.common.statistics import read_human_labels
from tools.audit.page.label_log import agreements
from tools.audit.table_sets import find_all_tables
from tools.dvc_lock import read_lock

VERDICTS = Path("work/verdicts.jsonl")
"""Where people's verdicts go unless told otherwise: ignored by Git and DVC, since no stage writes them."""


def add_page_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the three commands."""
    serving = commands.add_parser("serve", help="a page to look at labels by eye, and to say what you think of them")
    serving.add_argument("--host", default="127.0.0.1", help="another than this lets others read all data")
    serving.add_argument("--port", type=int, default=8765)
    serving.add_argument("--person", default=getpass.getuser(), help="who looks (default: your login)")
    serving.add_argument("--verdicts", type=Path, default=VERDICTS, help=f"where verdicts go (default: {VERDICTS})")
    writing = commands.add_parser("page", help="the same page as one file, to be shared")
    writing.add_argument("--sample", type=int, default=200, metavar="N", help="problems in it (default: 200)")
    writing.add_argument("--round", default="all", metavar="NAME", help="of this round only")
    writing.add_argument("--kind", default="all", help="only problems with a sample of this kind, as the page names it")
    writing.add_argument("--seed", type=int, default=0, help="decides which problems are taken")
    writing.add_argument("--out", type=Path, default=Path("work/labels.html"))
    agreeing = commands.add_parser("agreement", help="how far judges agree with people")
    agreeing.add_argument("verdicts", type=Path, nargs="?", default=VERDICTS)


def run_page_command(root: Path, arguments: argparse.Namespace) -> None:
    """Run the one that was asked for."""
    if arguments.command == "agreement":
        for found in agreements(read_human_labels(arguments.verdicts)):
            kappa = "not defined" if found.kappa is None else f"{found.kappa:.3f}"
            print(
                f"judge {found.judge}: agrees on {found.agreed:.1%} of {found.steps:,} steps, Cohen's kappa {kappa}; "
                f"{found.unknown:,} more it did not know"
            )
    elif arguments.command == "page":
        _write(root, arguments)
    else:
        _serve(root, arguments)


def _write(root: Path, arguments: argparse.Namespace) -> None:
    from tools.audit.page.page_html import static_page
    from tools.audit.page.problem_index import Wanted, build_index

    parts = find_all_tables(root, read_lock(root))
    wanted = Wanted(arguments.round, kind=arguments.kind)
    html = static_page(root, parts, build_index(root, parts), wanted, arguments.sample, arguments.seed)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(html, encoding="utf-8")
    print(f"{arguments.out}: {arguments.out.stat().st_size / 2**20:.1f} MiB")


def _serve(root: Path, arguments: argparse.Namespace) -> None:
    from aiohttp import web

    from tools.audit.page.page_server import LOOPBACK, make_app

    hosts = (*LOOPBACK, arguments.host)
    app = make_app(root, find_all_tables(root, read_lock(root)), arguments.person, arguments.verdicts, hosts)
    web.run_app(app, host=arguments.host, port=arguments.port)
