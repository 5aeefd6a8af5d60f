"""What made a label, on one screen. All text of problems and models is escaped and bounded."""

import json
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stages.common.errors import UserError
from stages.common.policies import MANIFEST
from stages.common.provenance import compute_sha256
from stages.common.tables import PROBLEM, list_shards
from stages.common.text import escape_for_terminal, indent_for_terminal, shorten_for_terminal
from stages.judge import make_judge
from tools.audit.key_ranges import ALL_STEPS
from tools.audit.lineage.file_origin import NAME_WIDTH, describe_files, format_line, read_made_from
from tools.audit.lineage.id_lookup import IdMatch, find_id
from tools.audit.lineage.sample_lineage import SampleLineage, TableRow, read_first, read_lineage, read_samples
from tools.audit.table_sets import TableSet, find_all_tables
from tools.dvc_lock import Lock, find_output, flatten_params, read_lock

LABEL_WORDS = {True: "correct", False: "incorrect", None: "unknown"}
PROMPTS = Path("stages/judge/llm/prompts")
"""The judge's prompt templates."""

MAX_CHARS = 160
"""Characters shown of one text, so that a sample fits on one screen."""
MAX_WHOLE_CHARS = 1_000_000

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701  # text for a terminal: `finalize` escapes all that is printed
    finalize=lambda value: escape_for_terminal(str(value)),
)
TEMPLATES.filters |= {
    "short": lambda value, limit: shorten_for_terminal(str(value), limit),
    "lines": lambda text, limit: indent_for_terminal(text, limit, f"{'':{NAME_WIDTH}}| "),
}
TEMPLATES.globals["words"] = LABEL_WORDS


def get_max_chars(with_whole_text: bool) -> int:
    """Characters shown of one text."""
    return MAX_WHOLE_CHARS if with_whole_text else MAX_CHARS


def show(root: Path, prefix: str, round_name: str | None = None, with_whole_text: bool = False) -> list[str]:
    """Lines on what has an id that begins with `prefix`, a sample's in round `round_name` or the first that has it.

    Raises `UserError` where nothing has such an id, or more than one thing.
    """
    match = find_id(root, prefix)
    lock = read_lock(root)
    limit = get_max_chars(with_whole_text)
    if match.kind == "sample":
        return show_sample(root, lock, match.id, round_name, limit)
    return _show_problem(root, lock, match, limit) if match.kind == "problem" else _show_folder(root, lock, match)


def show_sample(root: Path, lock: Lock, sample_id: str, round_name: str | None, limit: int) -> list[str]:
    """The lineage of a sample in the first round that has it, or in `round_name`; other rounds with it are named.

    Raises `UserError` where no round has it.
    """
    lineages = [
        lineage
        for tables in find_all_tables(root, lock)
        if (lineage := read_lineage(root, tables, sample_id)) is not None
    ]
    matching = [lineage for lineage in lineages if round_name in (None, lineage.tables.name)]
    if not matching:
        rounds = ", ".join(lineage.tables.name for lineage in lineages) or "no round in dvc.lock"
        raise UserError(f"sample {sample_id}: not in {round_name or 'any round'}; it is in {rounds}")
    lineage = matching[0]
    lines = _render("sample", _build_context(root, lineage, limit))
    lines += ["", *describe_files(root, lock, _list_files(lineage))]
    if len(matching) > 1:
        rounds = ", ".join(lineage.tables.name for lineage in matching[1:])
        lines.append(format_line("also in", f"{rounds} (choose one with --round)"))
    return lines


def describe_reply(row: TableRow) -> str:
    """A REPLY row on one line: judge, step, vote, attempt, model, and why it is invalid."""
    steps = "all steps" if row["step"] == ALL_STEPS else f"step {row['step']}"
    model = shorten_for_terminal(str(row["model"]), 60)
    error = f"; invalid: {shorten_for_terminal(row['error'], MAX_CHARS)}" if row["error"] else ""
    return f"judge {row['judge_index']}, {steps}, vote {row['vote']}, attempt {row['attempt']}: {model}{error}"


def _render(template: str, context: dict[str, Any]) -> list[str]:
    text = TEMPLATES.get_template(f"{template}.txt.jinja").render(context)
    return [line.rstrip() for line in text.rstrip("\n").split("\n")]


def _build_context(root: Path, lineage: SampleLineage, limit: int) -> dict[str, Any]:
    tables, completion = lineage.tables, lineage.sample["completion"]
    has_replies = make_judge(tables.judge, tables.seed).has_replies
    prompts = sorted((root / PROMPTS).glob("*.jinja")) if has_replies else []
    judge = flatten_params(tables.judge.model_dump(mode="json"))
    return {
        **vars(lineage),
        "problem_id": lineage.sample["problem_id"],
        "samples": [],
        "limit": limit,
        "made_from": sorted(read_made_from(root, tables.policy).items()),
        "judge": ", ".join(f"{key} {value}" for key, value in judge if value not in (None, 0.0)),
        "prompts": [(path.relative_to(root), compute_sha256(path)) for path in prompts],
        "steps": [{**row, "text": completion[row["start"] : row["end"]].rstrip()} for row in lineage.steps],
        "replies": [(describe_reply(row), row["reasoning"], row["text"]) for row in lineage.replies],
    }


def _list_files(lineage: SampleLineage) -> list[Path]:
    """The files that hold a sample's rows, and its policy's manifest."""
    tables: TableSet = lineage.tables
    shards = (name for name in list_shards(tables.shard_digits) if lineage.sample["problem_id"].startswith(name))
    shard = f"{next(shards, 'all')}.parquet"
    folders: list[Path | None] = [tables.problems, tables.samples, tables.outcomes]
    folders += [tables.selection.selections] if tables.selection else []
    folders += [tables.steps, tables.labels] if lineage.steps else []
    folders += [tables.replies] if lineage.replies else []
    folders += [tables.verifier_responses] if lineage.verifier_responses else []
    return [*(folder / shard for folder in folders if folder is not None), *lineage.rows, tables.policy / MANIFEST]


def _show_problem(root: Path, lock: Lock, match: IdMatch, limit: int) -> list[str]:
    of_problem = pl.col("problem_id") == match.id
    samples = [
        (tables.name, row)
        for tables in find_all_tables(root, lock)
        for row in read_samples(root, tables, of_problem).iter_rows(named=True)
    ]
    problem = read_first(root / match.folder, PROBLEM, of_problem)
    lines = _render("problem", {"problem": problem, "problem_id": match.id, "samples": samples, "limit": limit})
    files = sorted(path.relative_to(root) for path in (root / match.folder).glob("*.parquet"))
    return [*lines, *describe_files(root, lock, files)]


def _show_folder(root: Path, lock: Lock, match: IdMatch) -> list[str]:
    """A policy or a dataset: its manifest, and the stage that wrote it with its params."""
    manifest = json.loads((root / match.folder / MANIFEST).read_text(encoding="utf-8"))
    facts = flatten_params({key: value for key, value in manifest.items() if key not in ("hash", "files")})
    stage, _ = find_output(lock, match.folder.as_posix()) or (None, "")
    params = flatten_params(stage.tracked_params) if stage else ()
    context = {"kind": match.kind, "folder": match.folder, "manifest": manifest, "facts": facts}
    files = [match.folder / name for name in [*sorted(manifest.get("files", {})), MANIFEST]]
    return [*_render("folder", context | {"stage": stage, "params": params}), *describe_files(root, lock, files)]
