"""The page served to this machine's browser, over the data at hand."""

import asyncio
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from aiohttp import web
from aiohttp.typedefs import Handler

from stages.common.errors import UserError, describe_error, explain_system_error
from stages.common.tables import LABEL
from tools.audit.lineage.sample_lineage import read_first
from tools.audit.lineage.show import LABEL_WORDS
from tools.audit.page.label_log import append_human_label
from tools.audit.page.page_html import render_page
from tools.audit.page.problem_card import make_card
from tools.audit.page.problem_index import ALL, ProblemFilter, ProblemIndex, build_index
from tools.audit.table_sets import TableSet, find_all_tables
from tools.dvc_lock import read_lock

LOOPBACK = ("127.0.0.1", "localhost", "::1")

MAX_BODY_BYTES = 10_000
"""Bytes of a human label that are read."""


@dataclass(frozen=True)
class PageContext:
    """What the page is about, who looks at it, and where their labels go."""

    root: Path
    table_sets: dict[str, TableSet]
    index: ProblemIndex
    annotator: str
    human_labels: Path


def serve(root: Path, annotator: str, human_labels: Path, host: str = LOOPBACK[0], port: int = 8765) -> None:
    """Serve the page until interrupted; a `host` other than loopback lets others read all data."""
    try:
        listener = socket.create_server((host, port))  # before tables are read, which takes time
    except OSError as error:
        raise UserError(f"{host}:{port}: {explain_system_error(error) or describe_error(error)}") from error
    table_sets = find_all_tables(root, read_lock(root))
    web.run_app(make_app(root, table_sets, annotator, human_labels, (*LOOPBACK, host)), sock=listener)


def make_app(
    root: Path, table_sets: list[TableSet], annotator: str, human_labels: Path, hosts: tuple[str, ...]
) -> web.Application:
    """The page's server, which answers to the names `hosts` alone; raises `UserError` where there are no samples."""
    by_name = {tables.name: tables for tables in table_sets}
    context = PageContext(root, by_name, build_index(root, table_sets), annotator, human_labels)
    html = render_page(None, None, "served")

    async def get_page(_: web.Request) -> web.Response:
        return web.Response(text=html, content_type="text/html")

    async def get_choices(_: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(context.index.list_choices))

    async def get_card(request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(_find_card, context, dict(request.query)))

    async def post_label(request: web.Request) -> web.Response:
        # A page elsewhere cannot send this type without a preflight request, which is never allowed.
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        await asyncio.to_thread(_add_label, context, await request.text())
        return web.json_response({})

    app = web.Application(middlewares=[_allow_hosts(hosts), _refuse_in_one_line], client_max_size=MAX_BODY_BYTES)
    app.add_routes([
        web.get("/", get_page),
        web.get("/choices", get_choices),
        web.get("/card", get_card),
        web.post("/label", post_label),
    ])  # fmt: skip
    return app


def _find_card(context: PageContext, query: dict[str, str]) -> dict[str, Any]:
    chosen = ProblemFilter(*(query.get(name, ALL) for name in ("round", "source", "kind")))
    position = query.get("position", "0")
    if not position.isdecimal() or len(position) > 12:
        raise UserError(f"position: expected a number from 0, found {position[:40]!r}")
    count, problem = context.index.find(chosen, int(position))
    return {"count": count, "card": problem and make_card(context.root, context.table_sets[problem.round], problem)}


def _add_label(context: PageContext, body: str) -> None:
    given = json.loads(body)
    if not isinstance(given, dict) or given.get("round") not in context.table_sets:
        raise UserError("round: not one that is here")
    tables, sample, step = context.table_sets[given["round"]], given.get("sample_id"), given.get("step")
    assert tables.labels is not None
    if not isinstance(sample, str) or type(step) is not int:
        raise UserError("sample_id, step: expected text and a number")
    row = read_first(context.root / tables.labels, LABEL, (pl.col("sample_id") == sample) & (pl.col("step") == step))
    if row is None:
        raise UserError("sample_id, step: no such label")
    human_label = {
        "annotator": context.annotator,
        "round": tables.name,
        "sample_id": sample,
        "step": step,
        "is_correct": given.get("is_correct"),
        "label": LABEL_WORDS[row["label"]],
        "judge": row["judge"],
    }
    append_human_label(context.human_labels, human_label)


def _allow_hosts(hosts: tuple[str, ...]) -> Any:
    """Refuse requests by another name: a page elsewhere whose name leads to this machine must not read the data."""

    @web.middleware
    async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = (request.url.host or "").strip("[]")
        if name not in hosts:
            raise web.HTTPForbidden(text="this page is served to other names only")
        response = await handler(request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    return check_host


@web.middleware
async def _refuse_in_one_line(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValueError as error:
        raise web.HTTPBadRequest(text=describe_error(error)) from error
