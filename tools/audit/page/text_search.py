"""Finding samples by what stands in their problem or completion: a literal text, never a pattern."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.errors import UserError
from stages.common.tables import OUTCOME, PROBLEM, SAMPLE
from tools.audit.key_ranges import SAMPLE_KEY, read_where
from tools.audit.lineage.show import LABEL_WORDS
from tools.audit.page.problem_index import ALL
from tools.audit.table_sets import TableSet

MAX_TEXT_CHARS = 200
MAX_OFFSET = 100_000
PAGE_SIZE = 50
"""Matches in one answer."""

BEFORE_CHARS = 60
AFTER_CHARS = 160
"""Characters shown around a match."""

MIN_ID_CHARS = 6
FIELDS = (ALL, "problem", "completion")


@dataclass(frozen=True)
class TextQuery:
    """What is looked for; capital letters matter only where `text` has some. `all` leaves a choice open."""

    text: str
    field: str = ALL
    round: str = ALL
    source: str = ALL
    offset: int = 0
    """Matches to leave out, those of earlier pages."""

    def check(self) -> None:
        """Raise `UserError` for what cannot be looked for."""
        if not 0 < len(self.text) <= MAX_TEXT_CHARS:
            raise UserError(f"text: expected 1 to {MAX_TEXT_CHARS} characters, found {len(self.text)}")
        if self.field not in FIELDS:
            raise UserError(f"field: expected one of {', '.join(FIELDS)}, found {self.field[:40]!r}")
        if not 0 <= self.offset <= MAX_OFFSET:
            raise UserError(f"offset: expected 0 to {MAX_OFFSET:,}, found {self.offset}")

    @property
    def ignores_case(self) -> bool:
        return self.text == self.text.lower()

    def match(self, column: str, id_column: str) -> pl.Expr:
        """Whether `column` holds the text, or `id_column` begins with it."""
        if self.ignores_case:
            found = pl.col(column).str.contains("(?i)" + pl.escape_regex(self.text))
        else:
            found = pl.col(column).str.contains(self.text, literal=True)
        if re.fullmatch(f"[0-9a-f]{{{MIN_ID_CHARS},32}}", self.text):
            found |= pl.col(id_column).str.starts_with(self.text)
        return found

    def cut(self, text: str) -> dict[str, str]:
        """The text around the first match: `before`, `match`, `after`. Without a match, its beginning as `after`."""
        found = re.search(re.escape(self.text), text, re.IGNORECASE if self.ignores_case else 0)
        start, end = found.span() if found else (0, 0)
        before = text[max(start - BEFORE_CHARS, 0) : start]
        return {
            "before": ("…" if start > BEFORE_CHARS else "") + before,
            "match": text[start:end],
            "after": text[end : end + AFTER_CHARS] + ("…" if len(text) > end + AFTER_CHARS else ""),
        }


def search_texts(
    root: Path, table_sets: Mapping[str, TableSet], problems: pl.DataFrame, query: TextQuery
) -> dict[str, Any]:
    """Matches from `query.offset` on, and how many there are: problems first, then completions, round by round.

    `problems` has the columns round, problem_id, source. Raises `UserError` for a query that is none.
    """
    query.check()
    for column, value in (("round", query.round), ("source", query.source)):
        if value != ALL:
            problems = problems.filter(pl.col(column) == value)
    rounds = problems["round"].unique(maintain_order=True).to_list()
    matches, num_problems, num_samples = [], 0, 0
    if query.field != "completion":
        found = _find_problems(root, [table_sets[name] for name in rounds], problems, query)
        num_problems = found.height
        matches += _describe_problems(root, [table_sets[name] for name in rounds], _take(found, query, 0), query)
    if query.field != "problem":
        for name in rounds:
            in_round = problems.filter(pl.col("round") == name)
            found = _find_completions(root, table_sets[name], in_round, query)
            page = _take(found, query, num_problems + num_samples)
            num_samples += found.height
            matches += _describe_completions(root, table_sets[name], page, query)
    return {"num_problems": num_problems, "num_samples": num_samples, "offset": query.offset, "matches": matches}


def _take(found: pl.DataFrame, query: TextQuery, num_before: int) -> pl.DataFrame:
    """The rows of `found`, which come after `num_before` others, that lie on the query's page."""
    start = query.offset - num_before
    return found.slice(max(start, 0), max(min(start + PAGE_SIZE, PAGE_SIZE), 0))


def _find_problems(root: Path, table_sets: list[TableSet], problems: pl.DataFrame, query: TextQuery) -> pl.DataFrame:
    """Columns problem_id, source, rounds (the names of those that sampled it)."""
    rounds = problems.group_by("problem_id", "source", maintain_order=True).agg(rounds="round")
    folders = sorted({root / tables.problems for tables in table_sets})
    where = query.match("problem", "problem_id")
    ids = [read_where(folder, PROBLEM, where, ["problem_id"]) for folder in folders]
    return rounds.join(pl.concat(ids), on="problem_id", how="semi", maintain_order="left") if ids else rounds.clear()


def _describe_problems(
    root: Path, table_sets: list[TableSet], found: pl.DataFrame, query: TextQuery
) -> list[dict[str, Any]]:
    where = pl.col("problem_id").is_in(found["problem_id"].to_list())
    texts = {
        row["problem_id"]: row["problem"]
        for folder in sorted({root / tables.problems for tables in table_sets})
        for row in read_where(folder, PROBLEM, where, ["problem_id", "problem"]).iter_rows(named=True)
    }
    return [{**row, **query.cut(texts[row["problem_id"]])} for row in found.iter_rows(named=True)]


def _find_completions(root: Path, tables: TableSet, problems: pl.DataFrame, query: TextQuery) -> pl.DataFrame:
    """Columns problem_id, sample_id, sample_index, source."""
    where = query.match("completion", "sample_id")
    found = read_where(root / tables.samples, SAMPLE, where, [*SAMPLE_KEY, "sample_index"])
    sources = problems.select("problem_id", "source")
    return found.join(sources, on="problem_id", how="inner", maintain_order="left").sort("problem_id", "sample_index")


def _describe_completions(root: Path, tables: TableSet, found: pl.DataFrame, query: TextQuery) -> list[dict[str, Any]]:
    if found.is_empty():
        return []
    where = pl.col("problem_id").is_in(found["problem_id"].unique().to_list())
    where &= pl.col("sample_id").is_in(found["sample_id"].to_list())
    texts = dict(read_where(root / tables.samples, SAMPLE, where, ["sample_id", "completion"]).iter_rows())
    is_correct = dict(read_where(root / tables.outcomes, OUTCOME, where, ["sample_id", "is_correct"]).iter_rows())
    return [
        {
            **row,
            "rounds": [tables.name],
            "verdict": LABEL_WORDS[is_correct[row["sample_id"]]] if row["sample_id"] in is_correct else "none",
            **query.cut(texts[row["sample_id"]]),
        }
        for row in found.iter_rows(named=True)
    ]
