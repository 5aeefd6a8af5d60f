"""Measuring a policy on one set of problems, by the code that samples, splits, judges and grades in a round."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from stages.common.policies import Policy
from stages.common.statistics import BY_PROBLEM, Counts, to_report
from stages.common.tables import DropLog, content_hash
from stages.common.verifiers import VerifierSet
from stages.evaluate.attempts import attempt_counts
from stages.evaluate.correct import correct
from stages.evaluate.examples import choose_examples
from stages.evaluate.majority import Pair
from stages.evaluate.metrics import COMPARED, flagged_counts, greedy_counts, per_sample, shape_counts, solution_counts
from stages.evaluate.settings import Settings
from stages.judge import judge_samples
from stages.outcome import verify_samples
from stages.sample import sample_problems
from stages.split import split_samples


@dataclass(frozen=True)
class Measurement:
    """One set's tables by the folder they are written to, and its part of the report."""

    tables: dict[str, pl.DataFrame]
    report: dict[str, Any]


@dataclass
class _Work:
    """What the steps of a measurement share: tables made so far, wall-clock seconds by part, and what asking cost."""

    problems: pl.DataFrame
    policy: Policy
    settings: Settings
    label: str
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    drops: DropLog = field(default_factory=DropLog)
    seconds: dict[str, float] = field(default_factory=dict)
    costs: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)

    @contextmanager
    def asked(self, what: str) -> Iterator[dict[str, Any]]:
        """Where to enter what the requests of a part cost."""
        costs: dict[str, Any] = {}
        yield costs
        self.costs |= {f"{what} {name}": cost for name, cost in costs.items()}

    def draw(self, what: str, **changes: Any) -> pl.DataFrame:
        """SAMPLE rows of all problems by the recipe's sampling settings after `changes`."""
        settings = self.settings
        params = settings.sample.model_copy(update={"num_problems": None, **changes})
        with self.part(f"{what}_sample"), self.asked(what) as costs:
            return sample_problems(
                self.problems,
                self.policy,
                params,
                settings.runtime,
                settings.seed,
                f"{self.label} {what}",
                self.drops,
                costs,
            )

    def judge(self, samples: pl.DataFrame, what: str) -> pl.DataFrame:
        """Split and judge `samples` (SAMPLE rows), and keep the tables; returns LABEL rows."""
        judge, seed = self.settings.measuring_judge, self.settings.seed
        with self.part(f"{what}_judge"), self.asked(what) as costs:
            steps = split_samples(samples, self.settings.split)
            judged = judge_samples(self.problems, samples, steps, judge, seed, f"{self.label} judge", costs)
        self.tables |= {"samples": samples, "steps": steps, "labels": judged}
        return judged

    def grade(self, samples: pl.DataFrame, what: str) -> pl.DataFrame:
        """OUTCOME rows of `samples` (SAMPLE rows)."""
        with self.part(f"{what}_grade"):
            return verify_samples(self.problems, samples, self.settings.outcome, self.settings.runtime.num_workers)

    def attempts(self, samples: pl.DataFrame, outcomes: pl.DataFrame) -> dict[str, Counts]:
        """What is counted of several samples per problem."""
        with self.part("majority_vote"):
            return attempt_counts(
                samples, outcomes, self.settings.evaluate.majority, lambda pairs: equal_answers(pairs, self.settings)
            )


def measure(problems: pl.DataFrame, policy: Policy, settings: Settings, label: str) -> Measurement:
    """Measure `policy` on all of `problems` (PROBLEM rows); `label` names the progress bars.

    Greedy solutions are split, judged and graded; of `evaluate.majority` further samples per problem the answers are.
    Recorded solutions are judged and graded all, and there are no greedy ones.
    """
    work = _Work(problems, policy, settings, label)
    counts, solutions = _recorded(work) if settings.recorded else _drawn(work)
    resampling = settings.resampling
    metrics = {name: it.estimate(resampling) for name, it in counts.items()}
    if rates := settings.evaluate.judge_rates:
        flagged = flagged_counts(solutions)
        metrics["stepwise_flagged"] = flagged.estimate(resampling)
        metrics["stepwise_error_corrected"] = correct(flagged, rates, resampling)
    tables = work.tables
    samples = [table for place, table in tables.items() if place.endswith("samples")]
    report = {
        "metrics": {name: estimate.report() for name, estimate in metrics.items()},
        "counts": {"problems": problems.height, **{name: table.height for name, table in tables.items()}},
        "completion_tokens": sum(table["completion_tokens"].sum() for table in samples),
        "examples": choose_examples(problems, tables["samples"], tables["steps"], tables["labels"], solutions),
        BY_PROBLEM: _by_problem(counts),
        "drops": work.drops.report(),
        "costs": work.costs,
        "seconds_by_part": work.seconds,
    }
    return Measurement(tables, report)


def _drawn(work: _Work) -> tuple[dict[str, Counts], pl.DataFrame]:
    """What is counted of solutions drawn from the policy, and its greedy ones (rows of `per_sample`)."""
    samples = work.draw("greedy", temperature=0.0, num_samples=1)
    judged = work.judge(samples, "greedy")
    work.tables["outcomes"] = work.grade(samples, "greedy")
    solutions = per_sample(samples, judged, work.tables["outcomes"])
    counts = greedy_counts(solutions)
    params = work.settings.evaluate
    if params.majority:
        votes = work.draw("majority", temperature=params.temperature, num_samples=params.majority)
        verdicts = work.grade(votes, "majority")
        counts |= work.attempts(votes, verdicts)
        shape = shape_counts(votes.join(verdicts.select("sample_id", "answer"), on="sample_id", validate="1:1"))
        counts |= {f"sampled_{name}": it for name, it in shape.items()}
        work.tables |= {"majority/samples": votes, "majority/outcomes": verdicts}
    return counts, solutions


def _recorded(work: _Work) -> tuple[dict[str, Counts], pl.DataFrame]:
    """What is counted of recorded solutions, and the solutions (rows of `per_sample`)."""
    samples = work.draw("recorded", num_samples=work.settings.evaluate.majority)
    for missing in work.problems.join(samples, on="problem_id", how="anti").sort("problem_id").iter_rows(named=True):
        work.drops.drop("no recorded solution", missing["problem_id"], missing["problem"])
    if samples.is_empty():
        raise ValueError(f"{work.label}: none of {work.problems.height} problems has a recorded solution")
    judged = work.judge(samples, "recorded")
    outcomes = work.tables["outcomes"] = work.grade(samples, "recorded")
    solutions = per_sample(samples, judged, outcomes)
    counts = solution_counts(solutions) | work.attempts(samples, outcomes)
    del counts["length_cut"]  # whether a token limit cut them was not recorded
    return counts, solutions


def equal_answers(pairs: Sequence[Pair], settings: Settings) -> list[bool | None]:
    """Whether the two sampled answers of each pair are equal by the verifier."""
    with closing(VerifierSet(settings.runtime.num_workers, settings.outcome.timeout_s)) as verifiers:
        return verifiers.equal_many([("math", *pair) for pair in pairs])


def _by_problem(counts: dict[str, Counts]) -> dict[str, Any]:
    """The counts by which rounds are compared, and a hash of the problems that they are counts of."""
    compared = {name: it for name, it in counts.items() if name in COMPARED or name.startswith(("avg_at_", "maj_at_"))}
    problems = {it.problems for it in compared.values()}
    if len(problems) != 1:
        raise ValueError(f"metrics count {len(problems)} different sets of problems")
    return {"problems": content_hash(*problems.pop()), **{name: to_report(it) for name, it in compared.items()}}
