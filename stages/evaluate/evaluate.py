"""An evaluation: the same sampling, splitting, judging and outcome code as in a round, on problems held out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from stages.evaluate.estimate import LEVEL, Resampling
from stages.evaluate.examples import choose_examples
from stages.evaluate.majority import Pair, majority_winners
from stages.evaluate.metrics import greedy_metrics, majority_metric, per_sample
from stages.judge import judge_samples
from stages.outcome import grade_many, grade_samples
from stages.params.evaluate import EvaluateParams
from stages.params.judge import JudgeParams
from stages.params.outcome import OutcomeParams
from stages.params.runtime import RuntimeParams
from stages.params.sample import SampleParams
from stages.params.split import SplitParams
from stages.policies import Policy
from stages.records import seed_from
from stages.sample import sample_problems
from stages.split import split_samples


@dataclass(frozen=True)
class Settings:
    """All settings that an evaluation reads."""

    seed: int
    sample: SampleParams
    split: SplitParams
    judge: JudgeParams
    outcome: OutcomeParams
    evaluate: EvaluateParams
    runtime: RuntimeParams


@dataclass(frozen=True)
class Evaluation:
    """An evaluation's tables by the folder they are written to, and its report."""

    tables: dict[str, pl.DataFrame]
    report: dict[str, Any]


@dataclass
class _Clock:
    """Wall-clock seconds by part."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)


def choose_problems(problems: pl.DataFrame, params: EvaluateParams) -> pl.DataFrame:
    """The problems evaluated (PROBLEM rows), the first by id of the chosen split; `ValueError` when there are none."""
    chosen = problems.filter(pl.col("split") == params.split).sort("problem_id")
    if chosen.is_empty():
        raise ValueError(f"evaluate.split: no problem is in split {params.split}")
    return chosen if params.problems is None else chosen.head(params.problems)


def evaluate_policy(problems: pl.DataFrame, policy: Policy, settings: Settings, label: str) -> Evaluation:
    """Evaluate `policy` on `problems` (PROBLEM rows of every split); `label` names the progress bars.

    Greedy solutions are split, judged and graded; for the vote, `evaluate.majority` samples per problem are graded.
    The judge never flips labels here, whatever noise the training labels are given on purpose.
    Raises `ValueError` for a policy that has no weights or solutions that were sampled elsewhere.
    """
    _check_can_sample(policy, settings.sample)
    problems = choose_problems(problems, settings.evaluate)
    resampling = Resampling(settings.evaluate.bootstrap, seed_from("bootstrap", settings.seed))
    clock = _Clock()

    greedy = settings.sample.model_copy(update={"temperature": 0.0, "samples": 1, "problems": None})
    with clock.part("greedy_sample"):
        samples = sample_problems(problems, policy, greedy, settings.runtime, settings.seed, f"{label} greedy")
    with clock.part("greedy_judge"):
        steps = split_samples(samples, settings.split)
        judge = settings.judge.model_copy(update={"flip": 0.0})
        judged = judge_samples(problems, samples, steps, judge, settings.seed, f"{label} judge")
    with clock.part("greedy_grade"):
        outcomes = grade_samples(problems, samples, settings.outcome, settings.runtime.workers)

    solutions = per_sample(samples, judged, outcomes)
    metrics = greedy_metrics(solutions, resampling)
    tables = {"samples": samples, "steps": steps, "judged": judged, "outcomes": outcomes}
    tokens = [samples["completion_tokens"].sum()]
    if settings.evaluate.majority:
        votes, verdicts = _majority_samples(problems, policy, settings, clock, label)
        with clock.part("majority_vote"):
            winners = majority_winners(votes, verdicts, lambda pairs: _equal(pairs, settings))
        metrics[f"maj_at_{settings.evaluate.majority}"] = majority_metric(winners, resampling)
        tables |= {"majority/samples": votes, "majority/outcomes": verdicts}
        tokens.append(votes["completion_tokens"].sum())
    report = {
        "policy": policy.hash,
        "split": settings.evaluate.split,
        "majority": settings.evaluate.majority,
        "temperature": settings.evaluate.temperature,
        "interval": {"level": LEVEL, "method": "percentile bootstrap over problems", "resamples": resampling.resamples},
        "metrics": {name: estimate.report() for name, estimate in metrics.items()},
        "counts": {"problems": problems.height, **{name: table.height for name, table in tables.items()}},
        "completion_tokens": sum(tokens),
        "examples": choose_examples(problems, samples, steps, judged, solutions),
        "seconds_by_part": clock.seconds,
    }
    return Evaluation(tables, report)


def _check_can_sample(policy: Policy, params: SampleParams) -> None:
    """Refuse what has nothing to draw a greedy solution from."""
    if policy.repo is None and not any(policy.folder.glob("*.safetensors")):
        raise ValueError(
            f"{policy.folder}: this policy has no weights (seed_model.kind none), so it cannot be evaluated"
        )
    if params.engine == "recorded":
        raise ValueError(
            "sample.engine: recorded solutions cannot be drawn greedily or for a vote; name another engine"
        )


def _majority_samples(
    problems: pl.DataFrame, policy: Policy, settings: Settings, clock: _Clock, label: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """SAMPLE and OUTCOME rows of the samples that vote."""
    params = settings.sample.model_copy(update={
        "temperature": settings.evaluate.temperature, "samples": settings.evaluate.majority, "problems": None,
    })  # fmt: skip
    with clock.part("majority_sample"):
        samples = sample_problems(problems, policy, params, settings.runtime, settings.seed, f"{label} majority")
    with clock.part("majority_grade"):
        outcomes = grade_samples(problems, samples, settings.outcome, settings.runtime.workers)
    return samples, outcomes


def _equal(pairs: Sequence[Pair], settings: Settings) -> list[bool | None]:
    """The grader's equality of two sampled answers."""
    # The grader takes a solution for its second: in a box, the answer is all that it finds there.
    boxed = [(earlier, f"\\boxed{{{later}}}") for earlier, later in pairs]
    verdicts = grade_many(boxed, settings.runtime.workers, settings.outcome.timeout_s)
    return [verdict.value for verdict in verdicts]
