"""The page served to this machine's browser, over the data at hand."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from aiohttp import web
from aiohttp.typedefs import Handler

from stages.common.tables import LABEL
from tools.audit.key_ranges import read_where
from tools.audit.page.label_log import append_verdict
from tools.audit.page.page_html import page
from tools.audit.page.problem_card import WORDS, make_card
from tools.audit.page.problem_index import Index, Wanted, build_index
from tools.audit.table_sets import TableSet

LOOPBACK = ("127.0.0.1", "localhost", "::1")

LONGEST_BODY = 10_000
"""Bytes of a verdict that are read."""


@dataclass(frozen=True)
class Desk:
    """What the page is about, who looks at it, and where their verdicts go."""

    root: Path
    parts: dict[str, TableSet]
    index: Index
    person: str
    verdicts: Path


def make_app(root: Path, parts: list[TableSet], person: str, verdicts: Path, hosts: tuple[str, ...]) -> web.Application:
    """The page's server, which answers to the names `hosts` alone; raises `ValueError` where there are no samples."""
    desk = Desk(root, {part.name: part for part in parts}, build_index(root, parts), person, verdicts)
    html = page(None, None, "served")

    async def front(_: web.Request) -> web.Response:
        return web.Response(text=html, content_type="text/html")

    async def choices(_: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(desk.index.choices))

    async def view(request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(_view, desk, dict(request.query)))

    async def verdict(request: web.Request) -> web.Response:
        # A page elsewhere cannot send this type without being asked first, and it is never allowed to.
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType
        await asyncio.to_thread(_keep, desk, await request.text())
        return web.json_response({})

    app = web.Application(middlewares=[_only_for(hosts), _refuse_in_one_line], client_max_size=LONGEST_BODY)
    app.add_routes(
        [
            web.get("/", front),
            web.get("/choices", choices),
            web.get("/view", view),
            web.post("/verdict", verdict),
        ]
    )
    return app


def _view(desk: Desk, query: dict[str, str]) -> dict[str, Any]:
    wanted = Wanted(*(query.get(name, "all") for name in ("round", "source", "kind")))
    at = query.get("at", "0")
    if not at.isdecimal() or len(at) > 12:
        raise ValueError(f"at: expected a number from 0, found {at[:40]!r}")
    count, place = desk.index.find(wanted, int(at))
    return {"count": count, "card": place and make_card(desk.root, desk.parts[place.round], place)}


def _keep(desk: Desk, body: str) -> None:
    said = json.loads(body)
    if not isinstance(said, dict) or said.get("round") not in desk.parts:
        raise ValueError("round: not one that is here")
    part, sample, step = desk.parts[said["round"]], said.get("sample_id"), said.get("step")
    assert part.labels is not None
    if not isinstance(sample, str) or type(step) is not int:
        raise ValueError("sample_id, step: expected text and a number")
    rows = read_where(desk.root / part.labels, LABEL, (pl.col("sample_id") == sample) & (pl.col("step") == step))
    if rows.is_empty():
        raise ValueError("sample_id, step: no such label")
    row = rows.row(0, named=True)
    append_verdict(
        desk.verdicts,
        {
            "annotator": desk.person,
            "round": part.name,
            "sample_id": sample,
            "step": step,
            "is_correct": said.get("is_correct"),
            "label": WORDS[row["label"]],
            "judge": row["judge"],
        },
    )


def _only_for(hosts: tuple[str, ...]) -> Any:
    """Refuse requests by another name: a page elsewhere whose name leads to this machine must not read the data."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = (request.url.host or "").strip("[]")
        if name not in hosts:
            raise web.HTTPForbidden(text="this page is served to other names only")
        answer = await handler(request)
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Cache-Control"] = "no-store"
        return answer

    return check


@web.middleware
async def _refuse_in_one_line(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValueError as error:
        raise web.HTTPBadRequest(text=" ".join(str(error).split())) from error
