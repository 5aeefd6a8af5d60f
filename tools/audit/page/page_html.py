"""The page itself: one file, with all it needs inside, that loads nothing and runs nothing but its own scripts."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stages.common.tables import content_hash
from tools.audit.label_page.label_writer import hash_version, read_guideline
from tools.audit.page.overview import summarize_samples
from tools.audit.page.problem_card import make_card
from tools.audit.page.problem_index import ProblemFilter, ProblemIndex, build_index
from tools.audit.page.round_comparison import describe_changes
from tools.audit.table_sets import TableSet, find_all_tables
from tools.dvc_lock import read_lock

STATIC = Path(__file__).with_name("static")
SHARED_SCRIPTS = tuple(STATIC / name for name in ("katex/katex.min.js", "katex/auto-render.min.js", "common.js"))
"""Scripts of any page, in this order; `common.js` makes the object `page`, which others use."""
STYLES = STATIC / "browse.css"
VIEWS = ("data_source", "problems", "overview", "search", "comparison", "browse")
SCRIPTS = (*SHARED_SCRIPTS, *(STATIC / f"{name}.js" for name in VIEWS))
NO_FILTER = ProblemFilter()


def write_page(root: Path, out: Path, num_problems: int, chosen: ProblemFilter = NO_FILTER, seed: int = 0) -> None:
    """Write the page with `num_problems` problems, or all there are, to one file."""
    table_sets = find_all_tables(root, read_lock(root))
    html = render_static_page(root, table_sets, build_index(root, table_sets), chosen, num_problems, seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(html, encoding="utf-8")


def render_page(content: dict[str, Any] | None, title: str, chosen: ProblemFilter = NO_FILTER) -> str:
    """The looking views as HTML: with `content` inside, or where that is None, as a page that asks its server.

    `content` has the keys choices, cards, overview, and changes (by problem_id); `chosen` is what is shown at first.
    """
    data = {"filter": asdict(chosen), "versions": read_versions(), **(content or {"cards": None})}
    return render_html(STATIC / "browse.html.jinja", SCRIPTS, title, data, is_served=content is None)


def render_html(template: Path, scripts: Sequence[Path], title: str, data: dict[str, Any], *, is_served: bool) -> str:
    """A page with `scripts` and `data` inside, which may run nothing else, and ask its own server if it has one."""
    texts = [script.read_text(encoding="utf-8") for script in scripts]
    allowed = " ".join(f"'sha256-{_hash_script(text)}'" for text in texts)
    servers = "'self'" if is_served else "'none'"
    environment = Environment(loader=FileSystemLoader(template.parent), undefined=StrictUndefined, autoescape=True)
    return environment.get_template(template.name).render(
        title=title,
        policy=f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; font-src data:; "
        f"connect-src {servers}; base-uri 'none'; form-action 'none'",
        styles=Markup(_read_styles()),  # noqa: S704  # files of this package
        scripts=[Markup(text) for text in texts],  # noqa: S704  # files of this package
        data=Markup(dump_json(data)),  # noqa: S704  # escaped
    )


def read_versions() -> dict[str, str]:
    """The versions that a human label names: of this page and of the guideline."""
    own = [STATIC / "browse.html.jinja", STYLES, *SCRIPTS[len(SHARED_SCRIPTS) - 1 :]]
    texts = [path.read_text(encoding="utf-8") for path in own]
    return {"page_version": hash_version(*texts), "guideline_version": hash_version(read_guideline())}


def render_static_page(
    root: Path, table_sets: list[TableSet], index: ProblemIndex, chosen: ProblemFilter, num_problems: int, seed: int
) -> str:
    """A page with `num_problems` problems of rounds, or all there are, drawn by hash among those as `chosen`.

    A problem that is drawn is there with all its rounds, as far as their number allows.
    """
    found = index.list_found(chosen)
    total = found.height
    drawn = sorted(range(total), key=lambda at: content_hash("page", seed, found["problem_id"][at]))[:num_problems]
    by_name = {tables.name: tables for tables in table_sets}
    cards = []
    for position in sorted(drawn):
        _, problem = index.find(chosen, position)
        assert problem is not None
        cards.append(make_card(root, by_name[problem.round], problem))
    of_problem: dict[str, list[dict[str, Any]]] = {}
    for card in cards:
        of_problem.setdefault(card["problem_id"], []).append(card)
    content = {
        "choices": index.list_choices(),
        "cards": cards,
        "overview": summarize_samples(index.tag_samples()),
        "changes": {problem_id: describe_changes(same) for problem_id, same in of_problem.items()},
    }
    return render_page(content, f"{len(cards)} of {total} problems", chosen)


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
    return STYLES.read_text(encoding="utf-8") + katex
