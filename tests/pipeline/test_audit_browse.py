"""The views of the page in a browser: what is asked for is shown, by keyboard alone, and no text is more than text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import polars as pl
import pytest
from aiohttp import web

from stages.common.tables import PROBLEM, read_table, write_table
from tests.support.browser import Browser, needs_browser, open_browser
from tests.support.small_round import HOSTILE, LAST, PART, hexed, write_round
from tools.audit.page import text_search
from tools.audit.page.look_routes import make_look_routes
from tools.audit.page.page_html import render_static_page
from tools.audit.page.page_server import LOOPBACK, make_app
from tools.audit.page.problem_index import ProblemFilter, build_index
from tools.audit.page.text_search import TextQuery, search_texts
from tools.audit.table_sets import TableSet

ROUNDS = [PART, replace(PART, name="M2")]
"""The same tables as two rounds."""

HOSTILE_NAME = "<img src=x onerror=\"document.title='HACKED'\">"
FORBIDDEN = "script, img, a, iframe, object, embed, link, style, form, foreignObject, use"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("browse")
    write_round(place)
    return place


@asynccontextmanager
async def serve(root: Path, table_sets: list[TableSet], labels: Path) -> AsyncIterator[str]:
    runner = web.AppRunner(make_app(make_look_routes(root, table_sets, "me", labels), LOOPBACK))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


def visit(
    root: Path, table_sets: list[TableSet], folder: Path, work: Callable[[Browser, str], Awaitable[None]]
) -> None:
    async def run() -> None:
        async with serve(root, table_sets, folder / "labels.jsonl") as address, open_browser(folder / "b") as browser:
            await browser.resize(1300)
            await work(browser, address)

    asyncio.run(run())


async def go_to(browser: Browser, address: str) -> None:
    """Load a page afresh; what follows # may change at once."""
    await browser.open("about:blank")
    await browser.call("Page.navigate", url=address)


async def show(browser: Browser, address: str, view: str, **params: str) -> None:
    """Open a view afresh and wait until it stands."""
    await go_to(browser, f"{address}#{urlencode({'view': view, **params})}")
    await browser.wait_until("document.querySelector('#view *') && document.querySelector('#choices select')")


@pytest.mark.parametrize("page_size", [1, 2, 50])
def test_each_match_is_on_one_page_of_results(root: Path, monkeypatch: pytest.MonkeyPatch, page_size: int) -> None:
    monkeypatch.setattr(text_search, "PAGE_SIZE", page_size)
    problems = build_index(root, ROUNDS).list_problems()
    by_name = {tables.name: tables for tables in ROUNDS}
    matches = []
    for offset in range(0, 12, page_size):
        found = search_texts(root, by_name, problems, TextQuery("t", offset=offset))
        assert (found["num_problems"], found["num_samples"]) == (2, 8)
        assert len(found["matches"]) <= page_size
        matches += found["matches"]
    assert [match.get("sample_id") for match in matches] == [None, None, *(hexed(number) for number in range(4))] + [
        hexed(number) for number in range(4)
    ]
    assert [match["rounds"] for match in matches] == [["M1", "M2"]] * 2 + [["M1"]] * 4 + [["M2"]] * 4


@pytest.mark.parametrize(
    ("query", "num_problems", "num_samples"),
    [
        (TextQuery("sqrt"), 1, 0),
        (TextQuery("SQRT"), 0, 0),
        (TextQuery("the last line."), 0, 8),
        (TextQuery("The last line."), 0, 8),
        (TextQuery("The last lin.."), 0, 0),
        (TextQuery(LAST, round="M2"), 0, 4),
        (TextQuery(LAST, source="cn_k12"), 0, 4),
        (TextQuery(LAST, round="M9"), 0, 0),
        (TextQuery(LAST, field="problem"), 0, 0),
        (TextQuery("<script>"), 1, 2),
        (TextQuery("<script>", field="completion"), 0, 2),
        (TextQuery(hexed(3)), 0, 2),
        (TextQuery("0" * 31), 2, 8),
    ],
)
def test_texts_are_found(root: Path, query: TextQuery, num_problems: int, num_samples: int) -> None:
    found = search_texts(
        root, {tables.name: tables for tables in ROUNDS}, build_index(root, ROUNDS).list_problems(), query
    )
    assert (found["num_problems"], found["num_samples"]) == (num_problems, num_samples)


def test_a_sample_is_located_among_the_problems_of_a_filter(root: Path) -> None:
    index = build_index(root, ROUNDS)
    assert index.locate(ProblemFilter(), "M2", hexed(0)) == 2
    assert index.locate(ProblemFilter(source="cn_k12"), "M1", hexed(3)) == 0
    assert index.locate(ProblemFilter(kind="judges disagree"), "M1", hexed(0)) is None
    assert index.locate(ProblemFilter(), "M9", hexed(0)) is None
    assert index.locate(ProblemFilter(), "M1", HOSTILE_NAME) is None


def test_the_server_answers_views_and_refuses_what_it_cannot_look_for(root: Path, tmp_path: Path) -> None:
    async def ask() -> None:
        async with serve(root, ROUNDS, tmp_path / "labels.jsonl") as base, aiohttp.ClientSession() as client:
            async with client.get(f"{base}overview") as answer:
                assert [cell["num_samples"] for cell in (await answer.json())["cells"]] == [2, 2, 2, 2]
            async with client.get(f"{base}comparison", params={"problem": hexed(1)}) as answer:
                compared = await answer.json()
            assert [change["round"] for change in compared["changes"]] == ["M1", "M2"]
            assert compared["changes"][1]["repeated"] == [hexed(2), hexed(3)]
            async with client.get(f"{base}comparison", params={"problem": HOSTILE_NAME}) as answer:
                assert await answer.json() == {"cards": [], "changes": []}
            async with client.get(f"{base}card", params={"in": "M2", "sample": hexed(3)}) as answer:
                found = await answer.json()
            assert (found["position"], found["card"]["round"], found["card"]["problem_id"]) == (3, "M2", hexed(1))
            for bad in ({"text": ""}, {"text": "x" * 300}, {"text": "x", "field": "y"}, {"text": "x", "offset": "-1"}):
                async with client.get(f"{base}search", params=bad) as answer:
                    assert answer.status == 400, bad

    asyncio.run(ask())


@needs_browser
def test_the_page_is_used_by_keyboard_alone(root: Path, tmp_path: Path) -> None:
    async def work(browser: Browser, address: str) -> None:
        await show(browser, address, "problems")
        await browser.press("2")
        await browser.wait_until("document.querySelector('.grid button:focus')")
        text = await browser.read_text()
        assert "100.0% correct" in text
        assert "1 contradiction (50.0%)" in text
        await browser.press("ArrowDown", "ArrowRight", "Enter")
        await browser.wait_until("location.hash.includes('round=M2') && document.querySelector('.step.focus')")
        await browser.press("j")
        await browser.press("x")
        await browser.wait_until(
            "document.querySelectorAll('.round').length === 2 && document.querySelector('.completion.focus')"
        )
        await browser.press("ArrowRight", "j", "Enter")
        await browser.wait_until("location.hash.includes('view=problems') && document.querySelector('.step.focus')")
        linked = await browser.evaluate("location.hash")
        assert "in=M2" in linked
        await browser.press("/")
        await browser.wait_until("document.activeElement.tagName === 'INPUT'")
        await browser.press(*"last line", "Enter")
        await browser.wait_until(
            "document.querySelectorAll('.match').length === 8 && document.querySelector('.match.focus mark')"
        )
        await browser.press("j", "Enter")
        await browser.wait_until("document.querySelector('.step.focus')")
        assert f"sample={hexed(1)}" in await browser.evaluate("location.hash")
        await browser.press("?")
        await browser.wait_until("document.querySelector('dialog')?.open")
        assert "agree with the label" in await browser.read_text()
        await browser.press("?")
        await browser.wait_until("!document.querySelector('dialog')?.open")
        await go_to(browser, f"{address}{linked}")
        await browser.wait_until("document.querySelector('.step.focus')")
        assert await browser.evaluate("location.hash") == linked, "a link shows the sample that it names"

    visit(root, ROUNDS, tmp_path, work)


@needs_browser
def test_nothing_is_wider_than_a_small_window(root: Path, tmp_path: Path) -> None:
    async def work(browser: Browser, address: str) -> None:
        for width, is_dark in ((1300, False), (700, True)):
            await browser.resize(width, is_dark=is_dark)
            for view, params in (
                ("problems", {}), ("overview", {}), ("search", {"text": "t"}), ("comparison", {"problem": hexed(1)}),
            ):  # fmt: skip
                await show(browser, address, view, **params)
                assert await browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), (view, width)
        assert await browser.evaluate("getComputedStyle(document.body).color") == "rgb(255, 255, 255)"

    visit(root, ROUNDS, tmp_path, work)


@needs_browser
@pytest.mark.parametrize("is_served", [True, False])
def test_no_text_is_obeyed_in_any_view(root: Path, tmp_path: Path, is_served: bool) -> None:
    place = tmp_path / "hostile"
    write_round(place)
    problems = read_table(place / "data/problems", PROBLEM, 0)
    named = problems.with_columns(source=pl.format("{}{}", pl.lit(HOSTILE_NAME), "source"))
    write_table(place / "data/problems", PROBLEM, named, 0)
    rounds = [replace(PART, name=HOSTILE_NAME), PART]

    async def work(browser: Browser, address: str) -> None:
        title = "Labels: served"
        if not is_served:
            path = tmp_path / "page.html"
            index = build_index(place, rounds)
            path.write_text(render_static_page(place, rounds, index, ProblemFilter(), 9, 0), encoding="utf-8")
            address, title = path.as_uri(), "Labels: 4 of 4 problems"
        views: list[tuple[str, dict[str, str]]] = [
            ("problems", {}),
            ("problems", {"round": HOSTILE_NAME, "in": HOSTILE_NAME, "sample": hexed(2)}),
            ("overview", {}),
            ("comparison", {"problem": hexed(1)}),
            *(
                ("search", {"text": text[:200], "field": "completion"})
                for text in (HOSTILE[1], HOSTILE[4], HOSTILE[-1])
            ),
        ]
        for view, params in views:
            await show(browser, address, view, **params)
            if view == "search":
                await browser.wait_until("document.querySelectorAll('.match').length === 2")
            assert await browser.evaluate("document.title") == title, (view, params)
            assert await browser.evaluate("document.querySelectorAll('main').length") == 1
            found = await browser.evaluate(
                f"[...document.querySelectorAll('#view *')].filter((one) => one.matches('{FORBIDDEN}') || "
                "[...one.attributes].some(({ name, value }) => name.startsWith('on') || /javascript:/i.test(value)))"
                ".map((one) => one.outerHTML)"
            )
            assert found == [], (view, params)
            assert HOSTILE_NAME in await browser.read_text(), "a name is shown as it is"

        for hash_part in (f"view={HOSTILE_NAME}", f"view=constructor&sample={HOSTILE_NAME}", "%%%&view=__proto__"):
            await go_to(browser, f"{address}#{hash_part}")
            await browser.wait_until("document.querySelector('#choices select') && document.querySelector('.step')")
            assert await browser.evaluate("document.title") == title, hash_part

    visit(place, rounds, tmp_path, work)
