"""The formats in which a round is published, in the order in which the card lists them."""

from tools.publish.formats.base import Format
from tools.publish.formats.labels import LABELS, REPLIES
from tools.publish.formats.paired import PAIRS, STEP_DPO
from tools.publish.formats.stepwise import STEPWISE
from tools.publish.formats.unpaired import KTO, RFT, STEP_KTO

FORMATS = (KTO, STEP_KTO, STEPWISE, STEP_DPO, PAIRS, RFT, LABELS, REPLIES)

__all__ = ["FORMATS", "Format"]
