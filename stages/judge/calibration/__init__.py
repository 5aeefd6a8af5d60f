"""Judges measured on human labels."""

from stages.judge.calibration.calibrate import Calibration, calibrate_judge, calibrate_judges
from stages.judge.calibration.gate import check_gate, run_gate

__all__ = ["Calibration", "calibrate_judge", "calibrate_judges", "check_gate", "run_gate"]
