"""Building the table: every row through the checks, then duplicates, contamination, near-duplicates and the split."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import polars as pl

from stages.common.console import progress
from stages.common.params.problems import NearDuplicateParams, ProblemsParams, SplitFractions
from stages.common.tables import (
    PROBLEM,
    DropLog,
    content_hash,
    normalise_text,
    problem_id,
    read_table,
    seed_from,
    write_table,
)
from stages.common.tables.drops import EXAMPLES
from stages.problems.checks import find_gold, unfit
from stages.problems.contamination import EvaluationSet
from stages.problems.fields import read_candidate
from stages.problems.gold import comparable
from stages.problems.near_duplicates import near_duplicates
from stages.problems.readers import read_rows
from stages.problems.rows import RawRow

Problem = dict[str, Any]
"""A row of table PROBLEM; `split` null until it is known."""


def build_problems(params: ProblemsParams, seed: int, digits: int, folder: Path) -> dict[str, Any]:
    """Write the problems into `folder` and return the report.

    Which problems are kept depends on the rows, not on their order. In memory are the rows that pass the checks, which
    are about 2 KB each in NuminaMath. Raises `ValueError` where nothing is kept.
    """
    log = DropLog()
    rows, problems = _read(params, seed, log)
    problems = _drop_duplicates(problems, log)
    contamination = None
    if params.decontamination is not None:
        evaluation = EvaluationSet(params.decontamination.files, params.decontamination.ngram)
        problems, removed = _drop_contaminated(problems, evaluation, log)
        contamination = {"files": evaluation.files, **removed}
    if params.near_duplicates is not None:
        problems = _drop_near_duplicates(problems, params.near_duplicates, log)
    if not problems:
        raise ValueError(f"problems: none of {sum(rows.values())} rows is kept; dropped: {_counts(log)}")
    for problem in problems:
        problem["split"] = problem["split"] or split_of(problem["problem_id"], params.splits)
    write_table(folder, PROBLEM, pl.DataFrame(problems, schema=PROBLEM.schema), digits)
    kept = Counter(problem["source"] for problem in problems)
    return {
        "rows": sum(rows.values()),
        "kept": len(problems),
        "by_source": {source: {"rows": rows[source], "kept": kept[source]} for source in rows if source},
        "by_split": dict(Counter(problem["split"] for problem in problems)),
        "drops": log.report(),
        "contamination": contamination,
    }


def read_problems(folder: Path, digits: int) -> pl.DataFrame:
    """The table that this stage wrote into `folder`, its shards in order."""
    return read_table(folder, PROBLEM, digits)


def split_of(identity: str, fractions: SplitFractions | None) -> str:
    """Split of the problem with id `identity`: the same in every run and beside whatever other problems."""
    place = seed_from("split", identity) / 2**63
    test = fractions.test if fractions else 0.0
    validation = fractions.validation if fractions else 0.0
    return "test" if place < test else "validation" if place < test + validation else "train"


def _read(params: ProblemsParams, seed: int, log: DropLog) -> tuple[Counter[str], list[Problem]]:
    """Rows read by source ("" where it is not known), and the problems that pass the checks, in order."""
    rows: Counter[str] = Counter()
    problems = []
    for raw in progress(read_rows(params, seed), "problems"):
        candidate = raw.fault or read_candidate(raw.value)
        if isinstance(candidate, str):
            rows[""] += 1
            log.drop(candidate, raw.where, "" if raw.value is None else raw.value)
            continue
        reason = unfit(candidate, params.filters)
        # A source that cannot be a name is counted with the unknown: the report must not hold a megabyte of it.
        rows["" if reason in ("lone surrogate", "too long") else candidate.source] += 1
        answer, fault = (None, reason) if reason else find_gold(candidate, params.filters)
        if answer is None:
            log.drop(fault, raw.where, candidate.problem)
        else:
            problems.append(_problem(raw, candidate.source, candidate.problem, candidate.solution, answer))
    return rows, problems


def _problem(raw: RawRow, source: str, problem: str, solution: str, answer: str) -> Problem:
    return {
        "problem_id": problem_id(problem, answer),
        "split": raw.split,
        "source": source,
        "problem": problem,
        "solution": solution,
        "answer": answer,
        "origin": raw.origin,
        "origin_row": raw.row,
    }


def _where(problem: Problem) -> str:
    return f"{problem['origin']}, row {problem['origin_row']}"


def _drop_duplicates(problems: list[Problem], log: DropLog) -> list[Problem]:
    """One problem per normalised text, none where its answers conflict; sorted by id."""
    same_text: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        same_text[content_hash(normalise_text(problem["problem"]))].append(problem)
    kept = []
    for group in same_text.values():
        if len({comparable(problem["answer"]) for problem in group}) > 1:
            for problem in group:
                log.drop("conflicting answers", _where(problem), f"{problem['answer']} | {problem['problem']}")
            continue
        # The sort is stable: of rows with one id the first read is kept; the same answer in other looks is another id.
        first, *others = sorted(group, key=_identity)
        kept.append(first)
        for problem in others:
            log.drop("exact duplicate", _where(problem), f"of {_where(first)} | {problem['problem']}")
    return sorted(kept, key=_identity)


def _identity(problem: Problem) -> str:
    return str(problem["problem_id"])


def _drop_contaminated(
    problems: list[Problem], evaluation: EvaluationSet, log: DropLog
) -> tuple[list[Problem], dict[str, Any]]:
    kept: list[Problem] = []
    examples: list[dict[str, str]] = []
    for problem in progress(problems, "contamination", total=len(problems)):
        overlap = evaluation.overlap(problem["problem"])
        if overlap is None:
            kept.append(problem)
            continue
        log.drop("overlaps an evaluation problem", _where(problem), f"{overlap.evaluation} | {problem['problem']}")
        if len(examples) < EXAMPLES:
            examples.append(
                {
                    "problem": _where(problem),
                    "text": problem["problem"][:300],
                    "evaluation": overlap.evaluation,
                    "ngram": overlap.ngram,
                }
            )
    return kept, {"removed": len(problems) - len(kept), "examples": examples}


def _drop_near_duplicates(problems: list[Problem], params: NearDuplicateParams, log: DropLog) -> list[Problem]:
    dropped = near_duplicates([problem["problem"] for problem in problems], params.ngram, params.threshold)
    for index, (other, similarity) in dropped.items():
        text = f"{similarity:.2f} of {_where(problems[other])} | {problems[index]['problem']}"
        log.drop("near-duplicate", _where(problems[index]), text)
    return [problem for index, problem in enumerate(problems) if index not in dropped]


def _counts(log: DropLog) -> dict[str, int]:
    return {reason: drop["rows"] for reason, drop in log.report().items()}
