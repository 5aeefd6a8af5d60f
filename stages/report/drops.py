"""Rows dropped: the stages' drop reports, merged by stage and reason."""

from dataclasses import dataclass, field
from typing import Any

from stages.report.stage_reports import ROUND_STAGES, StageReports, get_count, get_value

MAX_EXAMPLES = 3
"""Examples shown per reason."""


@dataclass
class DropReason:
    """One reason of one stage, over all rounds."""

    stage: str
    reason: str
    num_rows: int = 0
    by_round: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, str]] = field(default_factory=list)
    """``{"where", "text"}`` of the first rows dropped."""


def collect_drops(results: StageReports) -> list[DropReason]:
    """Every drop reason with its number of rows, in the order in which data flows."""
    drops: dict[tuple[str, str], DropReason] = {}
    _add_drops(drops, "problems", "", results.problems)
    for stage in ("seed_model", *ROUND_STAGES):
        for policy in results.policies:
            _add_drops(drops, stage, policy.name, policy.reports.get(stage, {}))
    return [drop for drop in drops.values() if drop.num_rows]


def _add_drops(drops: dict[tuple[str, str], DropReason], stage: str, round_name: str, report: dict[str, Any]) -> None:
    for reason, num_rows, examples in [*_read_drops(report.get("drops")), *_read_drops(report.get("dropped"))]:
        drop = drops.setdefault((stage, reason), DropReason(stage, reason))
        drop.num_rows += num_rows
        if round_name:
            drop.by_round[round_name] = drop.by_round.get(round_name, 0) + num_rows
        drop.examples += examples[: MAX_EXAMPLES - len(drop.examples)]


def _read_drops(drops: Any) -> list[tuple[str, int, list[dict[str, str]]]]:
    """Reason, number of rows and examples from a drop report, from counts by reason, or from a single count."""
    if not isinstance(drops, dict):
        num_rows = get_count({"rows": drops}, "rows")
        return [("dropped", num_rows, [])] if num_rows else []
    reasons = []
    for reason, value in drops.items():
        num_rows = get_count(value, "rows") if isinstance(value, dict) else get_count(drops, reason)
        examples = get_value(value, "examples")
        texts = [
            {key: str(example.get(key, "")) for key in ("where", "text")}
            for example in (examples if isinstance(examples, list) else [])
            if isinstance(example, dict)
        ]
        reasons.append((str(reason), num_rows or 0, texts))
    return reasons
