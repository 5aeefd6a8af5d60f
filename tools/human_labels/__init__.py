"""What is done with human labels once they are given: agreement, adjudication, exchange with other tools."""

from tools.human_labels.adjudication import adjudicate, list_disagreements
from tools.human_labels.agreement import describe_agreement
from tools.human_labels.calibration_set import export_solutions, read_calibration_set
from tools.human_labels.exchange import export_labels, import_labels
from tools.human_labels.formats import FORMATS
from tools.human_labels.sample_tables import SampleTables

__all__ = [
    "FORMATS",
    "SampleTables",
    "adjudicate",
    "describe_agreement",
    "export_labels",
    "export_solutions",
    "import_labels",
    "list_disagreements",
    "read_calibration_set",
]
