"""Labels by people in the place of a judge's."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from stages.common.human_labels import read_human_labels
from stages.common.provenance import compute_sha256
from stages.common.resolved_labels import ResolvedLabel, resolve_labels
from stages.judge.rules.rule_judge import RuleJudge, StepVerdicts
from stages.judge.step_labels import CompletionSteps, Judgement, StepLabel

NOT_LABELLED = ResolvedLabel(None, "not labelled by a person", 0.0, "not labelled by a person")


class HumanJudge(RuleJudge):
    """What people say of a step, where they say the same or where their disagreement was adjudicated."""

    description = "people, whose labels are taken where they agree or were adjudicated; every other step is unknown"
    evidence = "the file of human labels"

    @property
    def _file(self) -> Path:
        assert self.params.human is not None
        return Path(self.params.human.file)

    @cached_property
    def _labels(self) -> dict[tuple[str, int], ResolvedLabel]:
        """By sample_id and step; raises `UserError` for a file that is not there or holds a bad line."""
        return resolve_labels(read_human_labels(self._file))

    def identify(self) -> Any:
        """The hash of the file's bytes."""
        return compute_sha256(self._file)

    def label_steps(self, completions: Sequence[CompletionSteps]) -> Judgement:
        """The label that people's labels of each step give."""
        return Judgement(
            {each.sample_id: [self._find(each, step) for step in range(len(each.steps))] for each in completions}
        )

    def apply_rule(self, completion: CompletionSteps) -> StepVerdicts:
        """The same without agreement, for a judge of several rules."""
        return [(it.is_correct, it.reason) for it in self.label_steps([completion]).labels[completion.sample_id]]

    def _find(self, completion: CompletionSteps, step: int) -> StepLabel:
        found = self._labels.get((completion.sample_id, step), NOT_LABELLED)
        return StepLabel(found.is_correct, found.reason, found.agreement, found.unknown_reason)
