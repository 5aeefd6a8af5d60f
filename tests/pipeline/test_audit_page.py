"""The page to look at labels by eye: what is asked for is found, and nothing that a model wrote is more than text."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import aiohttp
import polars as pl
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.human_labels import hash_step_text, read_human_labels
from stages.common.tables import LABEL, STEP, read_table, write_table
from tests.support.browser import dump_page, needs_browser
from tests.support.small_round import HOSTILE, LAST, PART, hexed, write_round
from tools.audit.page.look_routes import make_look_routes
from tools.audit.page.page_html import SCRIPTS, render_page, render_static_page
from tools.audit.page.page_server import LOOPBACK, make_app
from tools.audit.page.problem_card import make_card
from tools.audit.page.problem_index import ProblemFilter, ProblemIndex, build_index


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("page")
    write_round(place)
    return place


@pytest.fixture(scope="module")
def index(root: Path) -> ProblemIndex:
    return build_index(root, [PART])


@pytest.mark.parametrize(
    ("chosen", "problems"),
    [
        (ProblemFilter(), [0, 1]),
        (ProblemFilter(round="M1"), [0, 1]),
        (ProblemFilter(round="M2"), []),
        (ProblemFilter(source="cn_k12"), [1]),
        (ProblemFilter(kind="correct answer, incorrect step"), [0]),
        (ProblemFilter(kind="incorrect answer, no incorrect step"), [1]),
        (ProblemFilter(kind="unknown step"), [1]),
        (ProblemFilter(kind="judges disagree"), [1]),
        (ProblemFilter(kind="unknown verdict"), [1]),
        (ProblemFilter(kind="dropped: outcome unknown"), [1]),
        (ProblemFilter(kind="dropped: more than the limit per problem"), [0]),
        (ProblemFilter(source="olympiads", kind="judges disagree"), []),
        (ProblemFilter(kind="' or 1=1"), []),
    ],
)
def test_what_is_asked_for_is_found(index: ProblemIndex, chosen: ProblemFilter, problems: list[int]) -> None:
    found = [index.find(chosen, at) for at in range(3)]
    assert [count for count, _ in found] == [len(problems)] * 3
    assert [problem.problem_id for _, problem in found if problem] == [hexed(problem) for problem in problems]


def test_where_there_is_nothing_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no round has samples here"):
        build_index(tmp_path, [PART])
    with pytest.raises(UserError, match=r"labels\.jsonl: no such file"):
        read_human_labels(tmp_path / "labels.jsonl")


def test_choices_are_those_that_something_fits(index: ProblemIndex) -> None:
    choices = index.list_choices()
    assert choices["round"] == ["all", "M1"]
    assert choices["source"] == ["all", "cn_k12", "olympiads"]
    assert all(index.find(ProblemFilter(kind=kind), 0)[1] for kind in choices["kind"])


def test_a_sample_is_shown_the_same_before_all_others_are_known(root: Path) -> None:
    index = build_index(root, [PART])
    before = [index.find(ProblemFilter(), at) for at in range(2)]
    index.list_choices()
    assert [index.find(ProblemFilter(), at) for at in range(2)] == before
    assert [place.tags[hexed(3)] for _, place in before if place and hexed(3) in place.tags] == [
        ["unknown step", "judges disagree", "unknown verdict", "dropped: outcome unknown"]
    ]


def test_a_card_holds_all_of_a_problem(root: Path, index: ProblemIndex) -> None:
    _, place = index.find(ProblemFilter(), 1)
    assert place is not None
    card = make_card(root, PART, place)
    first, second = card["completions"]
    assert [step["text"][:50] for step in first["steps"]] == [text[:50] for text in (*HOSTILE, LAST)]
    assert {step["label"] for step in first["steps"]} == {"unknown"}
    assert first["replies"][0]["text"] == HOSTILE[1]
    assert second["verdict"] == "unknown"
    assert "judges disagree" in second["tags"]
    assert len(json.dumps(card)) < 600_000  # of a step of 1 MB, no more than can be looked at


def test_a_sample_that_was_not_judged_is_shown_as_such(root: Path, tmp_path: Path) -> None:
    place = tmp_path / "copy"
    shutil.copytree(root, place)
    for folder, table in (("data/steps/M1", STEP), ("data/labels/M1", LABEL)):
        rows = read_table(place / folder, table, 0)
        write_table(place / folder, table, rows.filter(pl.col("sample_id") != hexed(1)), 0)
    index = build_index(place, [PART])
    assert "not judged" in index.list_choices()["kind"]
    count, problem = index.find(ProblemFilter(kind="not judged"), 0)
    assert count == 1
    assert problem is not None
    assert "not judged" in problem.tags[hexed(1)]
    judged, other = make_card(place, PART, problem)["completions"]
    assert (judged["text"], other["text"], other["steps"]) == ("", f"b\n{LAST}", [])


@given(st.text())
def test_data_never_ends_its_element(text: str) -> None:
    html = render_page({"choices": {"round": [text]}, "cards": [{"problem": text}]}, "title")
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, flags=re.S)
    assert json.loads(data)["choices"]["round"] == [text]
    assert html.count("<script") == len(SCRIPTS) + 1


@needs_browser
def test_nothing_of_a_model_is_obeyed_by_a_browser(root: Path, index: ProblemIndex, tmp_path: Path) -> None:
    path = tmp_path / "labels.html"
    path.write_text(render_static_page(root, [PART], index, ProblemFilter(source="cn_k12"), 5, 0), encoding="utf-8")
    dom = dump_page(path.as_uri(), tmp_path / "b")
    shown = dom[dom.index('<main id="view">') : dom.index("</main>")]
    assert "<title>Labels: 1 of 1 problems</title>" in dom
    assert not re.search(r"<(script|img|a|iframe|object|link|style)\b", shown)
    assert "&lt;script&gt;document.title='HACKED'&lt;/script&gt;" in shown
    assert "&lt;img src=x onerror=" in shown
    assert "[click](javascript:" in shown
    assert not re.search(r"\son\w+=", re.sub(r">[^<]*<", "><", shown))
    assert re.search(r"show all [0-9,]+ characters", shown)
    assert LAST in shown
    assert shown.count('class="step ') == len(HOSTILE) + 3


@needs_browser
def test_formulas_are_rendered(root: Path, index: ProblemIndex, tmp_path: Path) -> None:
    path = tmp_path / "labels.html"
    path.write_text(render_static_page(root, [PART], index, ProblemFilter(source="olympiads"), 5, 0), encoding="utf-8")
    dom = dump_page(path.as_uri(), tmp_path / "b")
    assert '<annotation encoding="application/x-tex">\\sqrt{1}</annotation>' in dom
    assert 'class="step incorrect' in dom
    assert "data:font/woff2" in dom
    assert "url(fonts/" not in dom


@needs_browser
def test_the_served_page_asks_for_what_it_shows(root: Path, tmp_path: Path) -> None:

    async def visit() -> str:
        runner = web.AppRunner(make_app(make_look_routes(root, [PART], "me", tmp_path / "labels.jsonl"), LOOPBACK))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        dom = await asyncio.to_thread(dump_page, f"http://127.0.0.1:{runner.addresses[0][1]}", tmp_path / "b")
        await runner.cleanup()
        return dom

    dom = asyncio.run(visit())
    assert '<span id="position">1 of 2</span>' in dom
    assert '<option value="judges disagree">judges disagree</option>' in dom
    assert LAST in dom[dom.index('<main id="view">') :]


def test_the_server(root: Path, tmp_path: Path) -> None:
    labels_path = tmp_path / "labels.jsonl"
    mark = {"step": 0, "label": "correct", "seconds": 1.5}
    good = {"round": "M1", "sample_id": hexed(0), "marks": [mark]}

    async def visit() -> None:
        app = make_app(make_look_routes(root, [PART], "me", labels_path), LOOPBACK)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as client:
            async with client.get(base) as answer:
                assert "connect-src &#39;self&#39;" in await answer.text()
            async with client.get(f"{base}/card", params={"kind": "judges disagree", "position": "0"}) as answer:
                found = await answer.json()
            assert (found["count"], found["card"]["problem_id"]) == (1, hexed(1))
            async with client.get(f"{base}/choices") as answer:
                assert (await answer.json())["source"] == ["all", "cn_k12", "olympiads"]
            async with client.get(f"{base}/card", params={"position": "9"}) as answer:
                assert await answer.json() == {"count": 2, "position": 9, "card": None}
            for at in ("-1", "x", "9" * 20):
                async with client.get(f"{base}/card", params={"position": at}) as answer:
                    assert answer.status == 400
            async with client.get(base, headers={"Host": "example.org"}) as answer:
                assert answer.status == 403
            async with client.post(f"{base}/label", json=good) as answer:
                assert answer.status == 200
            async with client.post(f"{base}/label", data=json.dumps(good)) as answer:
                assert answer.status == 415
            bad_marks: list[dict[str, Any]] = [
                {"step": 7},
                {"step": "0"},
                {"label": "yes"},
                {"seconds": -1},
                {"seconds": None},
            ]
            for bad in (
                {"round": "M9"},
                {"sample_id": None},
                {"marks": []},
                *({"marks": [mark, mark | it]} for it in bad_marks),
            ):
                async with client.post(f"{base}/label", json=good | bad) as answer:
                    assert answer.status == 400, bad
            async with client.post(f"{base}/label", json=good | {"round": "x" * 200_000}) as answer:
                assert answer.status in (400, 413)
        await runner.cleanup()

    asyncio.run(visit())
    (label,) = read_human_labels(labels_path)
    found = {key: getattr(label, key) for key in ("annotator", "round", "sample_id", "problem_id", *mark)}
    assert found == mark | {"annotator": "me", "round": "M1", "sample_id": hexed(0), "problem_id": hexed(0)}
    assert label.text_hash == hash_step_text("a\n")
    assert (label.judge_label, label.judge, label.is_blind, label.queue) == ("incorrect", "j", False, "browsing")
