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
    "reasoning": "tools.publish.formats.complete:REASONING",
}
"""In the order in which the card lists them."""

FORMATS: Registry[ExportFormat] = Registry("export format", BUILT_IN)


def list_formats(with_reasoning: bool = False) -> list[ExportFormat]:
    """All formats: the built-in ones in the card's order, then those registered by plugins, sorted by name.

    Judges' thinking is published `with_reasoning` only.
    """
    kinds = (*BUILT_IN, *(kind for kind in FORMATS.kinds() if kind not in BUILT_IN))
    return [FORMATS.get(kind) for kind in kinds if with_reasoning or kind != "reasoning"]


__all__ = ["FORMATS", "ExportFormat", "list_formats"]
