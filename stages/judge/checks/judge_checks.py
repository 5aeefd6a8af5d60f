"""The checks of a judge on the first completions of a round, as a report, and as the error that stops the stage."""

import logging
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from stages.common.engines import find_engine_kind
from stages.common.errors import UserError
from stages.judge.checks.probes import mismatch_problems, rotate_steps
from stages.judge.checks.symptoms import (
    Symptom,
    compute_rate,
    compute_repeated,
    find_main_label,
    list_copied,
    list_identical,
)
from stages.judge.label_stats import divide
from stages.judge.labelling import Judge
from stages.judge.llm import ReplyForm, read_template
from stages.judge.step_labels import CompletionSteps, Judgement, SampleLabels

logger = logging.getLogger(__name__)


def check_judge(
    judge: Judge, completions: Iterable[CompletionSteps], calibration: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Look for the signs of `judge.params.checks` on the first of `completions`; None for a judge that is no model.

    `calibration` is the report of the gate. `judge` is open, and labels the completions and altered copies of them;
    its replies and scores are kept like all others, so that a run that was killed pays for none of them again. In the
    report, `found` holds a sentence per symptom; see `raise_degenerate`.
    """
    if not judge.is_model:
        return None
    chosen = list(islice((each for each in completions if each.steps), judge.params.checks.num_completions))
    if not chosen:
        return None
    judgement = judge.label_steps(chosen)
    position, num_rotated = _check_position(judge, chosen, judgement.labels)
    label, expected, num_mismatched = _check_labels(judge, chosen, judgement.labels, calibration)
    symptoms = [position, label, *_check_rationales(judge, chosen, judgement)]
    found = [str(symptom) for symptom in symptoms if symptom.is_found]
    for text in found if not judge.params.checks.stop else ():
        logger.warning("the judge may be degenerate: %s", text)
    return {
        "completions": len(chosen),
        "probes": {"rotated": num_rotated, "mismatched": num_mismatched},
        "expected_incorrect": expected,
        "symptoms": {symptom.name: symptom.report() for symptom in symptoms},
        "found": found,
    }


def raise_degenerate(checks: dict[str, Any], report: Path) -> None:
    """Raise `UserError` where `check_judge` found something; `report` is the file with all measures."""
    if checks["found"]:
        raise UserError(
            f"judge.checks: on {checks['completions']} completions the judge looks degenerate: "
            f"{'; '.join(checks['found'])}; nothing is labelled. Choose another model or prompt, or set "
            f"judge.checks.stop: false to label all the same. All measures: {report}"
        )


def _check_position(judge: Judge, chosen: Sequence[CompletionSteps], labels: SampleLabels) -> tuple[Symptom, int]:
    """Labels that stay where they are when the steps are rotated; and the number of rotated completions."""
    rotated = [
        probe
        for each in chosen
        if (probe := rotate_steps(each, [label.is_correct for label in labels[each.sample_id]])) is not None
    ]
    threshold = judge.params.checks.position
    new = judge.label_steps([probe.completion for probe in rotated]).labels if rotated and threshold is not None else {}
    stays = [
        stay
        for probe in rotated
        if probe.completion.sample_id in new
        for stay in probe.list_telling_labels([label.is_correct for label in new[probe.completion.sample_id]])
    ]
    description = "labels follow the position of a step, not its text: they stay when the steps are rotated"
    return Symptom("position", *compute_rate(stays), threshold, description), len(new)


def _check_labels(
    judge: Judge, chosen: Sequence[CompletionSteps], labels: SampleLabels, calibration: dict[str, Any] | None
) -> tuple[Symptom, float, int]:
    """The most frequent label; the fraction of incorrect steps to expect; the number of mismatched completions.

    One label everywhere may be right where all steps are: so it counts only against what is to be expected, and where
    the judge says the same of the same steps below other problems.
    """
    threshold = judge.params.checks.one_label
    incorrect = judge.params.checks.expected_incorrect
    if calibration is not None:
        counts = {truth: sum(row.values()) for truth, row in calibration["steps"]["confusion"].items()}
        incorrect = divide(counts["incorrect"], sum(counts.values())) or incorrect
    known = _list_known(labels)
    main = find_main_label(known)
    value, count = compute_rate([label is main for label in known])
    description = f"nearly every step is called {'correct' if main else 'incorrect'}"
    is_explained, num_mismatched = False, 0
    if value is not None and threshold is not None and value >= threshold:
        is_explained = 1 - value >= (incorrect if main else 1 - incorrect) / 2
        if main and not is_explained and (mismatched := mismatch_problems(chosen)):
            num_mismatched = len(mismatched)
            elsewhere = _list_known(judge.label_steps(mismatched).labels)
            is_explained = not elsewhere or sum(elsewhere) / len(elsewhere) < threshold
            description += ", even below the problem of another completion"
    return Symptom("one_label", value, count, threshold, description, is_explained), incorrect, num_mismatched


def _check_rationales(judge: Judge, chosen: Sequence[CompletionSteps], judgement: Judgement) -> list[Symptom]:
    """Rationales that repeat or are copied, and votes that are one; none for a judge that gives no rationales."""
    if not judge.has_replies:
        return []
    params = judge.params.checks
    labels = [label for of_sample in judgement.labels.values() for label in of_sample]
    steps = [pair for each in chosen for pair in zip(each.steps, judgement.labels[each.sample_id], strict=True)]
    templates = [read_template(llm.template) for llm in judge.llms]
    templates += [ReplyForm.find(llm).describe([1, 2]) for llm in judge.llms]
    # A mock's replies do not depend on the seed, at temperature 0 no reply does, and bare verdicts agree anyway.
    sampled = [
        index
        for index, llm in enumerate(judge.llms)
        if llm.temperature != 0 and llm.reasoning != "none" and not find_engine_kind(llm.engine).is_mock
    ]
    return [
        Symptom(
            "repeated_rationale",
            *compute_repeated(labels),
            params.repeated_rationale,
            "nearly every step with the same verdict gets the same rationale",
        ),
        Symptom(
            "copied_rationale",
            *compute_rate(list_copied(steps, templates)),
            params.copied_rationale,
            "rationales are copied from the prompt",
        ),
        Symptom(
            "identical_votes",
            *compute_rate(list_identical(judgement.replies, sampled)),
            params.identical_votes,
            "votes drawn at a temperature above 0 are the same, letter by letter",
        ),
    ]


def _list_known(labels: SampleLabels) -> list[bool]:
    return [label.is_correct for of_sample in labels.values() for label in of_sample if label.is_correct is not None]
