"""What the server answers to a person who labels: nothing that a judge or verifier said before their own label."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from tools.audit.label_page.label_session import LabelSession
from tools.audit.label_page.label_writer import SampleMarks, hash_version
from tools.audit.page.page_html import SHARED_SCRIPTS, STYLES, render_html
from tools.audit.page.page_server import read_body

TEMPLATE = Path(__file__).with_name("static") / "label.html.jinja"
SCRIPTS = (*SHARED_SCRIPTS, TEMPLATE.with_name("label.js"))

B = TypeVar("B", bound=BaseModel)


class SampleRequest(BaseModel):
    """Asks for one sample."""

    model_config = ConfigDict(extra="forbid", strict=True)

    round: str
    sample_id: str

    @property
    def key(self) -> tuple[str, str]:
        return self.round, self.sample_id


class NextRequest(BaseModel):
    """Asks for the next sample, and not again for the one to `skip`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    skip: SampleRequest | None = None


def read_page_version() -> str:
    """The version that a human label names: of all that the page shows and does."""
    return hash_version(*(path.read_text(encoding="utf-8") for path in (TEMPLATE, STYLES, *SCRIPTS[-2:])))


def make_label_routes(session: LabelSession, guideline: str) -> list[web.RouteDef]:
    """Routes of the labelling view."""
    data = {"mode": session.mode, "annotator": session.annotator, "guideline": guideline}
    html = render_html(TEMPLATE, SCRIPTS, "label steps", data, is_served=True)

    async def get_page(_: web.Request) -> web.Response:
        return web.Response(text=html, content_type="text/html")

    return [
        web.get("/", get_page),
        _answer(
            "/label/next", NextRequest, lambda given: session.describe_next(given.skip.key if given.skip else None)
        ),
        _answer("/label/item", SampleRequest, lambda given: session.describe_item(given.key)),
        _answer("/label/marks", SampleMarks, session.add),
        _answer("/label/reveal", SampleRequest, lambda given: session.reveal(given.key)),
    ]


def _answer(path: str, model: type[B], work: Callable[[B], dict[str, Any]]) -> web.RouteDef:
    """The route that does `work` on what is asked. All are posted, which a page elsewhere cannot do."""

    async def post(request: web.Request) -> web.Response:
        given = model.model_validate_json(await read_body(request))
        return web.json_response(await asyncio.to_thread(work, given))

    handler: Callable[[web.Request], Awaitable[web.Response]] = post
    return web.post(path, handler)
