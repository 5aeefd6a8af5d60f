"""The loss and its gradients against arithmetic on Python floats."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.train.trainer.loss import NO_STEP, LabelledRatios, compute_mean_loss, compute_value_losses, sum_by_step
from stages.train.trainer.reference_point import ReferencePoint, compute_reference_point

TOLERANCE = 1e-6


@dataclass(frozen=True)
class LossCase:
    """A batch: per row its steps' token log-ratios, step labels, outcome, and the mismatched completion's steps."""

    rows: list[list[list[float]]]
    labels: list[list[bool | None]]
    outcomes: list[bool | None]
    mismatched: list[list[list[float]]]
    beta: float
    w_step: float
    lambdas: tuple[float, float, float, float]


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


def compute_expected(case: LossCase) -> Expected:
    desirable, undesirable, step_desirable, step_undesirable = case.lambdas
    sums = [[math.fsum(step) for step in row] for row in case.rows]
    z0 = max(0.0, math.fsum(t for row in case.mismatched for s in row for t in s) / len(case.mismatched))
    mismatched_values = [math.fsum(step) for row in case.mismatched for step in row if step]
    z_step = max(0.0, math.fsum(mismatched_values) / len(mismatched_values)) if mismatched_values else 0.0
    outcomes = [(math.fsum(row), label) for row, label in zip(sums, case.outcomes, strict=True)]
    outcome, row_slopes = term(outcomes, z0, case.beta, desirable, undesirable)
    flat = [
        (r, label) for row, labels in zip(sums, case.labels, strict=True) for r, label in zip(row, labels, strict=True)
    ]
    step, step_slopes = term(flat, z_step, case.beta, step_desirable, step_undesirable)
    slopes = iter(step_slopes)
    gradient = [
        [[of_row + case.w_step * slope] * len(tokens) for tokens, slope in zip(row, slopes, strict=False)]
        for row, of_row in zip(case.rows, row_slopes, strict=True)
    ]
    return Expected(outcome + case.w_step * step, z0, z_step, gradient)


def tensors(rows: list[list[list[float]]]) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Token values [B, T] behind a prompt of two tokens and before padding, their steps, and the number of steps."""
    flat = [[0.25, -0.5, *(token for step in row for token in step)] for row in rows]
    index = [[NO_STEP, NO_STEP, *(at for at, step in enumerate(row) for _ in step)] for row in rows]
    width = max(map(len, flat)) + 1
    values = torch.tensor([row + [9.0] * (width - len(row)) for row in flat], dtype=torch.float64)
    steps = torch.tensor([row + [NO_STEP] * (width - len(row)) for row in index])
    return values, steps, max(1, max(map(len, rows)))


def compute_loss(case: LossCase) -> tuple[float, ReferencePoint, ReferencePoint, list[list[list[float]]]]:
    values, index, steps = tensors(case.rows)
    values.requires_grad_(True)
    mismatched_values, mismatched_index, mismatched_steps = tensors(case.mismatched)
    ratio = sum_by_step(values, index, steps)
    mismatched = sum_by_step(mismatched_values, mismatched_index, mismatched_steps)
    present = sum_by_step(torch.ones_like(mismatched_values), mismatched_index, mismatched_steps) > 0
    labels = [row + [None] * (steps - len(row)) for row in case.labels]
    desirable, undesirable, step_desirable, step_undesirable = case.lambdas
    outcome = LabelledRatios(
        ratio.sum(1),
        torch.tensor([label is True for label in case.outcomes]),
        torch.tensor([label is not None for label in case.outcomes]),
        desirable,
        undesirable,
    )
    step = LabelledRatios(
        ratio,
        torch.tensor([[label is True for label in row] for row in labels]),
        torch.tensor([[label is not None for label in row] for row in labels]),
        step_desirable,
        step_undesirable,
    )
    everyone = torch.ones(len(case.rows), dtype=torch.bool)
    z0 = compute_reference_point([(mismatched.sum(1), everyone)], [outcome.is_known], take_local)
    z_step = compute_reference_point([(mismatched, present)], [step.is_known], take_local)
    loss = compute_mean_loss(outcome, z0.z, z0.num_known, case.beta) + case.w_step * compute_mean_loss(
        step, z_step.z, z_step.num_known, case.beta
    )
    loss.backward()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()
    gradient = []
    for at, row in enumerate(case.rows):
        tokens = iter(values.grad[at, 2:].tolist())
        gradient.append([[next(tokens) for _ in step] for step in row])
        assert not any(tokens), "padding has a gradient"
    assert not values.grad[:, :2].any(), "the prompt has a gradient"
    return loss.item(), z0, z_step, gradient


NUMBERS = st.floats(-3, 3)
STEPS = st.lists(st.lists(NUMBERS, max_size=4), min_size=1, max_size=4)
LABEL = st.sampled_from([True, False, None])


@st.composite
def cases(draw: st.DrawFn, label: st.SearchStrategy[bool | None] = LABEL) -> LossCase:
    rows = draw(st.lists(STEPS, min_size=1, max_size=4))
    return LossCase(
        rows=rows,
        labels=[[draw(label) for _ in row] for row in rows],
        outcomes=[draw(label) for _ in rows],
        mismatched=[draw(STEPS) for _ in rows],
        beta=draw(st.floats(0.05, 5)),
        w_step=draw(st.sampled_from([0.0, 0.5, 1.0, 3.0])),
        lambdas=draw(st.tuples(*[st.floats(0.1, 10)] * 4)),
    )


def agree(case: LossCase) -> None:
    loss, z0, z_step, gradient = compute_loss(case)
    wanted = compute_expected(case)
    assert loss == pytest.approx(wanted.loss, abs=TOLERANCE)
    assert z0.z.item() == pytest.approx(wanted.z0, abs=TOLERANCE)
    assert z_step.z.item() == pytest.approx(wanted.z_step, abs=TOLERANCE)
    for row, wanted_row in zip(gradient, wanted.gradient, strict=True):
        for tokens, wanted_tokens in zip(row, wanted_row, strict=True):
            assert tokens == pytest.approx(wanted_tokens, abs=TOLERANCE)


@given(cases())
@settings(deadline=None)
def test_loss_and_gradients(case: LossCase) -> None:
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
    assert loss == 0
    assert gradient == [[[0.0], [0.0]]]


@given(cases())
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
        torch.zeros(len(labels), dtype=torch.float64), is_correct, torch.tensor(0.0), beta, desirable, undesirable
    )
    assert losses.tolist() == pytest.approx([(desirable if label else undesirable) / 2 for label in labels])


@given(NUMBERS, st.floats(0.05, 5), st.floats(0.1, 10))
def test_flipping_a_label_flips_the_gradient(ratio: float, beta: float, weight: float) -> None:
    slopes = []
    for label in (True, False):
        r = torch.tensor([ratio], dtype=torch.float64, requires_grad=True)
        compute_value_losses(r, torch.tensor([label]), torch.tensor(0.0), beta, weight, weight).sum().backward()
        assert r.grad is not None
        slopes.append(r.grad.item())
    assert slopes[0] == pytest.approx(-slopes[1])
    assert slopes[0] < 0, "raising a correct completion's log-prob lowers the loss"


def take_local(value: torch.Tensor) -> torch.Tensor:
    """The mean over the processes of a single one."""
    return value


def z_of(ratio: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    return compute_reference_point([(ratio, counts)], [counts], take_local).z


def test_reference_points_carry_no_gradient_and_are_not_negative() -> None:
    ratio = torch.tensor([1.0, 3.0, 100.0], requires_grad=True)
    z = z_of(ratio, torch.tensor([True, True, False]))
    assert not z.requires_grad
    assert z.item() == 2
    assert z_of(-ratio, torch.tensor([True, True, True])).item() == 0
    assert z_of(ratio, torch.zeros(3, dtype=torch.bool)).item() == 0


PARTS = [torch.tensor([0.5]), torch.tensor([1.0, -1.0, 2.0])]
MISMATCHED = [torch.tensor([1.0]), torch.tensor([0.0, 2.0, 3.0])]


def all_correct(ratio: torch.Tensor) -> LabelledRatios:
    return LabelledRatios(
        ratio, torch.ones_like(ratio, dtype=torch.bool), torch.ones_like(ratio, dtype=torch.bool), 1.0, 1.0
    )


def everything(values: list[torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(value, torch.ones_like(value, dtype=torch.bool)) for value in values]


def whole() -> tuple[float, ReferencePoint]:
    """All four entries in one pass of one process."""
    level = all_correct(torch.cat(PARTS))
    shared = compute_reference_point(everything([torch.cat(MISMATCHED)]), [level.is_known], take_local)
    return compute_mean_loss(level, shared.z, shared.num_known, 0.5).item(), shared


def test_unequal_passes_add_up_to_the_loss_in_one_go() -> None:
    """Two passes with 1 and 3 labelled entries, of which a mean of means would make the first weigh three times."""
    levels = [all_correct(part) for part in PARTS]
    shared = compute_reference_point(everything(MISMATCHED), [level.is_known for level in levels], take_local)
    loss, wanted = whole()
    assert shared.z.item() == pytest.approx(wanted.z.item())
    assert sum(compute_mean_loss(level, shared.z, shared.num_known, 0.5).item() for level in levels) == pytest.approx(
        loss
    )


def test_unequal_processes_weigh_every_entry_the_same() -> None:
    """The same two as processes: the mean of their losses is the loss of all four together."""
    loss, wanted = whole()
    # What each process exchanges, in order: count of the labelled entries is last, after the mismatched sum and count.
    sums, counts = sum(s.sum() for s in MISMATCHED) / 2, torch.tensor(4.0) / 2
    losses = []
    for part, mismatched in zip(PARTS, MISMATCHED, strict=True):
        level, means = all_correct(part), iter([sums, counts, counts])
        shared = compute_reference_point(everything([mismatched]), [level.is_known], lambda _, means=means: next(means))  # type: ignore[misc]
        assert shared.z.item() == pytest.approx(wanted.z.item())
        losses.append(compute_mean_loss(level, shared.z, shared.num_known, 0.5).item())
    assert sum(losses) / 2 == pytest.approx(loss)
