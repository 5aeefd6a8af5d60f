"""The formats in which human labels are exchanged with other tools and data sets."""

from tools.human_labels.annotations import LabelFormat
from tools.human_labels.formats.label_studio import LabelStudio
from tools.human_labels.formats.potato import Potato
from tools.human_labels.formats.prm800k import Prm800k
from tools.human_labels.formats.processbench import ProcessBench

FORMATS: dict[str, LabelFormat] = {
    "label_studio": LabelStudio(),
    "potato": Potato(),
    "prm800k": Prm800k(),
    "processbench": ProcessBench(),
}
"""By the name that the command line takes."""

__all__ = ["FORMATS"]
