"""What made a label, on one screen. All text of problems and models is escaped and bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from stages.common.errors import UserError
from stages.common.policies import MANIFEST
from stages.common.provenance import compute_sha256
from stages.common.tables import PROBLEM, list_shards
from stages.common.text import shorten_for_terminal
from stages.judge import make_judge
from tools.audit.key_ranges import ALL_STEPS
from tools.audit.lineage.file_origin import describe_files, format_line, format_text, read_made_from
from tools.audit.lineage.id_lookup import find_id
from tools.audit.lineage.sample_lineage import SampleLineage, TableRow, read_first, read_lineage, read_samples
from tools.audit.table_sets import TableSet, find_all_tables
from tools.dvc_lock import Lock, find_output, flatten_params, read_lock

LABEL_WORDS = {True: "correct", False: "incorrect", None: "unknown"}
PROMPTS = Path("stages/judge/llm/prompts")
"""The judge's prompt templates."""

MAX_CHARS = 160
"""Characters shown of one text, so that a sample fits on one screen."""
MAX_WHOLE_CHARS = 1_000_000
MAX_VALUE_CHARS = 60


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
    if match.kind == "problem":
        return list(_show_problem(root, lock, match.folder, match.id, limit))
    return list(_show_folder(root, lock, match.kind, match.folder))


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
    lines = list(_show_lineage(root, lock, matching[0], limit))
    if len(matching) > 1:
        rounds = ", ".join(lineage.tables.name for lineage in matching[1:])
        lines.append(format_line("also in", f"{rounds} (choose one with --round)"))
    return lines


def _show_lineage(root: Path, lock: Lock, lineage: SampleLineage, limit: int) -> Iterator[str]:
    tables, sample = lineage.tables, lineage.sample
    yield format_line("in", tables.name)
    yield from _describe_problem(lineage.problem, sample["problem_id"], limit)
    made_from = ", ".join(
        f"{key} {shorten_for_terminal(str(value), MAX_VALUE_CHARS)}"
        for key, value in sorted(read_made_from(root, tables.policy).items())
    )
    yield format_line("policy", f"{sample['policy']}  {tables.policy}, made from {made_from}")
    yield format_line("sample", f"{sample['sample_id']}  index {sample['sample_index']}, seed {sample['seed']}")
    params = (
        f"{tables.sample.engine.kind}, temperature {tables.sample.temperature}, up to {tables.sample.max_tokens} tokens"
    )
    usage = f"{sample['prompt_tokens']} tokens in, {sample['completion_tokens']} out, {sample['finish_reason']}"
    usage = shorten_for_terminal(usage, MAX_CHARS)
    yield format_line("", f"{params} (sampling_hash {sample['sampling_hash']}); {usage}")
    yield from _describe_steps(root, lineage, limit)
    yield from _describe_outcome(lineage.outcome, limit)
    yield from _describe_selection(lineage)
    yield ""
    shards = (name for name in list_shards(tables.shard_digits) if sample["problem_id"].startswith(name))
    shard = f"{next(shards, 'all')}.parquet"
    folders = [tables.problems, tables.samples, tables.steps, tables.labels, tables.outcomes]
    folders += [tables.replies] if lineage.replies else []
    paths = [folder / shard for folder in folders if folder is not None]
    yield from describe_files(root, lock, [*paths, *lineage.rows, tables.policy / MANIFEST])


def _describe_problem(problem: TableRow | None, problem_id: str, limit: int) -> Iterator[str]:
    if problem is None:
        yield format_line("problem", f"{problem_id}  is not in the table of problems")
        return
    source = shorten_for_terminal(problem["source"], MAX_VALUE_CHARS)
    yield format_line("problem", f"{problem_id}  {problem['split']}, source {source}")
    origin = shorten_for_terminal(f"{problem['origin']} row {problem['origin_row']}", MAX_CHARS)
    yield format_line("", f"from {origin}")
    yield from format_text(problem["problem"], limit)
    yield format_line("gold", shorten_for_terminal(problem["answer"], limit))


def _describe_steps(root: Path, lineage: SampleLineage, limit: int) -> Iterator[str]:
    tables, completion = lineage.tables, lineage.sample["completion"]
    if tables.steps is None:
        yield from format_text(completion, limit)
        return
    judge = next((row["judge"] for row in lineage.steps if row["judge"]), "none")
    yield format_line("judge", f"{judge}  {_describe_judge(tables)}")
    if make_judge(tables.judge, tables.seed).has_replies:
        for path in sorted((root / PROMPTS).glob("*.jinja")):
            yield format_line("prompt", f"{path.relative_to(root)}  sha256 {compute_sha256(path)}")
    for row in lineage.steps:
        text = shorten_for_terminal(completion[row["start"] : row["end"]].rstrip(), limit)
        span = f"{row['step']} [{row['start']}:{row['end']}]"
        if not row["judge"]:
            yield format_line("step", f"{span:<14}no label  {text}")
            continue
        agreement = "" if row["num_votes"] == 1 else f" ({row['agreement']:.2f} of {row['num_votes']} votes)"
        reason = shorten_for_terminal(row["reason"], limit)
        yield format_line("step", f"{span:<14}{LABEL_WORDS[row['label']]:<10}{text}  <- {reason}{agreement}")
    for row in lineage.replies:
        yield format_line("reply", describe_reply(row))
        yield from format_text("no response" if row["text"] is None else row["text"], 4 * limit)


def describe_reply(row: TableRow) -> str:
    """A REPLY row on one line: judge, step, vote, attempt, model, and why it is invalid."""
    steps = "all steps" if row["step"] == ALL_STEPS else f"step {row['step']}"
    model = shorten_for_terminal(str(row["model"]), MAX_VALUE_CHARS)
    error = f"; invalid: {shorten_for_terminal(row['error'], MAX_CHARS)}" if row["error"] else ""
    return f"judge {row['judge_index']}, {steps}, vote {row['vote']}, attempt {row['attempt']}: {model}{error}"


def _describe_judge(tables: TableSet) -> str:
    params = flatten_params(tables.judge.model_dump(mode="json"))
    values = ", ".join(f"{key} {value}" for key, value in params if value not in (None, 0.0))
    return shorten_for_terminal(values, 4 * MAX_CHARS)


def _describe_outcome(row: TableRow | None, limit: int) -> Iterator[str]:
    if row is None:
        yield format_line("verdict", "none")
        return
    answer = "no answer" if row["answer"] is None else f"answer {shorten_for_terminal(row['answer'], limit)}"
    rule = f" found by {row['extraction_rule']}" if row["extraction_rule"] else ""
    reason = shorten_for_terminal(row["reason"], limit)
    yield format_line("verdict", f"{LABEL_WORDS[row['is_correct']]}: {answer}{rule}; compared by {reason}")
    yield format_line("", f"verifier {shorten_for_terminal(row['verifier'], MAX_CHARS)}")


def _describe_selection(lineage: SampleLineage) -> Iterator[str]:
    outcome, selection = lineage.selection, lineage.tables.selection
    if outcome is None or selection is None:
        return
    counts = f"of its problem's {outcome.num_correct} correct and {outcome.num_incorrect} incorrect samples"
    if outcome.drop_reason is not None:
        yield format_line("selection", f"dropped: {outcome.drop_reason} ({counts})")
    else:
        yield format_line("selection", f"kept: rank {outcome.rank} among those with its verdict, {counts}")
    params = ", ".join(f"{key} {value}" for key, value in selection.params.model_dump(mode="json").items())
    yield format_line("", f"params {params}, seed {selection.seed}")
    for path, row in lineage.rows.items():
        yield format_line("row", f"{path} row {row}")


def _show_problem(root: Path, lock: Lock, folder: Path, problem_id: str, limit: int) -> Iterator[str]:
    of_problem = pl.col("problem_id") == problem_id
    yield from _describe_problem(read_first(root / folder, PROBLEM, of_problem), problem_id, limit)
    for tables in find_all_tables(root, lock):
        for row in read_samples(root, tables, of_problem).iter_rows(named=True):
            verdict = f"{tables.name}, index {row['sample_index']}, {LABEL_WORDS[row['is_correct']]}"
            completion = shorten_for_terminal(row["completion"], limit // 2)
            yield format_line("sample", f"{row['sample_id']}  {verdict}: {completion}")
    yield from describe_files(
        root, lock, [path.relative_to(root) for path in sorted((root / folder).glob("*.parquet"))]
    )


def _show_folder(root: Path, lock: Lock, kind: str, folder: Path) -> Iterator[str]:
    """A policy or a dataset: its manifest, and the stage that wrote it with its params."""
    manifest = json.loads((root / folder / MANIFEST).read_text(encoding="utf-8"))
    yield format_line(kind, f"{manifest['hash']}  {folder}")
    for key, value in flatten_params({key: value for key, value in manifest.items() if key not in ("hash", "files")}):
        yield format_line("", f"{key} {shorten_for_terminal(str(value), MAX_CHARS)}")
    made_by = find_output(lock, folder.as_posix())
    if made_by is not None:
        entry, _ = made_by
        yield format_line("stage", f"{entry.name}: {shorten_for_terminal(entry.command, 4 * MAX_CHARS)}")
        for key, value in flatten_params(entry.tracked_params):
            yield format_line("", f"{key} {shorten_for_terminal(str(value), MAX_CHARS)}")
    yield from describe_files(root, lock, [folder / name for name in [*sorted(manifest.get("files", {})), MANIFEST]])
