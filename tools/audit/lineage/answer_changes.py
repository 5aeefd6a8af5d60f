"""Which problems two policies answer differently: those solved by one alone, with both completions and their labels."""

from pathlib import Path

import polars as pl

from stages.common.errors import UserError
from stages.common.params.recipe import SEED_POLICY
from stages.common.statistics import compute_mcnemar
from stages.common.tables import OUTCOME, PROBLEM, SAMPLE, content_hash
from stages.common.text import indent_for_terminal, shorten_for_terminal
from tools.audit.key_ranges import SAMPLE_KEY, read_where
from tools.audit.lineage.sample_lineage import read_first, read_labelled_steps
from tools.audit.lineage.show import LABEL_WORDS, get_max_chars
from tools.audit.table_sets import TableSet, find_evaluation_tables, list_rounds
from tools.dvc_lock import read_lock


def compare_answers(
    root: Path, policy: str, other: str, num_shown: int = 5, benchmark: str | None = None, with_whole_text: bool = False
) -> list[str]:
    """Lines on the greedy answers of two policies to the same problems: counts, and `num_shown` of each change.

    An answer that the verifier cannot decide is not correct; those shown are chosen by a hash of the problem. Raises
    `UserError` for a policy that was not evaluated, or not on the same problems.
    """
    tables = [_find_greedy(root, name, benchmark) for name in (policy, other)]
    answers = _read_answers(root, *tables)
    first, second = pl.col("is_correct"), pl.col("is_correct_after")
    gained, lost = answers.filter(~first & second), answers.filter(first & ~second)
    both, neither = answers.filter(first & second).height, answers.filter(~first & ~second).height
    lines = [
        f"{policy} and {other}, greedy answers to {answers.height} problems of {benchmark or 'the recipe'}",
        f"correct with both {both}, with {other} alone {gained.height}, with {policy} alone {lost.height}, "
        f"with neither {neither} (McNemar's p {compute_mcnemar(gained.height, lost.height):.3g})",
    ]
    for name, rows in ((other, gained), (policy, lost)):
        for problem_id, *sample_ids in rows.head(num_shown).select("problem_id", "sample_id", "sample_id_after").rows():
            lines += ["", f"correct with {name} alone"]
            lines += _describe(root, tables, problem_id, sample_ids, get_max_chars(with_whole_text))
    return lines


def _find_greedy(root: Path, policy: str, benchmark: str | None) -> TableSet:
    known = [SEED_POLICY, *list_rounds(root)]
    if policy not in known:
        raise UserError(f"{policy}: no policy of params.yaml; expected one of {', '.join(known)}")
    title = policy if benchmark is None else f"{policy} on {benchmark}"
    for tables in find_evaluation_tables(read_lock(root), policy):
        if tables.name == f"evaluation of {title}" and (tables.sample.temperature, tables.sample.num_samples) == (0, 1):
            return tables
    raise UserError(f"dvc.lock: no greedy evaluation of {title}; see evaluate.split and evaluate.benchmarks")


def _read_answers(root: Path, before: TableSet, after: TableSet) -> pl.DataFrame:
    """OUTCOME's keys and `is_correct` before, and the same with the suffix _after; ordered by a hash of the problem."""
    columns: list[str | pl.Expr] = [*SAMPLE_KEY, pl.col("is_correct").fill_null(value=False)]
    old, new = (
        read_where(root / tables.outcomes, OUTCOME, pl.lit(value=True), columns).sort("problem_id")
        for tables in (before, after)
    )
    if old.is_empty() or old["problem_id"].to_list() != new["problem_id"].to_list():
        raise UserError(
            f"{before.outcomes}: {old.height} problems, that are not the {new.height} of {after.outcomes}; `dvc pull` "
            "what is not here, and evaluate both policies on the same problems"
        )
    order = [content_hash("example", problem) for problem in old["problem_id"]]
    joined = old.join(new, on="problem_id", suffix="_after", maintain_order="left")
    return joined.with_columns(order=pl.Series(order, dtype=pl.String)).sort("order")


def _describe(root: Path, tables: list[TableSet], problem_id: str, sample_ids: list[str], limit: int) -> list[str]:
    of_problem, indent = pl.col("problem_id") == problem_id, f"{'':10}| "
    missing = {"problem": "not in its table", "answer": "", "completion": "not in its table"}
    problem = read_first(root / tables[1].problems, PROBLEM, of_problem) or missing
    lines = [f"problem   {problem_id}", *indent_for_terminal(problem["problem"], limit * 4, indent)]
    lines.append(f"gold      {shorten_for_terminal(problem['answer'], limit)}")
    for of_policy, sample_id in zip(tables, sample_ids, strict=True):
        where = of_problem & (pl.col("sample_id") == sample_id)
        sample = read_first(root / of_policy.samples, SAMPLE, where) or missing
        steps = read_labelled_steps(root, of_policy, where)
        lines.append(f"{of_policy.policy.name:9} {sample_id}")
        for step in steps:
            text = shorten_for_terminal(sample["completion"][step["start"] : step["end"]].rstrip(), limit)
            reason = f"  <- {shorten_for_terminal(step['reason'], limit)}" if step["label"] is False else ""
            lines.append(f"          {LABEL_WORDS[step['label']]:10}{text}{reason}")
        lines += [] if steps else indent_for_terminal(sample["completion"], limit * 4, indent)
    return lines
