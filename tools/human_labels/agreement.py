"""How far people agree with one another, with gold items, and judges with people; with intervals over problems."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import get_args

import numpy as np
import polars as pl

from stages.common.human_labels import HumanLabel, StepLabel
from stages.common.resolved_labels import PEOPLE_DISAGREE, resolve_labels
from stages.common.statistics import (
    CONTINGENCY_CELLS,
    Bootstrap,
    Estimate,
    count_by_problem,
    count_coincidences,
    estimate_alpha,
    estimate_kappa,
)
from stages.judge.calibration import SPLITS, choose_split
from tools.audit.label_page.gold_items import find_first_errors, score_gold

BOOTSTRAP = Bootstrap(num_samples=1000, seed=0)

QUEUES = {"random": "drawn at random", "value": "chosen by value", "browsing": "found by browsing"}
"""Queues from which people get items, as lines name them; only the first gives rates of all steps."""

StepKey = tuple[str, int]


def describe_agreement(labels: Sequence[HumanLabel], gold: Sequence[HumanLabel] = ()) -> Iterator[str]:
    """Lines on `labels`, of which each counts (see `read_human_labels`); `gold` are the known labels of gold items.

    Only labels that were given blind are compared with a judge's, since the judge's own in view anchors people.
    """
    own = [label for label in labels if label.kind in ("own", "imported")]
    yield from _describe_people(own)
    yield from _describe_rates(labels)
    yield from _describe_gold([label for label in labels if label.kind == "gold"], gold)
    yield from _describe_judges(labels)


def group_by_step(labels: Iterable[HumanLabel]) -> dict[StepKey, dict[str, HumanLabel]]:
    """The label of each annotator on each step, the steps sorted."""
    grouped: dict[StepKey, dict[str, HumanLabel]] = defaultdict(dict)
    for label in labels:
        grouped[label.sample_id, label.step][label.annotator] = label
    return dict(sorted(grouped.items()))


def _describe_people(own: Sequence[HumanLabel]) -> Iterator[str]:
    """Krippendorff's alpha of all people, then each two of them who labelled the same steps."""
    shared = [list(it.values()) for it in group_by_step(own).values() if len(it) > 1]
    people = sorted({label.annotator for of_step in shared for label in of_step})
    if not shared:
        yield "no step was labelled by two people"
        return
    names = get_args(StepLabel)
    given = [[(label.problem_id, names.index(label.label)) for label in of_step] for of_step in shared]
    known = [
        [(label.problem_id, int(label.is_correct)) for label in of_step if label.is_correct is not None]
        for of_step in shared
    ]
    yield (
        f"{len(shared):,} steps labelled by several of {len(people)} people: Krippendorff's alpha "
        f"{_format_value(_estimate_alpha(given, len(names)))} of the labels as given, "
        f"{_format_value(_estimate_alpha(known, 2))} of correct and incorrect"
    )
    for first, second in combinations(people, 2):
        pairs = [
            (both[first], both[second]) for both in group_by_step(own).values() if first in both and second in both
        ]
        if pairs:
            rows = [(it.problem_id, it.is_correct, other.is_correct) for it, other in pairs]
            yield f"{first}, {second}: agree on {_format_agreement(rows)}"


def _describe_rates(labels: Sequence[HumanLabel]) -> Iterator[str]:
    """The fraction of incorrect steps by the queue that they came from."""
    resolved = resolve_labels(labels)
    problems = {(label.sample_id, label.step): label.problem_id for label in labels}
    for queue, name in QUEUES.items():
        queued = {(it.sample_id, it.step) for it in labels if it.queue == queue and it.kind in ("own", "imported")}
        known = [
            (problems[key], not resolved[key].is_correct) for key in queued if resolved[key].is_correct is not None
        ]
        if queued:
            yield (
                f"steps {name}: {_format_rate(_estimate_rate(known))} incorrect; "
                f"{len(queued) - len(known):,} more unknown, of which people disagree on "
                f"{sum(resolved[key].unknown_reason == PEOPLE_DISAGREE for key in queued):,}"
            )


def _describe_gold(answers: Sequence[HumanLabel], gold: Sequence[HumanLabel]) -> Iterator[str]:
    """A score per person on the gold items whose label is known."""
    known = {key: it.is_correct for key, it in resolve_labels(gold).items() if it.is_correct is not None}
    if answers and not known:
        yield f"{len(answers):,} labels of gold items: name the file with their known labels by --gold"
    for name in sorted({label.annotator for label in answers}) if known else ():
        answered = [it for it in answers if it.annotator == name and (it.sample_id, it.step) in known]
        hits = [(it.problem_id, it.is_correct is known[it.sample_id, it.step]) for it in answered]
        yield f"{name} on gold items: {_format_rate(_estimate_rate(hits))} as known"
    first_errors = {key: step for key, (is_known, step) in find_first_errors(gold).items() if is_known}
    for name, score in score_gold(answers, first_errors).items():
        yield f"{name}: the first error, or that there is none, found blind in {score}"


def _describe_judges(labels: Sequence[HumanLabel]) -> Iterator[str]:
    """Agreement and Cohen's kappa of each judge with people, by split and by queue."""
    resolved = resolve_labels([label for label in labels if label.is_blind or label.kind == "adjudicated"])
    first: dict[tuple[str, str, str, StepKey], HumanLabel] = {}
    for label in labels:
        key = (label.sample_id, label.step)
        if label.kind in ("own", "imported") and label.judge_label != "none" and key in resolved:
            first.setdefault((label.judge, choose_split(label.problem_id), label.queue, key), label)
    for judge in sorted({judge for judge, *_ in first}):
        for split in reversed(SPLITS):
            for queue, name in QUEUES.items():
                of_judge = [label for it, label in first.items() if it[:3] == (judge, split, queue)]
                rows = [
                    (it.problem_id, _TO_BOOL[it.judge_label], resolved[it.sample_id, it.step].is_correct)
                    for it in of_judge
                ]
                if rows:
                    yield f"judge {judge}, {split}, steps {name}: agrees on {_format_agreement(rows)}"
    if num_seen := sum(not label.is_blind for label in labels if label.kind in ("own", "imported")):
        yield f"{num_seen:,} labels were given with the judge's in view, and do not measure it"


_TO_BOOL = {"correct": True, "incorrect": False, "unknown": None}


def _format_agreement(rows: Sequence[tuple[str, bool | None, bool | None]]) -> str:
    """Agreement and kappa of two raters over rows of problem_id and both labels; unknown ones are only counted."""
    known = [(problem, one, two) for problem, one, two in rows if one is not None and two is not None]
    cells: dict[str, list[int]] = defaultdict(lambda: [0] * len(CONTINGENCY_CELLS))
    for problem, one, two in known:
        cells[problem][CONTINGENCY_CELLS.index((one, two))] += 1
    rate = _estimate_rate([(problem, one == two) for problem, one, two in known])
    kappa = estimate_kappa(np.array([cells[problem] for problem in sorted(cells)]), BOOTSTRAP)
    more = f"; {len(rows) - len(known):,} more are unknown to one" if len(known) < len(rows) else ""
    return f"{_format_rate(rate)}, Cohen's kappa {_format_value(kappa)}{more}"


def _estimate_alpha(units: Sequence[list[tuple[str, int]]], num_values: int) -> dict[str, float | None]:
    """Alpha over units, each with problem_id and value of every label."""
    by_problem: dict[str, list[list[int]]] = defaultdict(list)
    for unit in units:
        if unit:
            by_problem[unit[0][0]].append([value for _, value in unit])
    return estimate_alpha([count_coincidences(it, num_values) for _, it in sorted(by_problem.items())], BOOTSTRAP)


def _estimate_rate(hits: Sequence[tuple[str, bool]]) -> Estimate:
    frame = pl.DataFrame(hits, schema={"problem_id": pl.String, "hit": pl.Boolean}, orient="row")
    return count_by_problem(frame, pl.col("hit"), pl.lit(value=True)).estimate(BOOTSTRAP)


def _format_rate(rate: Estimate) -> str:
    if rate.value is None:
        return "none of 0 steps"
    return f"{rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}] of {rate.denominator:,} steps"


def _format_value(estimate: dict[str, float | None]) -> str:
    if estimate["value"] is None:
        return "not defined"
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"
