"""Runs as text: the list of all, and what one did, how fast and on which machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from stages.common.progress import format_duration
from stages.common.runs import LOG, format_facts, list_runs, read_records

LAST = "last"
"""What the newest run may be called."""


def find_run(name: str) -> Path:
    """The folder of run `name`, or of the one run whose name begins so; raise `UserError` where there is none."""
    runs = list_runs()
    found = runs[-1:] if name == LAST else [folder for folder in runs if folder.name.startswith(name)]
    if len(found) != 1:
        raise UserError(f"{name}: {len(found)} runs have this name; `stepkto runs` lists all")
    return found[0]


def format_runs() -> Iterator[str]:
    """A line per run, the oldest first."""
    for folder in list_runs():
        records = read_records(folder)
        done = sum(record["status"] == "done" for record in records)
        others = [f"{record['stage']} {record['status']}" for record in records if record["status"] != "done"]
        text = f"{folder.name}  {done:3} stages done in {_sum_seconds(records)}"
        yield ", ".join([text, *others])


def format_run(folder: Path, has_facts: bool = True) -> Iterator[str]:
    """The stages of a run with their times and, `has_facts`, what else is known; its environments, and its log."""
    records = read_records(folder)
    environments: dict[str, list[str]] = {}
    for record in records:
        seconds = "-" if record["seconds"] is None else format_duration(record["seconds"])
        yield f"{record['stage']:20} {seconds:>13}  {record['status']}"
        lines = [record["error"], *(_list_facts(record["facts"]) if has_facts else [])]
        yield from (f"    {line}" for line in lines if line)
        environments.setdefault(format_facts(record["environment"]), []).append(record["stage"])
    yield f"{'all':20} {_sum_seconds(records):>13}"
    for text, stages in environments.items():
        yield f"ran on {text}" + (f": {', '.join(stages)}" if len(environments) > 1 else "")
    yield f"log: {folder / LOG}"


def _list_facts(facts: dict[str, Any]) -> Iterator[str]:
    """Single facts on one line, and a line for each mapping of facts."""
    yield format_facts({key: value for key, value in facts.items() if not isinstance(value, dict)})
    for key, value in facts.items():
        if isinstance(value, dict):
            nested = {name: it for name, it in value.items() if isinstance(it, dict)}
            yield from (f"{name}: {format_facts(it)}" for name, it in nested.items())
            single = {name: it for name, it in value.items() if name not in nested}
            yield f"{key}: {format_facts(single)}" if single else ""


def _sum_seconds(records: list[dict[str, Any]]) -> str:
    return format_duration(sum(record["seconds"] or 0 for record in records))
