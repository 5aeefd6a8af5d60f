"""The formats in which a round is published, in the order in which the card lists them."""

from stages.publish.formats.base import Format
from stages.publish.formats.labels import LABELS, REPLIES
from stages.publish.formats.paired import PAIRS, STEP_DPO
from stages.publish.formats.stepwise import STEPWISE
from stages.publish.formats.unpaired import KTO, RFT, STEP_KTO

FORMATS = (KTO, STEP_KTO, STEPWISE, STEP_DPO, PAIRS, RFT, LABELS, REPLIES)

__all__ = ["FORMATS", "Format"]
