"""Evaluation on one set of problems, by the same code that samples, splits, judges and verifies in a round."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import polars as pl

from stages.common.engines import Engine
from stages.common.errors import UserError
from stages.common.policies import Policy
from stages.common.runs import record_facts
from stages.common.statistics import BY_PROBLEM, Counts, format_counts
from stages.common.tables import DropLog, content_hash
from stages.common.verifiers import VERIFIERS
from stages.evaluate.bias_correction import correct_bias
from stages.evaluate.evaluation_params import EvaluationParams
from stages.evaluate.examples import choose_examples
from stages.evaluate.metrics import (
    COMPARED_METRICS,
    count_apparent_errors,
    count_completions,
    count_formats,
    count_greedy,
    summarize_samples,
)
from stages.evaluate.several_samples import AnswerPair, count_samples
from stages.judge import judge_samples, make_judge
from stages.outcome import verify_samples
from stages.sample import sample_problems
from stages.split import split_samples


@dataclass(frozen=True)
class ProblemSetResult:
    """One set's tables by the folder they are written to, and its part of the report."""

    tables: dict[str, pl.DataFrame]
    report: dict[str, Any]


@dataclass
class ProblemSetRun:
    """The evaluation of `policy` on all of `problems` (PROBLEM rows); `desc` titles the progress bars.

    All samples are drawn first (`draw`), so that the policy's engine can be closed before a judge's needs its memory;
    then `evaluate_problems` judges and verifies them.
    """

    problems: pl.DataFrame
    policy: Policy
    params: EvaluationParams
    desc: str
    samples: dict[str, pl.DataFrame] = field(default_factory=dict)
    """SAMPLE rows by how they were drawn: "greedy" and "majority", or "recorded"."""
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    drops: DropLog = field(default_factory=DropLog)
    llm_usage: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def measure_phase(self, prefix: str, phase: str) -> Iterator[dict[str, Any]]:
        """Record the phase's seconds with the run, and keep the LLM usage that it enters into the yielded dict."""
        started = time.monotonic()
        usage: dict[str, Any] = {}
        yield usage
        record_facts(seconds={f"{self.desc} {prefix} {phase}": round(time.monotonic() - started, 2)})
        self.llm_usage |= {f"{prefix} {name}": used for name, used in usage.items()}

    def draw(self, engine: Engine | None) -> None:
        """Draw all samples, with an engine of `open_engine`."""
        own = self.params.evaluate
        if self.params.is_recorded:
            self._sample("recorded", engine, num_samples=own.num_majority_samples)
            return
        self._sample("greedy", engine, temperature=0.0, num_samples=1)
        if own.num_majority_samples:
            self._sample("majority", engine, temperature=own.temperature, num_samples=own.num_majority_samples)

    def _sample(self, prefix: str, engine: Engine | None, **changes: Any) -> None:
        """Keep SAMPLE rows of all problems by the recipe's `sample` params with `changes`."""
        params = self.params.sample.model_copy(update={"num_problems": None, **changes})
        with self.measure_phase(prefix, "sample") as usage:
            self.samples[prefix] = sample_problems(
                self.problems,
                self.policy,
                params,
                self.params.runtime,
                self.params.seed,
                f"{self.desc} {prefix}",
                self.drops,
                usage,
                engine,
            )

    def judge(self, samples: pl.DataFrame, prefix: str) -> pl.DataFrame:
        """Split and judge `samples` (SAMPLE rows), keep the tables and any replies; returns LABEL rows."""
        judge, seed = self.params.evaluation_judge, self.params.seed
        with self.measure_phase(prefix, "judge") as usage:
            steps = split_samples(samples, self.params.split, f"{self.desc} split", usage)
            labels = judge_samples(self.problems, samples, steps, judge, seed, f"{self.desc} judge", usage)
        self.tables |= {"samples": samples, "steps": steps, "labels": labels.labels}
        if make_judge(judge, seed).has_replies:
            self.tables["labels/replies"] = labels.replies
        return labels.labels

    def verify(self, samples: pl.DataFrame, prefix: str) -> pl.DataFrame:
        """OUTCOME rows of `samples` (SAMPLE rows)."""
        with self.measure_phase(prefix, "verify"):
            return verify_samples(self.problems, samples, self.params.outcome, self.params.runtime.num_workers)

    def count_samples(self, samples: pl.DataFrame, outcomes: pl.DataFrame) -> dict[str, Counts]:
        """Counts over several samples per problem."""
        with self.measure_phase("majority", "vote"):
            k = self.params.evaluate.num_majority_samples
            return count_samples(
                samples, outcomes, k, partial(compare_answers, params=self.params, task=get_task(self.problems))
            )


def evaluate_problems(run: ProblemSetRun) -> ProblemSetResult:
    """Judge and verify what was drawn, and measure it.

    Greedy completions are split, judged and verified; of the `evaluate.num_majority_samples` further samples per
    problem only the answers are verified. Recorded completions are all judged and verified, and none is greedy.
    """
    problems, params = run.problems, run.params
    counts, summary = _count_recorded(run) if params.is_recorded else _count_sampled(run)
    bootstrap = params.bootstrap
    metrics = {name: it.estimate(bootstrap) for name, it in counts.items()}
    if rates := params.evaluate.judge_rates:
        apparent = count_apparent_errors(summary)
        metrics["stepwise_error_apparent"] = apparent.estimate(bootstrap)
        metrics["stepwise_error_bias_corrected"] = correct_bias(apparent, rates, bootstrap)
    tables = run.tables
    samples = [table for name, table in tables.items() if name.endswith("samples")]
    report = {
        "metrics": {name: estimate.to_dict() for name, estimate in metrics.items()},
        "num_rows": {"problems": problems.height, **{name: table.height for name, table in tables.items()}},
        "completion_tokens": sum(table["completion_tokens"].sum() for table in samples),
        "examples": choose_examples(problems, tables["samples"], tables["steps"], tables["labels"], summary),
        BY_PROBLEM: _format_by_problem(counts),
        "drops": run.drops.report(),
        "llm_usage": run.llm_usage,
    }
    return ProblemSetResult(tables, report)


def _count_sampled(run: ProblemSetRun) -> tuple[dict[str, Counts], pl.DataFrame]:
    """Counts of completions sampled from the policy, and a summary of the greedy ones (`summarize_samples`)."""
    samples = run.samples["greedy"]
    labels = run.judge(samples, "greedy")
    run.tables["outcomes"] = run.verify(samples, "greedy")
    summary = summarize_samples(samples, labels, run.tables["outcomes"])
    counts = count_greedy(summary)
    if "majority" in run.samples:
        samples = run.samples["majority"]
        outcomes = run.verify(samples, "majority")
        counts |= run.count_samples(samples, outcomes)
        formats = count_formats(samples.join(outcomes.select("sample_id", "answer"), on="sample_id", validate="1:1"))
        counts |= {f"sampled_{name}": it for name, it in formats.items()}
        run.tables |= {"majority/samples": samples, "majority/outcomes": outcomes}
    return counts, summary


def _count_recorded(run: ProblemSetRun) -> tuple[dict[str, Counts], pl.DataFrame]:
    """Counts of recorded completions, and their summary (`summarize_samples`)."""
    samples = run.samples["recorded"]
    for missing in run.problems.join(samples, on="problem_id", how="anti").sort("problem_id").iter_rows(named=True):
        run.drops.drop("no recorded completion", missing["problem_id"], missing["problem"])
    if samples.is_empty():
        raise UserError(f"{run.desc}: none of {run.problems.height} problems has a recorded completion")
    labels = run.judge(samples, "recorded")
    outcomes = run.tables["outcomes"] = run.verify(samples, "recorded")
    summary = summarize_samples(samples, labels, outcomes)
    counts = count_completions(summary) | run.count_samples(samples, outcomes)
    del counts["truncated"]  # not recorded
    return counts, summary


def get_task(problems: pl.DataFrame) -> str:
    """The task of `problems` (PROBLEM rows), which chooses the verifier; `UserError` if they have several."""
    tasks = problems["task"].unique().sort().to_list()
    if len(tasks) != 1:
        raise UserError(f"problems: task: expected one task for a majority vote, found {tasks}")
    return str(tasks[0])


def compare_answers(pairs: Sequence[AnswerPair], params: EvaluationParams, task: str) -> list[bool | None]:
    """Whether the two sampled answers of each pair are equal by the verifier of `task`."""
    verifier = VERIFIERS.get(task)(params.runtime.num_workers, params.outcome.timeout_s, params.outcome.guess)
    with closing(verifier):
        return verifier.equal_many(pairs)


def _format_by_problem(counts: dict[str, Counts]) -> dict[str, Any]:
    """The counts by which rounds are compared, and a hash of the problems that they belong to."""
    compared = {
        name: it for name, it in counts.items() if name in COMPARED_METRICS or name.startswith(("avg_at_", "maj_at_"))
    }
    problems = {it.problems for it in compared.values()}
    if len(problems) != 1:
        raise ValueError(f"metrics count {len(problems)} different sets of problems")
    return {"problems": content_hash(*problems.pop()), **{name: format_counts(it) for name, it in compared.items()}}
