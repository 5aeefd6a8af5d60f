"""What the server answers to a person who looks around: problems with all that was said of their completions."""

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web

from stages.common.errors import UserError
from tools.audit.label_page.label_writer import LabelWriter, SampleMarks
from tools.audit.page.page_html import read_versions, render_page
from tools.audit.page.page_server import read_body
from tools.audit.page.problem_card import make_card
from tools.audit.page.problem_index import ALL, ProblemFilter, ProblemIndex, build_index
from tools.audit.table_sets import TableSet


def make_look_routes(root: Path, table_sets: list[TableSet], annotator: str, human_labels: Path) -> list[web.RouteDef]:
    """Routes of the looking views, on which labels are given with the judge's in view.

    Raises `UserError` where there are no samples.
    """
    by_name = {tables.name: tables for tables in table_sets}
    index = build_index(root, table_sets)
    writer = LabelWriter(root, by_name, annotator, human_labels, **read_versions())
    html = render_page(None, None, "served")

    async def get_page(_: web.Request) -> web.Response:
        return web.Response(text=html, content_type="text/html")

    async def get_choices(_: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(index.list_choices))

    async def get_card(request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(_find_card, root, by_name, index, dict(request.query)))

    async def post_label(request: web.Request) -> web.Response:
        given = SampleMarks.model_validate_json(await read_body(request))
        await asyncio.to_thread(writer.append, given, "per_step", "browsing", is_blind=False)
        return web.json_response({})

    return [
        web.get("/", get_page),
        web.get("/choices", get_choices),
        web.get("/card", get_card),
        web.post("/label", post_label),
    ]


def _find_card(
    root: Path, table_sets: dict[str, TableSet], index: ProblemIndex, query: dict[str, str]
) -> dict[str, Any]:
    chosen = ProblemFilter(*(query.get(name, ALL) for name in ("round", "source", "kind")))
    position = query.get("position", "0")
    if not position.isdecimal() or len(position) > 12:
        raise UserError(f"position: expected a number from 0, found {position[:40]!r}")
    count, problem = index.find(chosen, int(position))
    return {"count": count, "card": problem and make_card(root, table_sets[problem.round], problem)}
