"""What a run would do, shown before anything runs."""

from tools.plan.decide import Decision, decide, render_plan
from tools.plan.expected import Expected
from tools.plan.graph import StageState, read_graph, stage_commands

__all__ = ["Decision", "Expected", "StageState", "decide", "read_graph", "render_plan", "stage_commands"]
