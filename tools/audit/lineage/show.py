"""What made a label, on one screen. All text of problems and models is escaped and bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from stages.common.policies import MANIFEST
from stages.common.provenance import file_sha256
from stages.common.tables import shard_names
from stages.common.text import shorten_for_terminal
from tools.audit.key_ranges import WHOLE
from tools.audit.lineage.file_origin import made_from
from tools.audit.lineage.id_lookup import find
from tools.audit.lineage.sample_lineage import Chain, Row, find_all_tables, follow, problem_row, samples_of
from tools.audit.lineage.screen_lines import BRIEF, WHOLE_TEXT, file_lines, line, text_lines
from tools.audit.table_sets import PROBLEMS, TableSet, replies_folder
from tools.dvc_lock import Lock, find_output, flatten_params, read_lock

WORDS = {True: "right", False: "wrong", None: "unknown"}
PROMPTS = Path("stages/judge/llm/prompts")
"""The judge's prompt templates."""


def show(root: Path, start: str, only: str | None = None, whole: bool = False) -> list[str]:
    """Lines on what has an id that begins with `start`; `only` names the round, `whole` shows texts unshortened.

    Raises `ValueError` where nothing has such an id, or more than one thing.
    """
    found = find(root, start)
    lock = read_lock(root)
    limit = WHOLE_TEXT if whole else BRIEF
    if found.kind == "sample":
        return show_sample(root, lock, found.id, only, limit)
    if found.kind == "problem":
        return list(_show_problem(root, lock, found.folder, found.id, limit))
    return list(_show_folder(root, lock, found.kind, found.folder))


def show_sample(root: Path, lock: Lock, sample_id: str, only: str | None, limit: int) -> list[str]:
    """The chain of a sample in the first round that has it, or in `only`; other rounds that have it are named.

    Raises `ValueError` where no round has it.
    """
    chains = [chain for part in find_all_tables(root, lock) if (chain := follow(root, part, sample_id)) is not None]
    chosen = [chain for chain in chains if only in (None, chain.part.name)]
    if not chosen:
        where = ", ".join(chain.part.name for chain in chains) or "no round in dvc.lock"
        raise ValueError(f"sample {sample_id}: not in {only or 'any round'}; it is in {where}")
    lines = list(_show_chain(root, lock, chosen[0], limit))
    if len(chosen) > 1:
        names = ", ".join(chain.part.name for chain in chosen[1:])
        lines.append(line("also in", f"{names} (choose one with --round)"))
    return lines


def _show_chain(root: Path, lock: Lock, chain: Chain, limit: int) -> Iterator[str]:
    part, sample = chain.part, chain.sample
    yield line("in", part.name)
    yield from _problem(chain.problem, sample["problem_id"], limit)
    yield line("policy", f"{sample['policy']}  {part.policy}, {_policy_origin(root, part.policy)}")
    yield line("sample", f"{sample['sample_id']}  index {sample['sample_index']}, seed {sample['seed']}")
    asked = f"{part.sample.engine}, temperature {part.sample.temperature}, up to {part.sample.max_tokens} tokens"
    got = f"{sample['prompt_tokens']} tokens in, {sample['completion_tokens']} out, {sample['finish_reason']}"
    yield line("", f"{asked} (settings {sample['sampling_hash']}); {shorten_for_terminal(got, BRIEF)}")
    yield from _steps(root, chain, limit)
    yield from _outcome(chain, limit)
    yield from _selection(chain)
    yield ""
    yield from _files(root, lock, chain)


def _problem(problem: Row | None, problem_id: str, limit: int) -> Iterator[str]:
    if problem is None:
        yield line("problem", f"{problem_id}  is not in {PROBLEMS}")
        return
    where = f"{problem['origin']} row {problem['origin_row']}"
    yield line("problem", f"{problem_id}  {problem['split']}, source {shorten_for_terminal(problem['source'], 60)}")
    yield line("", f"from {shorten_for_terminal(where, BRIEF)}")
    yield from text_lines(problem["problem"], limit)
    yield line("gold", shorten_for_terminal(problem["answer"], limit))


def _policy_origin(root: Path, folder: Path) -> str:
    made = made_from(root, folder)
    return "made from " + ", ".join(
        f"{key} {shorten_for_terminal(str(value), 60)}" for key, value in sorted(made.items())
    )


def _steps(root: Path, chain: Chain, limit: int) -> Iterator[str]:
    part = chain.part
    if part.steps is None:
        yield from text_lines(chain.sample["completion"], limit)
        return
    judge = next((row["judge"] for row in chain.steps if row["judge"]), "none")
    yield line("judge", f"{judge}  {_judge_settings(part)}")
    if part.judge.kind == "llm":
        for path in sorted((root / PROMPTS).glob("*")):
            yield line("prompt", f"{path.relative_to(root)}  sha256 {file_sha256(path)}")
    for row in chain.steps:
        text = shorten_for_terminal(chain.sample["completion"][row["start"] : row["end"]].rstrip(), limit)
        place = f"{row['step']} [{row['start']}:{row['end']}]"
        if not row["judge"]:
            yield line("step", f"{place:<14}no label  {text}")
            continue
        agreed = "" if row["num_votes"] == 1 else f" ({row['agreement']:.2f} of {row['num_votes']} votes)"
        yield line(
            "step",
            f"{place:<14}{WORDS[row['label']]:<8}{text}  <- {shorten_for_terminal(row['reason'], limit)}{agreed}",
        )
    for row in chain.replies:
        about = "all steps" if row["step"] == WHOLE else f"step {row['step']}"
        model = shorten_for_terminal(str(row["model"]), 60)
        fault = f"; not used: {shorten_for_terminal(row['error'], BRIEF)}" if row["error"] else ""
        head = f"judge {row['judge_index']}, {about}, vote {row['vote']}, try {row['attempt']}: {model}{fault}"
        yield line("reply", head)
        yield from text_lines("nothing came" if row["text"] is None else row["text"], 4 * limit)


def _judge_settings(part: TableSet) -> str:
    values = {
        key: value for key, value in flatten_params(part.judge.model_dump(mode="json")) if value not in (None, 0.0)
    }
    return shorten_for_terminal(", ".join(f"{key} {value}" for key, value in values.items()), 4 * BRIEF)


def _outcome(chain: Chain, limit: int) -> Iterator[str]:
    row = chain.outcome
    if row is None:
        yield line("verdict", "none")
        return
    answer = "no answer" if row["answer"] is None else f"answer {shorten_for_terminal(row['answer'], limit)}"
    found = f" found by {row['extraction_rule']}" if row["extraction_rule"] else ""
    yield line(
        "verdict",
        f"{WORDS[row['is_correct']]}: {answer}{found}; compared by {shorten_for_terminal(row['reason'], limit)}",
    )
    yield line("", f"grader {shorten_for_terminal(row['verifier'], BRIEF)}")


def _selection(chain: Chain) -> Iterator[str]:
    fate, selection = chain.fate, chain.part.selection
    if fate is None or selection is None:
        return
    of_problem = f"of its problem's {fate.right} right and {fate.wrong} wrong samples"
    rule = ", ".join(f"{key} {value}" for key, value in selection.params.model_dump(mode="json").items())
    if fate.dropped is not None:
        yield line("selection", f"dropped: {fate.dropped} ({of_problem})")
    else:
        yield line("selection", f"kept: rank {fate.rank} among those with its verdict, {of_problem}")
    yield line("", f"rule {rule}, seed {selection.seed}")
    for path, row in chain.rows.items():
        yield line("row", f"{path} row {row}")


def _files(root: Path, lock: Lock, chain: Chain) -> Iterator[str]:
    part = chain.part
    shard = next(
        (name for name in shard_names(part.digits) if chain.sample["problem_id"].startswith(name)), "all"
    )  # fmt: skip
    folders = [part.problems, part.samples, part.steps, part.labels, part.outcomes]
    paths = [folder / f"{shard}.parquet" for folder in folders if folder is not None]
    if part.labels is not None and chain.replies:
        paths.append(replies_folder(part) / f"{shard}.parquet")
    yield from file_lines(root, lock, [*paths, *chain.rows, part.policy / MANIFEST])


def _show_problem(root: Path, lock: Lock, folder: Path, problem_id: str, limit: int) -> Iterator[str]:
    yield from _problem(problem_row(root, folder, problem_id), problem_id, limit)
    for part in find_all_tables(root, lock):
        for row in samples_of(root, part, problem_id).iter_rows(named=True):
            said = f"{row['sample_id']}  {part.name}, index {row['sample_index']}, {WORDS[row['is_correct']]}: "
            yield line("sample", said + shorten_for_terminal(row["completion"], limit // 2))
    yield from file_lines(root, lock, [path.relative_to(root) for path in sorted((root / folder).glob("*.parquet"))])


def _show_folder(root: Path, lock: Lock, kind: str, folder: Path) -> Iterator[str]:
    """A policy or a data set: its manifest, and the stage that wrote it with its settings."""
    manifest = json.loads((root / folder / MANIFEST).read_text(encoding="utf-8"))
    yield line(kind, f"{manifest['hash']}  {folder}")
    for key, value in flatten_params({key: value for key, value in manifest.items() if key not in ("hash", "files")}):
        yield line("", f"{key} {shorten_for_terminal(str(value), BRIEF)}")
    made = find_output(lock, folder.as_posix())
    if made is not None:
        entry, _ = made
        yield line("stage", f"{entry.name}: {shorten_for_terminal(entry.command, 4 * BRIEF)}")
        for key, value in flatten_params(entry.tracked):
            yield line("", f"{key} {shorten_for_terminal(str(value), BRIEF)}")
    yield from file_lines(root, lock, [folder / name for name in [*sorted(manifest.get("files", {})), MANIFEST]])
