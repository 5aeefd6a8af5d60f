"""Judges measured on human labels."""

from stages.judge.calibration.benchmark_formats import read_solutions
from stages.judge.calibration.calibrate import Calibration, calibrate_judge, check_gate, run_gate
from stages.judge.calibration.console_tables import calibrate_judges
from stages.judge.calibration.labelled_solutions import SPLITS, LabelledSolution, choose_split

__all__ = [
    "SPLITS",
    "Calibration",
    "LabelledSolution",
    "calibrate_judge",
    "calibrate_judges",
    "check_gate",
    "choose_split",
    "read_solutions",
    "run_gate",
]
