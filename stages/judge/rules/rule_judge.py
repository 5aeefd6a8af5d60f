"""Judges that need no model: rules over a problem and the texts of a completion's steps."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import polars as pl

from stages.common.errors import UserError
from stages.common.params.judge import JudgeParams
from stages.common.toy_arithmetic import judge_step, parse_problem
from stages.judge.labelling import JUDGES, Judge
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
    def apply_rule(self, completion: CompletionSteps) -> StepVerdicts:
        """Verdict and reason of each step of one completion."""

    def identify(self) -> Any:
        """Nothing besides the kind."""

    def label_steps(self, completions: Sequence[CompletionSteps]) -> Judgement:
        """What the rule says."""
        return Judgement({
            each.sample_id: [self._make_label(*verdict) for verdict in self.apply_rule(each)] for each in completions
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

    def apply_rule(self, completion: CompletionSteps) -> StepVerdicts:
        """See `judge_arithmetic`."""
        return judge_arithmetic(completion.problem, list(completion.steps))


class ToyArithmeticJudge(RuleJudge):
    """The exact rule of toy arithmetic."""

    description = "the exact rule of toy arithmetic, which parses and recomputes each step; no model"

    def apply_rule(self, completion: CompletionSteps) -> StepVerdicts:
        """See `judge_toy_arithmetic`."""
        return judge_toy_arithmetic(completion.problem, list(completion.steps))


class NoJudge(RuleJudge):
    """Leaves every step unknown."""

    description = "nothing: every step is unknown"

    def apply_rule(self, completion: CompletionSteps) -> StepVerdicts:
        """Unknown for each step."""
        return [(None, "no judge")] * len(completion.steps)


class RuleListJudge(RuleJudge):
    """Several rules: the first that calls a step correct or incorrect labels it, and its reason says which."""

    def __init__(self, params: JudgeParams, seed: int) -> None:
        super().__init__(params, seed)
        self._rules = {kind: self._make_rule(kind, seed) for kind in params.rules or ()}
        self.description = "rules, of which the first that knows labels a step: " + "; ".join(
            rule.description for rule in self._rules.values()
        )

    def _make_rule(self, kind: str, seed: int) -> RuleJudge:
        judge = JUDGES.get(kind)
        if not issubclass(judge, RuleJudge) or issubclass(judge, RuleListJudge):
            raise UserError(f"judge.rules: expected kinds of rules such as arithmetic or reference, found {kind}")
        return judge(self.params, seed)

    def identify(self) -> Any:
        """The rules in order."""
        return [[kind, rule.identify()] for kind, rule in self._rules.items()]

    def apply_rule(self, completion: CompletionSteps) -> StepVerdicts:
        """The first verdict that is known; else the reasons of all."""
        by_rule = [(kind, rule.apply_rule(completion)) for kind, rule in self._rules.items()]
        return [
            self._choose([(kind, *labels[step]) for kind, labels in by_rule]) for step in range(len(completion.steps))
        ]

    def _choose(self, labels: list[tuple[str, bool | None, str]]) -> tuple[bool | None, str]:
        known = next(
            ((is_correct, f"{kind}: {reason}") for kind, is_correct, reason in labels if is_correct is not None), None
        )
        return known or (None, "; ".join(f"{kind}: {reason}" for kind, _, reason in labels))
