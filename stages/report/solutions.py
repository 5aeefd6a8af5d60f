"""Labelled solutions as they are shown: spans in order, nothing between them lost, all bounded in length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stages.report.sources import Model, at
from stages.report.text import Text, bounded, visible

STEPS = 40
"""Steps shown of one solution."""

_SHOWN_AS = {True: ("right", "✓"), False: ("wrong", "✗"), None: ("unknown", "?")}


@dataclass(frozen=True)
class Step:
    """One step: `look` is right, wrong or unknown, `symbol` says the same without colour."""

    look: str
    symbol: str
    text: Text
    reason: str


@dataclass(frozen=True)
class Solution:
    """One solution with its verdict."""

    kind: str
    look: str
    symbol: str
    problem: Text
    gold: Text
    answer: Text | None
    steps: list[Step]
    steps_left_out: int
    characters_left_out: int
    cut: bool


def shown_solutions(model: Model, limit: int) -> list[Solution]:
    """The first `limit` of the examples that the model's evaluation kept; anything that is not one is left out."""
    examples = at(model.reports, "evaluate", "examples")
    if not isinstance(examples, list):
        return []
    return [_solution(example) for example in examples if isinstance(example, dict)][:limit]


def _solution(example: dict[str, Any]) -> Solution:
    text = example.get("text")
    text = text if isinstance(text, str) else ""
    steps = _steps(text, example.get("steps"))
    look, symbol = _looks(example.get("is_correct"))
    answer = example.get("answer")
    total = example.get("characters")
    return Solution(
        kind=bounded(example.get("kind"), 60).shown,
        look=look,
        symbol=symbol,
        problem=bounded(example.get("problem")),
        gold=bounded(example.get("gold"), 200),
        answer=None if answer is None else bounded(answer, 200),
        steps=steps[:STEPS],
        steps_left_out=max(0, len(steps) - STEPS),
        characters_left_out=max(0, total - len(text)) if isinstance(total, int) else 0,
        cut=example.get("finish_reason") == "length",
    )


def _steps(text: str, spans: Any) -> list[Step]:
    """`text` cut at its spans; what no span covers is shown as unknown, so that nothing of the text is lost."""
    steps: list[Step] = []
    reached = 0
    for span in spans if isinstance(spans, list) else []:
        start, end = at(span, "start"), at(span, "end")
        if not isinstance(start, int) or not isinstance(end, int):
            continue
        start, end = max(reached, start), min(end, len(text))
        if end <= start:
            continue
        steps += _gap(text[reached:start])
        steps.append(_step(text[start:end], at(span, "label"), at(span, "reason")))
        reached = end
    return steps + _gap(text[reached:])


def _gap(text: str) -> list[Step]:
    return [_step(text, None, "in no step")] if visible(text).strip() else []


def _step(text: str, label: Any, reason: Any) -> Step:
    return Step(*_looks(label), bounded(text.strip("\n")), bounded(reason, 200).shown)


def _looks(label: Any) -> tuple[str, str]:
    return _SHOWN_AS[label if isinstance(label, bool) else None]
