"""The page itself: one file, with all it needs inside, that loads nothing and runs nothing but its own scripts."""

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
from tools.audit.label_page.label_writer import hash_version, read_guideline
from tools.audit.page.problem_card import make_card
from tools.audit.page.problem_index import ProblemFilter, ProblemIndex, build_index
from tools.audit.table_sets import TableSet, find_all_tables
from tools.dvc_lock import read_lock

STATIC = Path(__file__).with_name("static")
SCRIPTS = ("katex/katex.min.js", "katex/auto-render.min.js", "page.js")
NO_FILTER = ProblemFilter()


def write_page(root: Path, out: Path, num_problems: int, chosen: ProblemFilter = NO_FILTER, seed: int = 0) -> None:
    """Write the page with `num_problems` problems, or all there are, to one file."""
    table_sets = find_all_tables(root, read_lock(root))
    html = render_static_page(root, table_sets, build_index(root, table_sets), chosen, num_problems, seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(html, encoding="utf-8")


def render_page(
    choices: dict[str, list[str]] | None,
    cards: list[dict[str, Any]] | None,
    title: str,
    chosen: ProblemFilter = NO_FILTER,
) -> str:
    """The page as HTML: with `choices` and `cards` inside, or where these are None, one that asks its server for them.

    `chosen` is what it shows at first.
    """
    scripts = [(STATIC / name).read_text(encoding="utf-8") for name in SCRIPTS]
    data = {"choices": choices, "cards": cards, "filter": asdict(chosen), "versions": read_versions()}
    allowed = " ".join(f"'sha256-{_hash_script(script)}'" for script in scripts)
    servers = "'self'" if cards is None else "'none'"
    environment = Environment(loader=FileSystemLoader(STATIC), undefined=StrictUndefined, autoescape=True)
    return environment.get_template("page.html.jinja").render(
        title=title,
        policy=f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; font-src data:; "
        f"connect-src {servers}; base-uri 'none'; form-action 'none'",
        styles=Markup(_read_styles()),  # noqa: S704  # files of this package
        scripts=[Markup(script) for script in scripts],  # noqa: S704  # files of this package
        data=Markup(dump_json(data)),  # noqa: S704  # escaped
    )


def read_versions() -> dict[str, str]:
    """The versions that a human label names: of this page and of the guideline."""
    texts = [(STATIC / name).read_text(encoding="utf-8") for name in ("page.html.jinja", "page.css", "page.js")]
    return {"page_version": hash_version(*texts), "guideline_version": hash_version(read_guideline())}


def render_static_page(
    root: Path, table_sets: list[TableSet], index: ProblemIndex, chosen: ProblemFilter, num_problems: int, seed: int
) -> str:
    """A page with `num_problems` problems, or all there are, drawn by hash among those as `chosen`."""
    choices = index.list_choices()
    total, _ = index.find(chosen, 0)
    drawn = sorted(range(total), key=lambda position: content_hash("page", seed, position))[:num_problems]
    by_name = {tables.name: tables for tables in table_sets}
    cards = []
    for position in sorted(drawn):
        _, problem = index.find(chosen, position)
        assert problem is not None
        cards.append(make_card(root, by_name[problem.round], problem))
    return render_page(choices, cards, f"{len(cards)} of {total} problems", chosen)


def dump_json(value: Any) -> str:
    """JSON in which nothing can end the element that holds it."""
    text = json.dumps(value, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash_script(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


@cache
def _read_styles() -> str:
    """The page's styles and KaTeX's, its fonts inside."""
    katex = (STATIC / "katex/katex.min.css").read_text(encoding="utf-8")

    def inline(match: re.Match[str]) -> str:
        font = base64.b64encode((STATIC / "katex" / match[1]).read_bytes()).decode("ascii")
        return f'url(data:font/woff2;base64,{font}) format("woff2")'

    katex = re.sub(r'url\((fonts/[\w-]+\.woff2)\) format\("woff2"\)(?:,url\([^)]*\) format\("\w+"\))*', inline, katex)
    return (STATIC / "page.css").read_text(encoding="utf-8") + katex
