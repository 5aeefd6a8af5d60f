"""The loss and its gradients against arithmetic on Python floats."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.train.trainer.loss import (
    NO_STEP,
    JointLoss,
    LabelledRatios,
    LossParams,
    ReferencePoint,
    ValueParams,
    compute_joint_loss,
    compute_mean_loss,
    compute_mean_nll,
    compute_value_losses,
    sum_by_step,
)
from stages.train.trainer.reference_point import compute_reference_point
from stages.train.trainer.reference_point_estimator import ReferencePointEstimator

TOLERANCE = 1e-6


@dataclass(frozen=True)
class LossCase:
    """A batch: per row its steps' token log-ratios, step labels, outcome, and the mismatched completion's steps.

    The reference gives every token `reference` nats, so that a token's log-prob is its log-ratio plus that.
    """

    rows: list[list[list[float]]]
    labels: list[list[bool | None]]
    outcomes: list[bool | None]
    mismatched: list[list[list[float]]]
    beta: float
    w_step: float
    lambdas: tuple[float, float, float, float]
    step_beta: float | None = None
    nll_weight: float = 0.0
    nll_on: str = "completions"
    is_normalized: bool = False
    clamps: bool = True
    reference: float = -1.0


@dataclass(frozen=True)
class Expected:
    """Loss, reference points, and the gradient of every token's log-prob."""

    loss: float
    z0: float
    z_step: float
    gradient: list[list[list[float]]]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def term(
    entries: list[tuple[float, bool | None]], z: float, beta: float, desirable: float, undesirable: float
) -> tuple[float, list[float]]:
    """Mean of lambda - v over labelled entries, and its derivative by each log-ratio."""
    known = [entry for entry in entries if entry[1] is not None]
    total, slopes = 0.0, []
    for ratio, label in entries:
        if label is None:
            slopes.append(0.0)
            continue
        sign, weight = (1, desirable) if label else (-1, undesirable)
        v = sigmoid(beta * sign * (ratio - z))
        total += (weight - weight * v) / len(known)
        slopes.append(-weight * v * (1 - v) * beta * sign / len(known))
    return total, slopes


def nll(entries: list[tuple[list[float], bool | None]]) -> tuple[float, list[float]]:
    """Mean over correct entries of minus the mean token log-prob, and its derivative by each token of each entry."""
    correct = sum(label is True for _, label in entries)
    total = sum(-math.fsum(tokens) / max(1, len(tokens)) / correct for tokens, label in entries if label is True)
    slopes = [-1 / max(1, len(tokens)) / correct if label is True else 0.0 for tokens, label in entries]
    return total, slopes


def compute_expected(case: LossCase) -> Expected:
    desirable, undesirable, step_desirable, step_undesirable = case.lambdas

    def size(tokens: list[float]) -> int:
        return max(1, len(tokens)) if case.is_normalized else 1

    def flatten(row: list[list[float]]) -> list[float]:
        return [token for step in row for token in step]

    def estimate(values: list[float]) -> float:
        mean = math.fsum(values) / len(values) if values else 0.0
        return max(0.0, mean) if case.clamps else mean

    z0 = estimate([math.fsum(flatten(row)) / size(flatten(row)) for row in case.mismatched])
    z_step = estimate([math.fsum(step) / size(step) for row in case.mismatched for step in row if step])
    completions = [(flatten(row), label) for row, label in zip(case.rows, case.outcomes, strict=True)]
    steps = [
        (step, label)
        for row, labels in zip(case.rows, case.labels, strict=True)
        for step, label in zip(row, labels, strict=True)
    ]
    outcome, row_slopes = term(
        [(math.fsum(t) / size(t), label) for t, label in completions], z0, case.beta, desirable, undesirable
    )
    step_beta = case.beta if case.step_beta is None else case.step_beta
    step_loss, step_slopes = term(
        [(math.fsum(t) / size(t), label) for t, label in steps], z_step, step_beta, step_desirable, step_undesirable
    )
    has_steps = case.nll_on == "steps"
    nll_loss, nll_slopes = nll(
        [
            ([token + case.reference for token in tokens], label)
            for tokens, label in (steps if has_steps else completions)
        ]
    )
    of_step = iter(zip(step_slopes, nll_slopes if has_steps else [0.0] * len(steps), strict=True))
    gradient: list[list[list[float]]] = []
    for at, row in enumerate(case.rows):
        of_row = row_slopes[at] / size(flatten(row)) + (0.0 if has_steps else case.nll_weight * nll_slopes[at])
        gradient.append([])
        for tokens in row:
            slope, of_nll = next(of_step)
            of_token = of_row + case.w_step * slope / size(tokens) + case.nll_weight * of_nll
            gradient[-1].append([of_token] * len(tokens))
    loss = outcome + case.w_step * step_loss + case.nll_weight * nll_loss
    return Expected(loss, z0, z_step, gradient)


def tensors(rows: list[list[list[float]]]) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Token values [B, T] behind a prompt of two tokens and before padding, their steps, and the number of steps."""
    flat = [[0.25, -0.5, *(token for step in row for token in step)] for row in rows]
    index = [[NO_STEP, NO_STEP, *(at for at, step in enumerate(row) for _ in step)] for row in rows]
    width = max(map(len, flat)) + 1
    values = torch.tensor([row + [9.0] * (width - len(row)) for row in flat], dtype=torch.float64)
    steps = torch.tensor([row + [NO_STEP] * (width - len(row)) for row in index])
    return values, steps, max(1, max(map(len, rows)))


def estimate_point(
    ratio: torch.Tensor, mask: torch.Tensor, known: torch.Tensor, correct: torch.Tensor, clamps: bool = True
) -> ReferencePoint:
    """The reference point of one pass."""
    estimator = ReferencePointEstimator(clamps)
    return compute_reference_point(
        [(ratio, mask)], [(known, known & correct)], take_local, lambda mean: estimator.estimate("outcome", mean)
    )


def compute_loss(case: LossCase) -> tuple[JointLoss, ReferencePoint, ReferencePoint, list[list[list[float]]]]:
    values, index, steps = tensors(case.rows)
    values.requires_grad_(True)
    mismatched_values, mismatched_index, mismatched_steps = tensors(case.mismatched)
    ratio, tokens = sum_by_step(values, index, steps), sum_by_step(torch.ones_like(values), index, steps)
    mismatched = sum_by_step(mismatched_values, mismatched_index, mismatched_steps)
    mismatched_tokens = sum_by_step(torch.ones_like(mismatched_values), mismatched_index, mismatched_steps)
    desirable, undesirable, step_desirable, step_undesirable = case.lambdas
    params = LossParams(
        ValueParams(case.beta, desirable, undesirable, case.is_normalized),
        ValueParams(case.step_beta or case.beta, step_desirable, step_undesirable, case.is_normalized),
        case.w_step,
        case.nll_weight,
        "steps" if case.nll_on == "steps" else "completions",
    )
    logps = ratio + case.reference * tokens
    labels = [row + [None] * (steps - len(row)) for row in case.labels]
    outcome = LabelledRatios(
        ratio.sum(1),
        logps.sum(1),
        tokens.sum(1),
        torch.tensor([label is True for label in case.outcomes]),
        torch.tensor([label is not None for label in case.outcomes]),
    )
    step = LabelledRatios(
        ratio,
        logps,
        tokens,
        torch.tensor([[label is True for label in row] for row in labels]),
        torch.tensor([[label is not None for label in row] for row in labels]),
    )
    everyone = torch.ones(len(case.rows), dtype=torch.bool)
    of_row, of_step = mismatched.sum(1), mismatched
    if case.is_normalized:
        of_row, of_step = of_row / mismatched_tokens.sum(1).clamp(min=1), of_step / mismatched_tokens.clamp(min=1)
    z0 = estimate_point(of_row, everyone, outcome.is_known, outcome.is_correct, case.clamps)
    z_step = estimate_point(of_step, mismatched_tokens > 0, step.is_known, step.is_correct, case.clamps)
    loss = compute_joint_loss((outcome, z0), (step, z_step), params)
    loss.total.backward()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()
    gradient = []
    for at, row in enumerate(case.rows):
        slopes = iter(values.grad[at, 2:].tolist())
        gradient.append([[next(slopes) for _ in tokens] for tokens in row])
        assert not any(slopes), "padding has a gradient"
    assert not values.grad[:, :2].any(), "the prompt has a gradient"
    return loss, z0, z_step, gradient


NUMBERS = st.floats(-3, 3)
STEPS = st.lists(st.lists(NUMBERS, max_size=4), min_size=1, max_size=4)
LABEL = st.sampled_from([True, False, None])
CURES = st.fixed_dictionaries(
    {
        "step_beta": st.none() | st.floats(0.05, 5),
        "nll_weight": st.sampled_from([0.0, 0.5, 2.0]),
        "nll_on": st.sampled_from(["completions", "steps"]),
        "is_normalized": st.booleans(),
        "clamps": st.booleans(),
        "reference": st.floats(-3, 0),
    }
)


@st.composite
def cases(draw: st.DrawFn, label: st.SearchStrategy[bool | None] = LABEL, cures: bool = False) -> LossCase:
    rows = draw(st.lists(STEPS, min_size=1, max_size=4))
    return LossCase(
        rows=rows,
        labels=[[draw(label) for _ in row] for row in rows],
        outcomes=[draw(label) for _ in rows],
        mismatched=[draw(STEPS) for _ in rows],
        beta=draw(st.floats(0.05, 5)),
        w_step=draw(st.sampled_from([0.0, 0.5, 1.0, 3.0])),
        lambdas=draw(st.tuples(*[st.floats(0.1, 10)] * 4)),
        **(draw(CURES) if cures else {}),
    )


def agree(case: LossCase) -> None:
    loss, z0, z_step, gradient = compute_loss(case)
    wanted = compute_expected(case)
    assert loss.total.item() == pytest.approx(wanted.loss, abs=TOLERANCE)
    assert z0.z.item() == pytest.approx(wanted.z0, abs=TOLERANCE)
    assert z_step.z.item() == pytest.approx(wanted.z_step, abs=TOLERANCE)
    for row, wanted_row in zip(gradient, wanted.gradient, strict=True):
        for tokens, wanted_tokens in zip(row, wanted_row, strict=True):
            assert tokens == pytest.approx(wanted_tokens, abs=TOLERANCE)


@given(cases())
@settings(deadline=None)
def test_loss_and_gradients(case: LossCase) -> None:
    agree(case)


@given(cases(cures=True))
@settings(deadline=None)
def test_what_keeps_good_text_likely(case: LossCase) -> None:
    """The NLL term, a beta of its own for steps, means per token, and reference points below 0."""
    agree(case)


@given(cases(st.just(True)))
@settings(deadline=None, max_examples=30)
def test_all_correct(case: LossCase) -> None:
    agree(case)


@given(cases(st.just(False)))
@settings(deadline=None, max_examples=30)
def test_all_incorrect(case: LossCase) -> None:
    agree(case)


def test_nothing_labelled_is_a_loss_of_zero_with_zero_gradient() -> None:
    case = LossCase([[[1.0], [2.0]]], [[None, None]], [None], [[[0.5]]], 0.1, 1.0, (1.0, 1.0, 1.0, 1.0))
    loss, _, _, gradient = compute_loss(case)
    assert loss.total.item() == 0
    assert gradient == [[[0.0], [0.0]]]


@given(cases(cures=True))
@settings(deadline=None, max_examples=50)
def test_the_reference_gradient_is_the_slope_of_the_reference_loss(case: LossCase) -> None:
    """Finite differences of the plain reference: its hand-derived gradient is checked as well."""
    wanted, width = compute_expected(case), 1e-6
    for r, row in enumerate(case.rows):
        for s, step in enumerate(row):
            if not step:
                continue
            sides = []
            for shift in (width, -width):
                moved = [[list(tokens) for tokens in steps] for steps in case.rows]
                moved[r][s][0] += shift
                sides.append(compute_expected(LossCase(**{**case.__dict__, "rows": moved})).loss)
            assert (sides[0] - sides[1]) / (2 * width) == pytest.approx(wanted.gradient[r][s][0], abs=1e-5)


@given(st.floats(0.05, 5), st.floats(0.1, 10), st.floats(0.1, 10), st.lists(st.booleans(), min_size=1))
def test_at_the_reference_every_term_is_half_its_weight(
    beta: float, desirable: float, undesirable: float, labels: list[bool]
) -> None:
    is_correct = torch.tensor(labels)
    losses = compute_value_losses(
        torch.zeros(len(labels), dtype=torch.float64),
        is_correct,
        torch.tensor(0.0),
        ValueParams(beta, desirable, undesirable),
    )
    assert losses.tolist() == pytest.approx([(desirable if label else undesirable) / 2 for label in labels])


@given(NUMBERS, st.floats(0.05, 5), st.floats(0.1, 10))
def test_flipping_a_label_flips_the_gradient(ratio: float, beta: float, weight: float) -> None:
    slopes = []
    for label in (True, False):
        r = torch.tensor([ratio], dtype=torch.float64, requires_grad=True)
        params = ValueParams(beta, weight, weight)
        compute_value_losses(r, torch.tensor([label]), torch.tensor(0.0), params).sum().backward()
        assert r.grad is not None
        slopes.append(r.grad.item())
    assert slopes[0] == pytest.approx(-slopes[1])
    assert slopes[0] < 0, "raising a correct completion's log-prob lowers the loss"


def take_local(value: torch.Tensor) -> torch.Tensor:
    """The mean over the processes of a single one."""
    return value


def z_of(ratio: torch.Tensor, counts: torch.Tensor, clamps: bool = True) -> torch.Tensor:
    return estimate_point(ratio, counts, counts, counts, clamps).z


def test_reference_points_carry_no_gradient_and_are_not_negative() -> None:
    ratio = torch.tensor([1.0, 3.0, 100.0], requires_grad=True)
    z = z_of(ratio, torch.tensor([True, True, False]))
    assert not z.requires_grad
    assert z.item() == 2
    every = torch.tensor([True, True, True])
    assert z_of(-ratio, every).item() == 0
    assert z_of(-ratio, every, clamps=False).item() == pytest.approx(-104 / 3), "unless they are left free"
    assert z_of(ratio, torch.zeros(3, dtype=torch.bool)).item() == 0
    assert estimate_point(-ratio, every, every, every).unclamped.item() == pytest.approx(-104 / 3)


@pytest.mark.parametrize("clamps", [True, False])
def test_running_reference_points(clamps: bool) -> None:
    estimator = ReferencePointEstimator(clamps, momentum=0.75)
    running = 0.0
    for mean in (2.0, -4.0, -4.0, 1.0):
        running = 0.75 * running + 0.25 * mean
        z, unclamped = estimator.estimate("outcome", torch.tensor(mean))
        assert unclamped.item() == pytest.approx(running)
        assert z.item() == pytest.approx(max(0.0, running) if clamps else running)
    assert estimator.running["step"] == 0, "each level has its own"
    resumed = ReferencePointEstimator(clamps, momentum=0.75)
    resumed.on_train_begin(
        None, SimpleNamespace(stateful_callbacks={"ReferencePointEstimator": estimator.state()}), None
    )
    for again in (estimator, resumed):
        assert again.estimate("outcome", torch.tensor(3.0))[1].item() == pytest.approx(0.75 * running + 0.75)


PARTS = [torch.tensor([0.5]), torch.tensor([1.0, -1.0, 2.0])]
MISMATCHED = [torch.tensor([1.0]), torch.tensor([0.0, 2.0, 3.0])]
HALF = ValueParams(0.5)


def all_correct(ratio: torch.Tensor) -> LabelledRatios:
    every = torch.ones_like(ratio, dtype=torch.bool)
    return LabelledRatios(ratio, ratio - 2, torch.full_like(ratio, 4.0), every, every)


def point_of(
    levels: list[LabelledRatios], mismatched: list[torch.Tensor], reduce_mean: Callable[[torch.Tensor], torch.Tensor]
) -> ReferencePoint:
    everything = [(value, torch.ones_like(value, dtype=torch.bool)) for value in mismatched]
    labels = [(level.is_known, level.is_correct) for level in levels]
    estimator = ReferencePointEstimator()
    return compute_reference_point(everything, labels, reduce_mean, lambda mean: estimator.estimate("outcome", mean))


def terms(level: LabelledRatios, point: ReferencePoint) -> list[float]:
    return [compute_mean_loss(level, point, HALF).item(), compute_mean_nll(level, point).item()]


def whole() -> tuple[list[float], ReferencePoint]:
    """All four entries in one pass of one process."""
    level = all_correct(torch.cat(PARTS))
    point = point_of([level], [torch.cat(MISMATCHED)], take_local)
    return terms(level, point), point


def test_unequal_passes_add_up_to_the_loss_in_one_go() -> None:
    """Two passes with 1 and 3 labelled entries, of which a mean of means would make the first weigh three times."""
    levels = [all_correct(part) for part in PARTS]
    point = point_of(levels, MISMATCHED, take_local)
    wanted, shared = whole()
    assert point.z.item() == pytest.approx(shared.z.item())
    assert [sum(parts) for parts in zip(*[terms(level, point) for level in levels], strict=True)] == pytest.approx(
        wanted
    )


def test_unequal_processes_weigh_every_entry_the_same() -> None:
    """The same two as processes: the mean of their losses is the loss of all four together."""
    wanted, shared = whole()
    # What each process exchanges: the mismatched sum and count, and the counts of labelled and of correct entries.
    means = torch.tensor([sum(s.sum().item() for s in MISMATCHED), 4.0, 4.0, 4.0]) / 2
    found = []
    for part, mismatched in zip(PARTS, MISMATCHED, strict=True):
        level = all_correct(part)
        point = point_of([level], [mismatched], lambda _: means)
        assert point.z.item() == pytest.approx(shared.z.item())
        found.append(terms(level, point))
    assert [sum(parts) / 2 for parts in zip(*found, strict=True)] == pytest.approx(wanted)
