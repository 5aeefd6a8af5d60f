"""Judges that need no model: rules over a problem and the texts of a completion's steps."""

from abc import abstractmethod
from collections.abc import Sequence

import polars as pl

from stages.common.toy_arithmetic import judge_step, parse_problem
from stages.judge.labelling import Judge
from stages.judge.rules.arithmetic import judge_arithmetic
from stages.judge.step_labels import CompletionSteps, Judgement, LabelEvidence, StepLabel

StepVerdicts = list[tuple[bool | None, str]]
"""Per step: correct, incorrect or unknown, and the reason."""


def judge_toy_arithmetic(problem: str, steps: list[str]) -> StepVerdicts:
    """Verdict and reason of each step; all unknown if `problem` is not of toy arithmetic."""
    try:
        parsed = parse_problem(problem)
    except ValueError as error:
        return [(None, str(error))] * len(steps)
    verdicts: StepVerdicts = []
    before: str | None = None
    for position, step in enumerate(steps):
        verdict = judge_step(parsed, position, step, before)
        verdicts.append((verdict.is_correct, verdict.reason))
        before = verdict.result
    return verdicts


class RuleJudge(Judge):
    """A judge that is a function. An audit applies it again."""

    evidence = "the rule"

    @abstractmethod
    def apply_rule(self, problem: str, steps: list[str]) -> StepVerdicts:
        """Verdict and reason of each step of one completion."""

    def identify(self) -> None:
        """Nothing besides the kind."""

    def label_steps(self, completions: Sequence[CompletionSteps]) -> Judgement:
        """What the rule says."""
        return Judgement({
            each.sample_id: [self._make_label(*verdict) for verdict in self.apply_rule(each.problem, list(each.steps))]
            for each in completions
        })  # fmt: skip

    def recount(self, evidence: LabelEvidence) -> pl.DataFrame:
        """The rows that it would write."""
        return self.label(evidence.problems, evidence.samples, evidence.steps).labels

    def _make_label(self, is_correct: bool | None, reason: str) -> StepLabel:
        if is_correct is None:
            return StepLabel(None, reason, 0.0, f"rule {self.params.kind} cannot tell")
        return StepLabel(is_correct, reason, 1.0)


class ArithmeticJudge(RuleJudge):
    """False numeric equalities in real text."""

    description = "a rule: a step is incorrect if it states a false numeric equality, and unknown otherwise"
    apply_rule = staticmethod(judge_arithmetic)


class ToyArithmeticJudge(RuleJudge):
    """The exact rule of toy arithmetic."""

    description = "the exact rule of toy arithmetic, which parses and recomputes each step; no model"
    apply_rule = staticmethod(judge_toy_arithmetic)


class NoJudge(RuleJudge):
    """Leaves every step unknown."""

    description = "nothing: every step is unknown"

    def apply_rule(self, problem: str, steps: list[str]) -> StepVerdicts:  # noqa: ARG002
        """Unknown for each step."""
        return [(None, "no judge")] * len(steps)
