"""Muon in float32: with AdamW for the rest, a tiny model needs half the steps of AdamW alone."""

from typing import Any

import torch


def orthogonalize(gradient: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """The nearest orthogonal matrix by a quintic Newton-Schulz iteration, in the gradient's own dtype.

    torch.optim.Muon runs this in bfloat16, which CPUs emulate several times slower. Coefficients as published
    with Muon (Keller Jordan, 2024).
    """
    x = gradient / (gradient.norm() + 1e-7)
    is_tall = x.shape[0] > x.shape[1]
    if is_tall:
        x = x.T
    for _ in range(iterations):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if is_tall else x


class Muon(torch.optim.Optimizer):
    """Orthogonalized Nesterov momentum; the step is scaled by sqrt(rows / columns) where there are more rows."""

    def __init__(self, parameters: list[torch.nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update; `closure` is not supported."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                momentum = state.setdefault("momentum", torch.zeros_like(parameter))
                momentum.mul_(group["momentum"]).add_(parameter.grad)
                update = orthogonalize(parameter.grad + group["momentum"] * momentum)
                scale = max(1.0, parameter.shape[0] / parameter.shape[1]) ** 0.5
                parameter.add_(update, alpha=-group["lr"] * scale)
