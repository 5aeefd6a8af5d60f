"""The problem table: rows pass the filters, then duplicates, contaminated problems and near-duplicates are dropped."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl

from stages.common.errors import UserError
from stages.common.gold_answers import GOLD_RULES, GoldAnswer, GoldRules
from stages.common.params.evaluate import BenchmarkParams
from stages.common.params.problems import NearDuplicateParams, ProblemsParams, SplitFractions
from stages.common.progress import progress
from stages.common.raw_rows import RawRow
from stages.common.tables import (
    PROBLEM,
    DropLog,
    make_problem_id,
    read_table,
    seed_from,
    write_table,
)
from stages.common.tables.drops import MAX_EXAMPLES
from stages.problems.answer_conflicts import Problem, drop_conflicts, drop_duplicates, locate
from stages.problems.candidate import Candidate, read_candidate
from stages.problems.contamination import EvaluationSet, read_evaluation_sets
from stages.problems.near_duplicates import find_near_duplicates
from stages.problems.problem_filters import find_drop_reason, find_gold_answer
from stages.problems.problem_readers import read_rows


def build_problems(
    params: ProblemsParams,
    seed: int,
    digits: int,
    folder: Path,
    benchmarks: Mapping[str, BenchmarkParams] = MappingProxyType({}),
) -> dict[str, Any]:
    """Write the problem table into `folder` and return the report. `benchmarks` are those that will be evaluated on.

    Which problems are kept does not depend on the order of the rows. Memory holds the rows that pass the filters,
    about 2 KB each in NuminaMath. Raises `UserError` where no row is kept.
    """
    drops = DropLog()
    finder = GOLD_RULES.get(params.task)()
    num_rows, problems, solution_answers = _read_problems(params, seed, drops, finder)
    problems, beside_boxes = drop_conflicts(problems, solution_answers, params.task, drops)
    problems = drop_duplicates(problems, params.task, drops)
    contamination = None
    if params.decontamination is not None:
        # Problems of a few templates share n-grams with any set of the same kind.
        evaluation = read_evaluation_sets(params.decontamination, {} if params.makes_problems else benchmarks)
        if evaluation is not None:
            problems, removed = _drop_contaminated(problems, evaluation, drops)
            contamination = {"files": evaluation.files, **removed}
    if params.near_duplicates is not None:
        problems = _drop_near_duplicates(problems, params.near_duplicates, drops, finder)
    if not problems:
        raise UserError(f"problems: none of {num_rows.total()} rows is kept; dropped: {drops.counts()}")
    for problem in problems:
        problem["split"] = problem["split"] or assign_split(problem["problem_id"], params.splits)
    write_table(folder, PROBLEM, pl.DataFrame(problems, schema=PROBLEM.schema), digits)
    num_kept = Counter(problem["source"] for problem in problems)
    return {
        "rows": num_rows.total(),
        "kept": len(problems),
        "by_source": {source: {"rows": num_rows[source], "kept": num_kept[source]} for source in num_rows if source},
        "by_split": dict(Counter(problem["split"] for problem in problems)),
        "answers_beside_boxes": beside_boxes,
        "drops": drops.report(),
        "contamination": contamination,
    }


def read_problems(folder: Path, digits: int) -> pl.DataFrame:
    """The problem table in `folder`, its shards in order."""
    return read_table(folder, PROBLEM, digits)


def assign_split(identity: str, fractions: SplitFractions | None) -> str:
    """Split of the problem with id `identity`; it depends on the id alone."""
    if fractions is None:
        return "train"
    position = seed_from("split", identity) / 2**63
    if position < fractions.test:
        return "test"
    return "validation" if position < fractions.test + fractions.validation else "train"


def _read_problems(
    params: ProblemsParams, seed: int, drops: DropLog, finder: GoldRules
) -> tuple[Counter[str], list[Problem], dict[int, str]]:
    """Number of rows read by source ("" where it is not known), and the problems that pass the filters, in order.

    Also the answers that solutions state, by the index of their problem, where the row gives an answer of its own.
    """
    num_rows: Counter[str] = Counter()
    problems: list[Problem] = []
    solution_answers: dict[int, str] = {}
    for raw in progress(read_rows(params, seed), "problems"):
        candidate = raw.error or read_candidate(raw.value, params.columns)
        if isinstance(candidate, str):
            num_rows[""] += 1
            drops.drop(candidate, raw.location, "" if raw.value is None else raw.value)
            continue
        reason = find_drop_reason(candidate, params.filters)
        # A source that cannot be a name is counted as not known: the report must not hold a megabyte of it.
        num_rows["" if reason in ("lone surrogate", "too long") else candidate.source] += 1
        gold = GoldAnswer(None, reason) if reason else find_gold_answer(candidate, params.filters, finder)
        if gold.text is None:
            drops.drop(gold.reason, raw.location, candidate.problem)
        else:
            is_compared = params.filters.drop_conflicting_answers and candidate.answer is not None
            if is_compared and (text := finder.find_solution_answer(candidate.solution)) is not None:
                solution_answers[len(problems)] = text
            problems.append(_make_problem(raw, candidate, gold.text, params.task))
    return num_rows, problems, solution_answers


def _make_problem(raw: RawRow, candidate: Candidate, answer: str, task: str) -> Problem:
    return {
        "problem_id": make_problem_id(candidate.problem, answer),
        "split": raw.split,
        "source": candidate.source,
        "problem": candidate.problem,
        "solution": candidate.solution,
        "answer": answer,
        "origin": raw.origin,
        "origin_row": raw.row,
        "task": task,
    }


def _drop_contaminated(
    problems: list[Problem], evaluation: EvaluationSet, drops: DropLog
) -> tuple[list[Problem], dict[str, Any]]:
    kept: list[Problem] = []
    examples: list[dict[str, str]] = []
    for problem in progress(problems, "contamination", total=len(problems)):
        overlap = evaluation.find_overlap(problem["problem"])
        if overlap is None:
            kept.append(problem)
            continue
        drops.drop("overlaps an evaluation problem", locate(problem), f"{overlap.evaluation} | {problem['problem']}")
        example = {
            "problem": locate(problem),
            "text": problem["problem"][:300],
            "evaluation": overlap.evaluation,
            "ngram": overlap.ngram,
        }
        examples = [*examples, example][:MAX_EXAMPLES]
    return kept, {"removed": len(problems) - len(kept), "examples": examples}


def _drop_near_duplicates(
    problems: list[Problem], params: NearDuplicateParams, drops: DropLog, finder: GoldRules
) -> list[Problem]:
    texts = [problem["problem"] for problem in problems]
    answers = [finder.make_key(problem["answer"]) for problem in problems]
    duplicates = find_near_duplicates(texts, params.ngram, params.threshold, answers)
    for index, (kept, similarity) in duplicates.items():
        text = f"{similarity:.2f} of {locate(problems[kept])} | {problems[index]['problem']}"
        drops.drop("near-duplicate", locate(problems[index]), text)
    return [problem for index, problem in enumerate(problems) if index not in duplicates]
