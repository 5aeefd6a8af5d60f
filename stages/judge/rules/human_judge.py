"""Labels by people in the place of a judge's."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from stages.common.human_labels import ANOTHER_TEXT, HumanLabel, hash_step_text, read_human_labels
from stages.common.provenance import compute_sha256
from stages.common.resolved_labels import ResolvedLabel, resolve_labels
from stages.judge.rules.rule_judge import RuleJudge, StepVerdicts
from stages.judge.step_labels import CompletionSteps, Judgement, StepLabel

NOT_LABELLED = ResolvedLabel(None, "not labelled by a person", 0.0, "not labelled by a person")
OF_ANOTHER_TEXT = ResolvedLabel(None, ANOTHER_TEXT, 0.0, ANOTHER_TEXT)


class HumanJudge(RuleJudge):
    """What people say of a step, where they say the same or where their disagreement was adjudicated."""

    description = "people, whose labels are taken where they agree or were adjudicated; every other step is unknown"
    evidence = "the file of human labels"

    @property
    def _file(self) -> Path:
        assert self.params.human is not None
        return Path(self.params.human.file)

    @cached_property
    def _labels(self) -> dict[tuple[str, int], dict[str, ResolvedLabel]]:
        """By sample_id and step, then by the text's hash; raises `UserError` for no file or one with a bad line."""
        by_text: defaultdict[str, list[HumanLabel]] = defaultdict(list)
        for label in read_human_labels(self._file):
            by_text[label.text_hash].append(label)
        found: defaultdict[tuple[str, int], dict[str, ResolvedLabel]] = defaultdict(dict)
        for text_hash, labels in by_text.items():
            for key, resolved in resolve_labels(labels).items():
                found[key][text_hash] = resolved
        return dict(found)

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
        by_text = self._labels.get((completion.sample_id, step))
        if by_text is None:
            found = NOT_LABELLED
        else:
            found = by_text.get(hash_step_text(completion.steps[step]), OF_ANOTHER_TEXT)
        return StepLabel(found.is_correct, found.reason, found.agreement, found.unknown_reason)
