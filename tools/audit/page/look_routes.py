"""What the server answers to a person who looks around: problems, counts, texts found, one problem in all rounds."""

import asyncio
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web

from stages.common.errors import UserError
from tools.audit.label_page.label_writer import LabelWriter, SampleMarks
from tools.audit.page.overview import summarize_samples
from tools.audit.page.page_html import read_versions, render_page
from tools.audit.page.page_server import read_body
from tools.audit.page.problem_card import make_card
from tools.audit.page.problem_index import ALL, ProblemFilter, ProblemIndex, build_index
from tools.audit.page.round_comparison import read_comparison
from tools.audit.page.text_search import TextQuery, search_texts
from tools.audit.table_sets import TableSet

Query = dict[str, str]


def make_look_routes(root: Path, table_sets: list[TableSet], annotator: str, human_labels: Path) -> list[web.RouteDef]:
    """Routes of the looking views, on which labels are given with the judge's in view.

    Raises `UserError` where there are no samples.
    """
    by_name = {tables.name: tables for tables in table_sets}
    index = build_index(root, table_sets)
    writer = LabelWriter(root, by_name, annotator, human_labels, **read_versions())
    html = render_page(None, "served")

    async def get_page(_: web.Request) -> web.Response:
        return web.Response(text=html, content_type="text/html")

    async def post_label(request: web.Request) -> web.Response:
        given = SampleMarks.model_validate_json(await read_body(request))
        await asyncio.to_thread(writer.append, given, "per_step", "browsing", is_blind=False)
        return web.json_response({})

    return [web.get("/", get_page), web.post("/label", post_label), *_make_answers(root, by_name, index)]


def _make_answers(root: Path, table_sets: dict[str, TableSet], index: ProblemIndex) -> list[web.RouteDef]:
    """Routes that only read; each answers with JSON."""

    def find_card(query: Query) -> dict[str, Any]:
        chosen = ProblemFilter(*(query.get(name, ALL) for name in ("round", "source", "kind")))
        if "sample" in query:
            position = index.locate(chosen, query.get("in", ""), query["sample"])
            if position is None:
                return {"count": 0, "position": 0, "card": None}
        else:
            position = _read_number(query, "position")
        count, problem = index.find(chosen, position)
        card = problem and make_card(root, table_sets[problem.round], problem)
        return {"count": count, "position": position, "card": card}

    @cache
    def summarize() -> dict[str, Any]:
        return summarize_samples(index.tag_samples())

    def search(query: Query) -> dict[str, Any]:
        fields = {name: query[name] for name in ("field", "round", "source") if name in query}
        text_query = TextQuery(query.get("text", ""), **fields, offset=_read_number(query, "offset"))
        return search_texts(root, table_sets, index.list_problems(), text_query)

    def compare(query: Query) -> dict[str, Any]:
        return read_comparison(root, table_sets.values(), index, query.get("problem", ""))

    return [
        _answer("/choices", lambda _: index.list_choices()),
        _answer("/card", find_card),
        _answer("/overview", lambda _: summarize()),
        _answer("/search", search),
        _answer("/comparison", compare),
    ]


def _answer(path: str, work: Callable[[Query], Any]) -> web.RouteDef:
    async def get(request: web.Request) -> web.Response:
        return web.json_response(await asyncio.to_thread(work, dict(request.query)))

    return web.get(path, get)


def _read_number(query: Query, name: str) -> int:
    text = query.get(name, "0")
    if not (text.isascii() and text.isdecimal()) or len(text) > 12:
        raise UserError(f"{name}: expected a number from 0, found {text[:40]!r}")
    return int(text)
