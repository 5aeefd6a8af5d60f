"""The page on which people label steps, in a real browser and by keyboard alone; and what its server does not tell."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from stages.common.errors import UserError
from stages.common.human_labels import append_human_labels, hash_step_text, read_human_labels
from stages.judge.calibration import calibrate_judges
from tests.support.browser import Browser, needs_browser, open_browser
from tests.support.human_labels import human_label
from tests.support.labelled_round import FIRST_ERRORS, SECRETS, Completion, make_completions, write_labelled_round
from tests.support.small_round import HOSTILE, LAST, PART, hexed, write_round
from tools.audit.label_page.label_queue import QueueOptions
from tools.audit.label_page.label_server import ServeOptions, make_routes
from tools.audit.page.page_html import render_static_page
from tools.audit.page.page_server import LOOPBACK, make_app
from tools.audit.page.problem_index import ProblemFilter, build_index
from tools.human_labels import SampleTables, adjudicate, describe_agreement, export_solutions, list_disagreements


@asynccontextmanager
async def serve(root: Path, labels: Path, **options: Any) -> AsyncIterator[tuple[str, list[str]]]:
    """Address of a server, and the texts of all that it sent so far."""
    sent: list[str] = []

    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        assert isinstance(response, web.Response)
        sent.append(f"{request.path} {response.text}")
        return response

    app = make_app(make_routes(root, ServeOptions(human_labels=labels, **options), [PART]), LOOPBACK)
    app.middlewares.append(record)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", sent
    finally:
        await runner.cleanup()


async def wait_for_item(browser: Browser) -> str:
    """The problem that is asked, once it is there."""
    await browser.wait_until("document.querySelector('.problem') && document.querySelectorAll('.step').length")
    return str(await browser.evaluate("document.querySelector('.problem').textContent"))


async def wait_for_next(browser: Browser, problem: str) -> None:
    await browser.wait_until(f"document.querySelector('.problem')?.textContent !== {json.dumps(problem)}")


def find_completion(completions: list[Completion], problem: str) -> tuple[int, Completion]:
    number = int(re.findall(r"Problem (\d+)", problem)[0])
    return number, completions[number]


async def find_secrets(browser: Browser) -> list[str]:
    """Those of `SECRETS` that are anywhere in the document."""
    html = "document.documentElement.outerHTML"
    return list(await browser.evaluate(f"{json.dumps(SECRETS)}.filter((secret) => {html}.includes(secret))"))


async def label_all(
    browser: Browser, address: str, sent: list[str], completions: list[Completion], errors: dict[int, int | None]
) -> None:
    """Label every completion by keyboard, its first error as in `errors`; nothing of the judge is there before."""
    await browser.open(address)
    for _ in completions:
        problem = await wait_for_item(browser)
        number, completion = find_completion(completions, problem)
        assert not [secret for secret in SECRETS for text in sent if secret in text]
        assert await find_secrets(browser) == []
        assert await browser.evaluate("document.querySelectorAll('.judge b, .verdict b').length") == 0
        error = errors[number]
        await browser.press(*(["e"] if error is None else ["j"] * error + ["i"]))
        await browser.wait_until("document.querySelector('#hint').textContent.startsWith('Labelled')")
        assert not [secret for secret in SECRETS for text in sent if secret in text]
        assert await find_secrets(browser) == []
        await browser.press("Enter")
        await browser.wait_until("document.querySelector('.verdict b')")
        text = await browser.read_text()
        assert text.count("REASON OF THE JUDGE") == len(completion.steps)
        assert "REASON OF THE VERIFIER" in text
        sent.clear()
        await browser.press("Enter")
        await wait_for_next(browser, problem)


@needs_browser
def test_two_people_label_twenty_steps_blind_by_keyboard(tmp_path: Path) -> None:
    completions = make_completions(5)
    write_labelled_round(tmp_path, completions)
    path = tmp_path / "work" / "labels.jsonl"
    found_by_ann = dict(enumerate(FIRST_ERRORS))
    errors = {"ann": found_by_ann, "bob": found_by_ann | {2: 1}}

    async def visit() -> None:
        async with open_browser(tmp_path / "browser") as browser:
            for name, first_errors in errors.items():
                async with serve(tmp_path, path, annotator=name) as (address, sent):
                    await label_all(browser, address, sent, completions, first_errors)
                    assert "Everything here is labelled" in await browser.read_text()

    asyncio.run(visit())
    labels = read_human_labels(path)
    assert len(labels) == (4 + 3 + 4 + 4 + 1) + (4 + 3 + 2 + 4 + 1)
    by_id = {it.sample_id: number for number, it in enumerate(completions)}
    for name, first_errors in errors.items():
        own = [it for it in labels if it.annotator == name]
        found = {by_id[it.sample_id]: it.step for it in own if it.label == "incorrect"}
        assert found == {number: step for number, step in first_errors.items() if step is not None}
        assert {by_id[it.sample_id] for it in own} == set(first_errors)
    assert {(it.is_blind, it.mode, it.kind) for it in labels} == {(True, "first_error", "own")}
    assert all(len(it.page_version) == 8 and it.guideline_version and it.time for it in labels)
    assert sum(it.seconds for it in labels) > 0
    assert [it.judge_label for it in labels if it.annotator == "ann" and by_id[it.sample_id] == 1] == [
        "correct", "correct", "incorrect",
    ]  # fmt: skip
    settle_and_calibrate(tmp_path, path, completions[2].sample_id)


def settle_and_calibrate(root: Path, path: Path, sample_id: str) -> None:
    """What follows labelling: agreement, the label that settles each step on which two differ, export, calibration."""
    tables = SampleTables(root, [PART])
    assert any("alpha" in line for line in describe_agreement(read_human_labels(path)))
    differing = list(list_disagreements(tables, read_human_labels(path)))
    assert len(differing) == 2
    assert differing[0].startswith(f"M1 {sample_id} 1: ann correct, bob incorrect: Of solution 2: $2 + 1 = 3$.")
    adjudicate(path, sample_id, 1, "correct", "chair")
    assert list(list_disagreements(tables, read_human_labels(path))) == ["0 steps to adjudicate; 1 settled"]
    out = root / "solutions.jsonl"
    export_solutions(tables, path, out)
    report = root / "metrics.json"
    assert len(list(calibrate_judges([out], ["arithmetic"], out=report))) > 5
    metrics = json.loads(report.read_text(encoding="utf-8"))["arithmetic"]
    assert metrics["steps"]["confusion"] == {
        "correct": {"correct": 0, "incorrect": 0, "unknown": 13},
        "incorrect": {"correct": 0, "incorrect": 3, "unknown": 0},
    }
    assert metrics["sensitivity"] == {"value": 1.0, "denominator": 3}


@needs_browser
def test_each_step_is_labelled_corrected_and_resumed_by_keyboard(tmp_path: Path) -> None:
    write_labelled_round(tmp_path, make_completions(3))
    path = tmp_path / "labels.jsonl"
    options: dict[str, Any] = {"annotator": "ann", "mode": "per_step"}

    async def read_mine(browser: Browser) -> list[str]:
        return list(await browser.evaluate("[...document.querySelectorAll('.mine b')].map((it) => it.textContent)"))

    async def visit() -> None:
        async with open_browser(tmp_path / "browser") as browser:
            async with serve(tmp_path, path, **options) as (address, _):
                await browser.open(address)
                first = await wait_for_item(browser)
                for key, label in (("c", "correct"), ("n", "neutral")):
                    await browser.press(key)
                    await browser.wait_until(
                        f"[...document.querySelectorAll('.mine b')].some((it) => it.textContent === '{label}')"
                    )
                await browser.press("z", "u")  # the second label is corrected
                await browser.wait_until(
                    "[...document.querySelectorAll('.mine b')].some((it) => it.textContent === 'cannot tell')"
                )
                assert await read_mine(browser) == ["correct", "cannot tell", "", ""]
                await browser.press("Enter")  # not yet labelled: nothing is shown
                await browser.wait_until(
                    "document.querySelector('#status').textContent.startsWith('label this solution')"
                )
                await browser.press("s")
                await wait_for_next(browser, first)
                second = await wait_for_item(browser)
                await browser.press("ArrowLeft")
                await wait_for_next(browser, second)
                assert await wait_for_item(browser) == first
            async with serve(tmp_path, path, **options) as (address, sent):  # the next day
                await browser.open(address)
                assert await wait_for_item(browser) == first
                assert await read_mine(browser) == ["correct", "cannot tell", "", ""]
                await browser.press("b")
                await browser.wait_until("document.querySelectorAll('.step.bad_split').length === 1")
                await browser.press("i")
                await browser.wait_until("document.querySelector('#hint').textContent.startsWith('Labelled')")
                assert not [secret for secret in SECRETS for text in sent if secret in text]
                await browser.press("ArrowRight")  # on without seeing the judge's labels
                await wait_for_next(browser, first)
                assert not [secret for secret in SECRETS for text in sent if secret in text]

    asyncio.run(visit())
    assert [it.label for it in read_human_labels(path)] == ["correct", "cannot_tell", "bad_split", "incorrect"]
    assert len(path.read_text(encoding="utf-8").splitlines()) == 5


@needs_browser
def test_nothing_of_a_model_is_obeyed_while_labelling(tmp_path: Path) -> None:
    write_round(tmp_path)
    gold = tmp_path / "gold.jsonl"  # the hostile solution is asked first
    ids = {"sample_id": hexed(2), "problem_id": hexed(1), "text_hash": hash_step_text(HOSTILE[0])}
    append_human_labels(gold, [human_label(label="incorrect", **ids)])
    queue = QueueOptions(num_exam=1)

    async def visit() -> None:
        async with (
            open_browser(tmp_path / "browser") as browser,
            serve(tmp_path, tmp_path / "labels.jsonl", annotator=HOSTILE[0], gold=gold, queue=queue) as (address, _),
        ):
            for width in (1300, 700):
                await browser.resize(width, is_dark=width == 700)
                await browser.open(address)
                await browser.wait_until(
                    "document.querySelectorAll('.step').length === 11 || document.querySelector('.problem')"
                )
                assert await browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
            dom = await browser.evaluate("document.querySelector('main').outerHTML")
            assert LAST in dom
            assert dom.count('class="step ') == len(HOSTILE) + 1
            assert re.search(r"show all [0-9,]+ characters", dom)
            check_harmless(dom)
            dark = await browser.evaluate("getComputedStyle(document.querySelector('footer')).backgroundColor")
            assert max(map(int, re.findall(r"\d+", dark)[:3])) < 60
            await browser.press("i")
            await browser.wait_until("document.querySelector('#hint').textContent.startsWith('Labelled')")
            await browser.press("Enter")
            await browser.wait_until("document.querySelector('.verdict b')")
            dom = await browser.evaluate("document.querySelector('main').outerHTML")
            assert dom.count("judge: ") == len(HOSTILE) + 1
            check_harmless(dom)
            assert await browser.evaluate("document.title") == "label steps"
            assert await browser.evaluate("document.documentElement.scrollWidth <= innerWidth")

    asyncio.run(visit())
    assert [it.annotator for it in read_human_labels(tmp_path / "labels.jsonl")] == [HOSTILE[0]]


def check_harmless(dom: str) -> None:
    assert not re.search(r"<(script|img|a|iframe|object|link|style)\b", dom)
    assert "&lt;script&gt;document.title='HACKED'&lt;/script&gt;" in dom
    assert "&lt;img src=x onerror=" in dom
    assert not re.search(r"\son\w+=", re.sub(r">[^<]*<", "><", dom))


def test_the_labelling_server(tmp_path: Path) -> None:
    write_labelled_round(tmp_path, make_completions(3))

    async def visit() -> None:
        async with (
            serve(tmp_path, tmp_path / "labels.jsonl", annotator="me") as (base, _),
            aiohttp.ClientSession() as client,
        ):
            for path in ("card?position=0", "choices", "overview", "search?text=x", "comparison?problem=x"):
                async with client.get(base + path) as answer:  # the looking views would tell what the judge said
                    assert answer.status == 404, path
            async with client.post(f"{base}label/next", json={}) as answer:
                item = (await answer.json())["item"]
            sample = {"round": item["round"], "sample_id": item["sample_id"]}
            async with client.post(f"{base}label/reveal", json=sample) as answer:
                assert (answer.status, await answer.text()) == (400, "label this solution first")
            async with client.post(f"{base}label/next", data="{}") as answer:
                assert answer.status == 415
            async with client.post(f"{base}label/next", json={}, headers={"Host": "example.org"}) as answer:
                assert answer.status == 403
            mark = {"step": 0, "label": "incorrect", "seconds": 0}
            bad_marks: list[Any] = [
                *([mark | cells] for cells in ({"step": 9}, {"label": "maybe"}, {"seconds": -1}, {"more": 1})),
                [],
                [mark] * 2,
                [mark] * 1001,
                None,
            ]
            for marks in bad_marks:
                async with client.post(f"{base}label/marks", json=sample | {"marks": marks}) as answer:
                    assert answer.status == 400, marks
                    assert len(await answer.text()) <= 300
            async with client.post(f"{base}label/marks", json=sample | {"marks": [mark]}) as answer:
                assert await answer.json() == {"is_finished": True, "num_finished": 1}

    asyncio.run(visit())
    assert [it.label for it in read_human_labels(tmp_path / "labels.jsonl")] == ["incorrect"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"round_name": "M9"}, "--round: expected one of M1, found 'M9'"),
        ({"queue": QueueOptions(num_exam=2)}, "--exam 2: expected at most 0, the items of --gold"),
        ({"gold": Path("nowhere.jsonl")}, "nowhere.jsonl: no such file"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    write_labelled_round(tmp_path, make_completions(1))
    with pytest.raises(UserError, match=re.escape(message)):
        make_routes(tmp_path, ServeOptions("me", tmp_path / "labels.jsonl", **options), [PART])


def test_looking_around_has_its_own_server(tmp_path: Path) -> None:
    write_round(tmp_path)

    async def visit() -> None:
        options = {"annotator": "me", "shows_labels": True}
        async with (
            serve(tmp_path, tmp_path / "labels.jsonl", **options) as (base, _),
            aiohttp.ClientSession() as client,
        ):
            async with client.get(f"{base}card?position=0") as answer:
                assert answer.status == 200
            async with client.post(f"{base}label/next", json={}) as answer:
                assert answer.status == 404

    asyncio.run(visit())


@needs_browser
def test_labels_saved_from_a_page_without_a_server_are_read(tmp_path: Path) -> None:
    write_round(tmp_path)
    chosen = ProblemFilter(source="olympiads")
    html = render_static_page(tmp_path, [PART], build_index(tmp_path, [PART]), chosen, 5, 0)
    (tmp_path / "page.html").write_text(html, encoding="utf-8")

    async def visit() -> str:
        async with open_browser(tmp_path / "browser") as browser:
            await browser.open((tmp_path / "page.html").as_uri())
            await browser.wait_until("document.querySelectorAll('.step').length === 4")
            await browser.press("c", "i", "a")
            await browser.wait_until("document.querySelectorAll('.mine:not([hidden])').length === 3")
            await browser.evaluate("URL.createObjectURL = (blob) => { window.saved = blob; return '#'; }; 0")
            await browser.evaluate("document.querySelector('#save').click()")
            return str(await browser.evaluate("window.saved.text()"))

    (tmp_path / "saved.jsonl").write_text(asyncio.run(visit()), encoding="utf-8")
    labels = read_human_labels(tmp_path / "saved.jsonl")
    assert [(it.label, it.judge_label) for it in labels] == [
        ("correct", "incorrect"), ("incorrect", "correct"), ("correct", "correct"),
    ]  # fmt: skip
    assert {(it.kind, it.queue, it.mode, it.is_blind) for it in labels} == {("own", "browsing", "per_step", False)}
