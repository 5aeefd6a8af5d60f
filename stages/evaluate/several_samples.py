"""Metrics over several samples per problem: Pass@1 averaged over them, Pass@k, and the answer that most agree on."""

from collections.abc import Callable, Iterable, Sequence
from math import comb

import numpy as np
import polars as pl

from stages.common.statistics import Counts, count_by_problem
from stages.evaluate.metrics import IS_CORRECT

AnswerPair = tuple[str, str]
Equality = Callable[[Sequence[AnswerPair]], Iterable[bool | None]]
"""Whether the answers of each pair are equal; None if unknown, which counts as different."""


def estimate_pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Probability that k of `num_samples` samples, drawn without replacement, include one of the `num_correct`.

    The unbiased estimator of Chen et al. 2021 (arXiv 2107.03374), in integers up to the last division. Raises
    `ValueError` for numbers that do not fit together.
    """
    if not 0 <= num_correct <= num_samples or not 1 <= k <= num_samples:
        raise ValueError(
            f"Pass@{k} of {num_samples} samples, {num_correct} correct: expected 0 <= num_correct <= num_samples and "
            "1 <= k <= num_samples"
        )
    total = comb(num_samples, k)
    return (total - comb(num_samples - num_correct, k)) / total


def list_ks(num_samples: int) -> list[int]:
    """The k of Pass@k for `num_samples` samples per problem: powers of two above 1, and all of them."""
    powers = {2**power for power in range(1, num_samples.bit_length()) if 2**power < num_samples}
    return sorted(powers | {num_samples} - {0, 1})


def count_samples(samples: pl.DataFrame, outcomes: pl.DataFrame, k: int, equality: Equality) -> dict[str, Counts]:
    """Counts over up to `k` samples per problem (SAMPLE and OUTCOME rows of the same samples).

    - ``avg_at_<k>``: correct samples among samples, which is Pass@1 averaged over k if each problem has k.
    - ``pass_at_<j>`` for j up to k: probability that one of j samples is correct; of problems with at least j samples.
    - ``maj_at_<k>``: problems whose majority answer, by `equality`, is correct; see `choose_majority`.
    """
    winners = choose_majority(samples, outcomes, equality)
    attempts = count_by_problem(outcomes, IS_CORRECT, pl.lit(True))
    pass_at = {f"pass_at_{j}": _count_pass_at_k(attempts, j) for j in list_ks(k)}
    return {f"avg_at_{k}": attempts, **pass_at, f"maj_at_{k}": count_by_problem(winners, IS_CORRECT, pl.lit(True))}


def _count_pass_at_k(attempts: Counts, k: int) -> Counts:
    """Pass@k of each problem, from correct samples among samples."""
    has_enough = attempts.denominators >= k
    probabilities = [
        estimate_pass_at_k(int(num_samples), int(num_correct), k) if enough else 0.0
        for num_samples, num_correct, enough in zip(attempts.denominators, attempts.numerators, has_enough, strict=True)
    ]
    return Counts(attempts.problems, np.array(probabilities, dtype=np.float64), has_enough.astype(np.int64))


def choose_majority(samples: pl.DataFrame, outcomes: pl.DataFrame, equality: Equality) -> pl.DataFrame:
    """The first sample of each problem's most frequent answer.

    `samples` are SAMPLE rows, `outcomes` the OUTCOME rows of the same samples. Answers are grouped by text first and
    then by `equality`, each text joining the first group whose earliest text it equals. The largest group wins; of
    equally large ones, that with the earliest sample. A sample without an answer has no vote, unless no sample has one.
    Returns ``problem_id, sample_id, answer, is_correct, num_votes``, one row per problem, sorted by problem_id.
    """
    ballots = (
        samples.select("problem_id", "sample_id", "sample_index")
        .join(outcomes.select("sample_id", "answer", "is_correct"), on="sample_id", how="left", validate="1:1")
        .sort("problem_id", "sample_index", "sample_id")
        .with_row_index("order")
    )
    answered = ballots.drop_nulls("answer").group_by("problem_id", maintain_order=True)
    texts: dict[str, list[str]] = dict(answered.agg(pl.col("answer").unique(maintain_order=True)).iter_rows())
    pairs = sorted({pair for unique in texts.values() for pair in _list_pairs(unique)})
    verdicts = dict(zip(pairs, equality(pairs), strict=True)) if pairs else {}
    equal = {pair for pair, verdict in verdicts.items() if verdict is True}
    heads = [(name, *pair) for name, unique in texts.items() for pair in _group_answers(unique, equal).items()]
    groups = pl.DataFrame(heads, schema=dict.fromkeys(("problem_id", "answer", "head"), pl.String), orient="row")
    return (
        ballots.join(groups, on=["problem_id", "answer"], how="left", maintain_order="left")
        .group_by("problem_id", "head", maintain_order=True)
        .agg(pl.col("order", "sample_id", "answer", "is_correct").first(), num_votes=pl.len().cast(pl.Int64))
        .sort("problem_id", pl.col("head").is_null(), -pl.col("num_votes"), "order")
        .unique("problem_id", keep="first", maintain_order=True)
        .select("problem_id", "sample_id", "answer", "is_correct", "num_votes")
    )


def _list_pairs(texts: list[str]) -> list[AnswerPair]:
    """Every two of `texts`, the earlier one first."""
    return [(earlier, later) for index, later in enumerate(texts) for earlier in texts[:index]]


def _group_answers(texts: list[str], equal: set[AnswerPair]) -> dict[str, str]:
    """The earliest text of the group that each of `texts` belongs to."""
    group: dict[str, str] = {}
    for text in texts:
        heads = dict.fromkeys(group.values())
        group[text] = next((head for head in heads if (head, text) in equal), text)
    return group
