"""The export formats: how a round is published, one configuration of the data set per format."""

from stages.common.registry import Registry
from tools.publish.formats.export_format import ExportFormat

BUILT_IN = {
    "kto": "tools.publish.formats.unpaired:KTO",
    "step_kto": "tools.publish.formats.unpaired:STEP_KTO",
    "stepwise": "tools.publish.formats.stepwise:STEPWISE",
    "step_dpo": "tools.publish.formats.paired:STEP_DPO",
    "pairs": "tools.publish.formats.paired:PAIRS",
    "rft": "tools.publish.formats.unpaired:RFT",
    "labels": "tools.publish.formats.complete:LABELS",
    "replies": "tools.publish.formats.complete:REPLIES",
}
"""In the order in which the card lists them."""

FORMATS: Registry[ExportFormat] = Registry("export format", BUILT_IN)


def list_formats() -> list[ExportFormat]:
    """All formats: the built-in ones in the card's order, then those registered by plugins, sorted by name."""
    return [FORMATS.get(kind) for kind in (*BUILT_IN, *(kind for kind in FORMATS.kinds() if kind not in BUILT_IN))]


__all__ = ["FORMATS", "ExportFormat", "list_formats"]
