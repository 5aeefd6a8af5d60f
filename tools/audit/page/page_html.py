"""The page itself: one file, with all it needs inside, that loads nothing and runs nothing but its own scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stages.common.tables import content_hash
from tools.audit.page.problem_card import make_card
from tools.audit.page.problem_index import Index, Wanted
from tools.audit.table_sets import TableSet

STATIC = Path(__file__).with_name("static")
ANYTHING = Wanted()
SCRIPTS = ("katex/katex.min.js", "katex/auto-render.min.js", "page.js")


def page(
    choices: dict[str, list[str]] | None, cards: list[dict[str, Any]] | None, title: str, wanted: Wanted = ANYTHING
) -> str:
    """The page as HTML: with `choices` and `cards` inside, or where these are None, one that asks its server for them.

    `wanted` is what it shows at first.
    """
    scripts = [(STATIC / name).read_text(encoding="utf-8") for name in SCRIPTS]
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    asks = "'self'" if cards is None else "'none'"
    environment = Environment(loader=FileSystemLoader(STATIC), undefined=StrictUndefined, autoescape=True)
    return environment.get_template("page.html.jinja").render(
        title=title,
        policy=f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; font-src data:; "
        f"connect-src {asks}; base-uri 'none'; form-action 'none'",
        styles=Markup(_styles()),  # noqa: S704  # files of this package
        scripts=[Markup(script) for script in scripts],  # noqa: S704  # files of this package
        data=Markup(_embedded({"choices": choices, "cards": cards, "wanted": asdict(wanted)})),  # noqa: S704  # escaped by _embedded
    )


def static_page(root: Path, parts: list[TableSet], index: Index, wanted: Wanted, count: int, seed: int) -> str:
    """A page with `count` problems, or all there are, chosen by hash among those as `wanted`."""
    choices = index.choices()
    total, _ = index.find(wanted, 0)
    chosen = sorted(sorted(range(total), key=lambda at: content_hash("page", seed, at))[:count])
    by_name = {part.name: part for part in parts}
    cards = []
    for at in chosen:
        _, place = index.find(wanted, at)
        assert place is not None
        cards.append(make_card(root, by_name[place.round], place))
    return page(choices, cards, f"{len(cards)} of {total} problems", wanted)


def _embedded(value: Any) -> str:
    """JSON in which nothing can end the element that holds it."""
    text = json.dumps(value, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


@cache
def _styles() -> str:
    """The page's styles and KaTeX's, its fonts inside."""
    katex = (STATIC / "katex/katex.min.css").read_text(encoding="utf-8")

    def inline(match: re.Match[str]) -> str:
        font = base64.b64encode((STATIC / "katex" / match[1]).read_bytes()).decode("ascii")
        return f'url(data:font/woff2;base64,{font}) format("woff2")'

    katex = re.sub(r'url\((fonts/[\w-]+\.woff2)\) format\("woff2"\)(?:,url\([^)]*\) format\("\w+"\))*', inline, katex)
    return (STATIC / "page.css").read_text(encoding="utf-8") + katex
