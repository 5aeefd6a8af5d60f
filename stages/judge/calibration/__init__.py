"""Judges measured on human labels."""

from stages.judge.calibration.calibrate import Calibration, calibrate_judge, check_gate, run_gate
from stages.judge.calibration.console_tables import calibrate_judges

__all__ = ["Calibration", "calibrate_judge", "calibrate_judges", "check_gate", "run_gate"]
