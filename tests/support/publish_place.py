"""A project in which one round has run: all tables, made of sums with slips, written by the stages themselves."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from stages.common.params.dataset import DatasetParams
from stages.common.params.judge import JudgeParams, JudgeScope
from stages.common.params.sample import PromptParams
from stages.common.params.select import SelectParams
from stages.common.policies import read_policy
from stages.common.tables import (
    LABEL,
    OUTCOME,
    PROBLEM,
    REPLY,
    SAMPLE,
    SELECTION,
    STEP,
    Table,
    make_problem_id,
    make_sample_id,
    read_table,
    write_table,
)
from stages.dataset.training_files import RoundTables, build_dataset
from stages.judge import judge_samples
from stages.select import keep_in_scope
from stages.select.__main__ import select
from tests.support import tiny_policy
from tests.support.llm_params import JUDGE, LLM_JUDGE
from tests.support.report_fakes import write, write_stages

THOUGHT = "Let me add these up."
"""Begins the thinking of the judge; nothing else in the place has it."""

SAMPLES = 6
VOTES = 3
RULE = SelectParams(max_correct=None, max_incorrect=None, require_both=False, balance=False, deduplicate=True)
PARAMS = DatasetParams(kl_block_size=4, max_weight=10.0)


def make_place(
    root: Path,
    problems: int = 12,
    chat: bool = False,
    digits: int = 0,
    note: str = "",
    served: bool = True,
    scope: JudgeScope = "all",
) -> Path:
    """Write round M1 below `root`, judged by a model whose replies are kept, or by a rule where it is not `served`.

    `note` is put into the first problem's text.
    """
    recipe = yaml.safe_load((Path(__file__).parents[2] / "recipes/smoke.yaml").read_text(encoding="utf-8"))
    recipe["rounds"] = {"M1": {"policy": "M0"}}
    recipe["tables"] = {"shard_digits": digits}
    recipe["sample"]["prompt"] = {"chat": chat, "system": "Add." if chat else None, "template": "{problem}\n"}
    recipe |= {"select": RULE.model_dump(), "dataset": PARAMS.model_dump()}
    recipe["judge"]["scope"] = scope
    if served:
        recipe["judge"] = {
            **JUDGE,
            "scope": scope,
            "llm": {**LLM_JUDGE, "mode": "step", "temperature": 1.0, "reasoning": "field"},
            "num_votes": VOTES,
            "min_agreement": 0.6,
        }
    root.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    (root / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n", encoding="utf-8")
    policy = write_seed_policy(root / "models/M0")
    rows = _rows(problems, policy, note)
    data = root / "data"
    write_stages(data / "reports", ["M1"])
    for table in (PROBLEM, SAMPLE, OUTCOME):
        write_table(locate(data, table), table, pl.DataFrame(rows[table.name], schema=table.schema), digits)
    selections = data / "selections/M1"
    report_file = data / "reports/select/M1.json"
    select(root / "params.yaml", locate(data, SAMPLE), locate(data, OUTCOME), selections, report_file)
    samples, selection = read_table(locate(data, SAMPLE), SAMPLE, digits), read_table(selections, SELECTION, digits)
    judged = set(keep_in_scope(samples, selection, scope)["sample_id"])
    for table in (STEP, LABEL):
        rows[table.name] = [row for row in rows[table.name] if row["sample_id"] in judged]
        write_table(locate(data, table), table, pl.DataFrame(rows[table.name], schema=table.schema), digits)
    if served:
        write_table(
            root / "data/labels/M1/replies", REPLY, pl.DataFrame(_replies(rows["labels"]), REPLY.schema), digits
        )
    _build_dataset(root)
    return root


def _build_dataset(root: Path) -> None:
    recipe = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    data, folder = root / "data", root / "data/datasets/M1"
    inputs = RoundTables(
        *(locate(data, table) for table in (PROBLEM, SAMPLE, OUTCOME)),
        data / "selections/M1",
        locate(data, STEP),
        locate(data, LABEL),
        recipe["judge"].get("scope", "selected"),
    )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    prompt = PromptParams(**recipe["sample"]["prompt"])
    report = build_dataset(inputs, PARAMS, prompt, 1, recipe["tables"]["shard_digits"], folder)
    write(data / "reports/dataset/M1.json", report)


def judge_again(root: Path, params: dict[str, Any]) -> None:
    """Label all steps of the place below `root` by the judge of `params`, and make its data set of these labels."""
    recipe = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    recipe["judge"] = params
    (root / "params.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    data, digits = root / "data", recipe["tables"]["shard_digits"]
    problems, samples, steps = (read_table(locate(data, table), table, digits) for table in (PROBLEM, SAMPLE, STEP))
    labels = judge_samples(problems, samples, steps, JudgeParams.model_validate(params), 1)
    shutil.rmtree(locate(data, LABEL))
    write_table(locate(data, LABEL), LABEL, labels.labels, digits)
    if labels.replies.height:
        write_table(locate(data, LABEL) / "replies", REPLY, labels.replies, digits)
    _build_dataset(root)


def locate(data: Path, table: Table) -> Path:
    """Folder of a table of round M1."""
    return data / "problems" if table is PROBLEM else data / f"{table.name.removesuffix('s')}s" / "M1"


def write_seed_policy(folder: Path) -> str:
    """A policy folder; its hash."""
    if folder.exists():
        return read_policy(folder).hash
    tiny_policy.write_policy(folder)
    return read_policy(folder).hash


def _rows(problems: int, policy: str, note: str) -> dict[str, list[dict[str, Any]]]:
    """Rows of every table. Samples of a problem begin alike, so that right and wrong steps stand side by side."""
    rng = random.Random(1)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ("problem", "sample", "step", "labels", "outcome")}
    for at in range(problems):
        numbers = [rng.randint(10, 99) for _ in range(rng.randint(2, 4))]
        text = f"Add {numbers}" + (f" {note}" if note and not at else "")
        answer = str(sum(numbers))
        identity = make_problem_id(text, answer)
        rows["problem"].append(
            {"problem_id": identity, "split": "train", "source": "sums", "problem": text, "solution": f"It is {answer}",
             "answer": answer, "origin": "sums train", "origin_row": at, "task": "math"}
        )  # fmt: skip
        for index in range(SAMPLES):
            _add_sample(rows, identity, policy, index, *_solve(numbers, rng), answer)
    return rows


def _solve(numbers: list[int], rng: random.Random) -> tuple[list[str], list[bool | None], str]:
    """Lines, a label for each, and the final answer."""
    total, lines, labels = numbers[0], [], []
    for number in numbers[1:]:
        slip = rng.choice([0, 0, 0, 1, 10])
        unknown = rng.random() < 0.1
        lines.append(f"{total} + {number} = {total + number + slip}\n")
        labels.append(None if unknown else not slip)
        total += number + slip
    return [*lines, f"So \\boxed{{{total}}}"], [*labels, True], str(total)


def _add_sample(
    rows: dict[str, list[dict[str, Any]]], problem: str, policy: str, index: int, lines: list[str],
    labels: list[bool | None], found: str, gold: str,
) -> None:  # fmt: skip
    text = "".join(lines)
    identity = make_sample_id(problem, policy, "settings", index, text)
    ids = {"sample_id": identity, "problem_id": problem}
    rows["sample"].append(
        {**ids, "policy": policy, "sampling_hash": "settings", "sample_index": index, "seed": index, "completion": text,
         "finish_reason": "stop", "prompt_tokens": 9, "completion_tokens": len(text)}
    )  # fmt: skip
    start = 0
    first_error = next((at for at, label in enumerate(labels) if label is False), None)
    for at, (line, label) in enumerate(zip(lines, labels, strict=True)):
        agreement = 0.0 if label is None else 1.0
        rows["step"].append({**ids, "step": at, "start": start, "end": start + len(line)})
        rows["labels"].append(
            {**ids, "step": at, "label": label, "reason": "sum checked", "num_votes": VOTES,
             "agreement": agreement, "first_error": first_error, "judge": "judge"}
        )  # fmt: skip
        start += len(line)
    rows["outcome"].append(
        {
            **ids,
            "answer": found,
            "extraction_rule": "box",
            "is_correct": found == gold,
            "reason": "compared",
            "verifier": "verifier",
        }
    )


def _replies(judged: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replies from which `judged` (LABEL rows) follow: on an unknown step one vote each way, and one that never came.

    The first vote on every sample's first step took a second try.
    """
    rows = []
    for step in judged:
        for vote in range(VOTES):
            right = vote == 0 if step["label"] is None else step["label"]
            verdict = {"step": step["step"] + 1, "verdict": "correct" if right else "incorrect", "rationale": "sum"}
            came = step["label"] is not None or vote < 2
            said = json.dumps({"verdicts": [verdict]}) if came else None
            retried = vote == step["step"] == 0
            tries = [("Let me see.", "it was not JSON")] if retried else []
            tries.append((said, None if came else "no answer came: timed out"))  # type: ignore[arg-type]
            for attempt, (text, fault) in enumerate(tries):
                rows.append(
                    {"sample_id": step["sample_id"], "problem_id": step["problem_id"], "judge_index": 0,
                     "step": step["step"], "vote": vote, "attempt": attempt,
                     "request_hash": f"r{len(rows)}", "text": text, "reasoning": f"{THOUGHT} {vote}" if text else None,
                     "error": fault, "finish_reason": "stop" if text else None, "model": "judge" if text else None,
                     "prompt_tokens": 90 if text else None, "completion_tokens": 9 if text else None}
                )  # fmt: skip
    return rows
