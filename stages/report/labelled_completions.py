"""Labelled completions as the page shows them: spans in order, no text between them lost, all bounded in length."""

import re
from dataclasses import dataclass
from typing import Any

from stages.common.text import BoundedText, bound_text, make_visible
from stages.report.stage_reports import PolicyReports, get_value

MAX_STEPS = 40
"""Steps shown of one completion."""

FORMULA_PATTERN = re.compile(r"(\$\$[^$]+\$\$|\$[^$\n]+\$|\\\([^\n]+?\\\)|\\\[.+?\\\])", re.DOTALL)
"""A formula with its delimiters; an amount in dollars beside another is taken for one, and only looks like it."""

_STYLES = {True: ("correct", "✓"), False: ("incorrect", "✗"), None: ("unknown", "?")}


@dataclass(frozen=True)
class ShownStep:
    """One step: `style` is correct, incorrect or unknown, `symbol` says the same without colour."""

    style: str
    symbol: str
    text: BoundedText
    reason: str


@dataclass(frozen=True)
class ShownCompletion:
    """One completion with its verdict."""

    kind: str
    style: str
    symbol: str
    problem: BoundedText
    gold: BoundedText
    answer: BoundedText | None
    steps: list[ShownStep]
    num_omitted_steps: int
    num_omitted_chars: int
    is_truncated: bool


def list_completions(policy: PolicyReports, limit: int) -> list[ShownCompletion]:
    """The first `limit` of the examples that the policy's evaluation kept; anything else is left out."""
    examples = get_value(policy.reports, "evaluate", "examples")
    if not isinstance(examples, list):
        return []
    return [_build_completion(example) for example in examples if isinstance(example, dict)][:limit]


def _build_completion(example: dict[str, Any]) -> ShownCompletion:
    value, answer, num_chars = (example.get(key) for key in ("completion", "answer", "num_chars"))
    text = value if isinstance(value, str) else ""
    steps = _split_text(text, example.get("steps"))
    style, symbol = _choose_style(example.get("is_correct"))
    return ShownCompletion(
        kind=bound_text(example.get("kind"), 60).shown,
        style=style,
        symbol=symbol,
        problem=bound_text(example.get("problem")),
        gold=bound_text(example.get("gold"), 200),
        answer=None if answer is None else bound_text(answer, 200),
        steps=steps[:MAX_STEPS],
        num_omitted_steps=max(0, len(steps) - MAX_STEPS),
        num_omitted_chars=max(0, num_chars - len(text)) if isinstance(num_chars, int) else 0,
        is_truncated=example.get("finish_reason") == "length",
    )


def _split_text(text: str, spans: Any) -> list[ShownStep]:
    """`text` split at its spans; what no span covers is shown as unknown, so that no text is lost."""
    steps: list[ShownStep] = []
    reached = 0
    for span in spans if isinstance(spans, list) else []:
        start, end = get_value(span, "start"), get_value(span, "end")
        if not isinstance(start, int) or not isinstance(end, int):
            continue
        start, end = max(reached, start), min(end, len(text))
        if end > start:
            steps += _build_gap(text[reached:start])
            steps.append(_build_step(text[start:end], get_value(span, "label"), get_value(span, "reason")))
            reached = end
    return steps + _build_gap(text[reached:])


def _build_gap(text: str) -> list[ShownStep]:
    return [_build_step(text, None, "in no step")] if make_visible(text).strip() else []


def _build_step(text: str, label: Any, reason: Any) -> ShownStep:
    return ShownStep(*_choose_style(label), bound_text(text.strip("\n")), bound_text(reason, 200).shown)


def _choose_style(label: Any) -> tuple[str, str]:
    return _STYLES[label if isinstance(label, bool) else None]


def split_formulas(text: str) -> list[tuple[bool, str]]:
    """Parts of `text` in order, each with whether it is a formula; of white space in a formula one space is left."""
    parts = enumerate(FORMULA_PATTERN.split(text))
    return [(at % 2 == 1, " ".join(part.split()) if at % 2 else part) for at, part in parts if part]
