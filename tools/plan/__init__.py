"""What a run would do, said before anything runs. Not part of the data flow: no stage imports it."""

from tools.plan.decide import Decision, decide
from tools.plan.graph import Dep, Stage, read_graph, stage_commands
from tools.plan.settings import WouldBe

__all__ = [
    "Decision",
    "Dep",
    "Stage",
    "WouldBe",
    "decide",
    "read_graph",
    "stage_commands",
]
