"""What a run would do, shown before anything runs."""

from tools.plan.decide import Decision, decide
from tools.plan.expected import Expected
from tools.plan.graph import StageState, read_graph, stage_commands
from tools.plan.plan_report import render_decisions, show_plan

__all__ = [
    "Decision",
    "Expected",
    "StageState",
    "decide",
    "read_graph",
    "render_decisions",
    "show_plan",
    "stage_commands",
]
