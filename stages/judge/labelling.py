"""A judge labels every step of every sample. A kind of judge is a subclass of `Judge` and a line in `JUDGES`."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from stages.common.params.judge import JudgeParams, LlmJudgeParams
from stages.common.registry import Registry
from stages.common.tables import LABEL, REPLY, content_hash, hash_to_unit
from stages.judge.step_labels import (
    CompletionSteps,
    Judgement,
    LabelEvidence,
    SampleLabels,
    StepLabel,
    find_first_error,
    join_completions,
)


@dataclass(frozen=True)
class Labels:
    """Labels of some steps, and how they came about."""

    labels: pl.DataFrame
    """LABEL rows."""
    replies: pl.DataFrame
    """REPLY rows; none for a judge without language models."""
    unknown_reasons: Counter[str]
    """Unknown steps by reason."""
    invalid_replies: Counter[str]
    """Invalid replies by what is wrong with them."""


class Judge(ABC):
    """One kind of judge. `open` loads what `label` needs; everything else works on a judge that is not open."""

    description = "see the project's params"
    """What labels the steps, for cards: a clause without a full stop."""
    evidence = "the judge"
    """What labels follow from, for an audit's messages: ``label is True, {evidence} gives False``."""
    audit_note: str | None = None
    """What an audit cannot repeat; None where it can repeat everything."""
    has_replies = False
    """Whether it keeps REPLY rows."""
    is_model = False
    """Whether a model labels, so that it is checked for signs of a degenerate judge (`judge.checks`) first."""

    def __init__(self, params: JudgeParams, seed: int) -> None:
        self.params = params
        self.seed = seed
        self.model: str | None = None
        """The first model, None for a rule."""
        self.llms: list[LlmJudgeParams] = []
        """The language models that vote."""

    @abstractmethod
    def identify(self) -> Any:
        """JSON value of all that determines its labels, besides the params that every kind has.

        Raises `UserError` where a prompt or a model is not there.
        """

    @abstractmethod
    def label_steps(self, completions: Sequence[CompletionSteps]) -> Judgement:
        """A label for each step of `completions`. Raises `UserError` where it cannot go on; finished work is kept."""

    @contextmanager
    def open(self, desc: str) -> Iterator[None]:  # noqa: ARG002
        """Hold engines, models and journals open; `desc` is the progress bar's title."""
        yield

    def report_usage(self) -> dict[str, Any]:
        """Tokens and cost of this run by judge (``judge``, ``second judge``); empty without language models."""
        return {}

    def recount(self, evidence: LabelEvidence) -> pl.DataFrame | None:  # noqa: ARG002
        """The columns of LABEL rows that follow from `evidence`; None where they cannot be derived."""
        return None

    @cached_property
    def identity(self) -> str:
        """Hash of what makes this judge what it is; every row that it labels holds it."""
        shared = self.params.model_dump(mode="json", include={"kind", "num_votes", "min_agreement", "label_noise"})
        return content_hash("judge", shared, self.identify(), self.seed if self.params.label_noise else None)

    def label(self, problems: pl.DataFrame, samples: pl.DataFrame, steps: pl.DataFrame) -> Labels:
        """Label `steps` (STEP rows) of `samples` (SAMPLE rows) of `problems` (PROBLEM rows); see `label_steps`."""
        completions = list(join_completions(problems, samples, steps))
        judgement = self.label_steps(completions)
        labels = judgement.labels
        return Labels(
            self._build_rows({each.sample_id: each.problem_id for each in completions}, labels, self.identity),
            pl.DataFrame(judgement.replies, schema=REPLY.schema),
            Counter(
                label.unknown_reason for of_sample in labels.values() for label in of_sample if label.unknown_reason
            ),
            judgement.invalid_replies,
        )

    def build_recounted_rows(self, evidence: LabelEvidence, labels: SampleLabels) -> pl.DataFrame:
        """LABEL rows, without the column `judge`, of recounted `labels`; an empty reason is taken from the evidence."""
        problem_ids = dict(evidence.steps.select("sample_id", "problem_id").unique().iter_rows())
        given = evidence.labels.select("sample_id", "step", given="reason")
        rows = self._build_rows(problem_ids, labels, "").join(given, on=["sample_id", "step"], how="left")
        reason = pl.when(pl.col("reason") == "").then("given").otherwise("reason")
        return rows.with_columns(reason=reason).drop("given", "judge")

    def _build_rows(self, problem_ids: dict[str, str], labels: SampleLabels, identity: str) -> pl.DataFrame:
        rows: list[tuple[Any, ...]] = []
        for sample_id, problem_id in problem_ids.items():
            noisy = [self._add_noise(label, sample_id, step) for step, label in enumerate(labels[sample_id])]
            first_error = find_first_error([label.is_correct for label in noisy])
            for step, label in enumerate(noisy):
                vote = (label.is_correct, label.reason, self.params.num_votes, label.agreement)
                rows.append((sample_id, problem_id, step, *vote, first_error, identity))
        return pl.DataFrame(rows, schema=LABEL.schema, orient="row")

    def _add_noise(self, label: StepLabel, sample_id: str, step: int) -> StepLabel:
        """The opposite label for a fraction `label_noise` of the known ones, chosen by hash."""
        if label.is_correct is None or hash_to_unit("flip", self.seed, sample_id, step) >= self.params.label_noise:
            return label
        return StepLabel(not label.is_correct, f"{NOISE_PREFIX}{label.reason}", label.agreement)


NOISE_PREFIX = "flipped on purpose: "
"""Begins the reason of a label flipped by `judge.label_noise`."""

JUDGES: Registry[type[Judge]] = Registry(
    "judge",
    {
        "arithmetic": "stages.judge.rules.rule_judge:ArithmeticJudge",
        "human": "stages.judge.rules.human_judge:HumanJudge",
        "llm": "stages.judge.llm.llm_judge:LlmJudge",
        "none": "stages.judge.rules.rule_judge:NoJudge",
        "prm": "stages.judge.prm.prm_judge:PrmJudge",
        "reference": "stages.judge.rules.reference.reference_judge:ReferenceJudge",
        "rules": "stages.judge.rules.rule_judge:RuleListJudge",
        "toy_arithmetic": "stages.judge.rules.rule_judge:ToyArithmeticJudge",
    },
)
"""The kinds of judges; a kind from outside is added with ``JUDGES.register(kind, judge_class, params_class)``."""


def make_judge(params: JudgeParams, seed: int) -> Judge:
    """The judge of `params`; nothing is loaded or sent. `seed` determines sampled votes and label noise."""
    return JUDGES.get(params.kind)(params, seed)


@contextmanager
def open_judge(params: JudgeParams, seed: int, desc: str) -> Iterator[Judge]:
    """The judge of `params`, ready to label; `desc` is the progress bar's title.

    Raises `UserError` for an engine or a prompt, and for a model's folder that is not there.
    """
    judge = make_judge(params, seed)
    with judge.open(desc):
        yield judge


def judge_samples(
    problems: pl.DataFrame,
    samples: pl.DataFrame,
    steps: pl.DataFrame,
    params: JudgeParams,
    seed: int,
    desc: str = "judge",
    llm_usage: dict[str, Any] | None = None,
) -> Labels:
    """Labels of one table of steps; see `open_judge` and `Judge.label`. Adds what it cost to `llm_usage`."""
    with open_judge(params, seed, desc) as judge:
        labels = judge.label(problems, samples, steps)
        if llm_usage is not None:
            llm_usage |= judge.report_usage()
        return labels
