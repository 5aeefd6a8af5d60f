"""No telemetry and no warnings of libraries that a user of a stage cannot act on."""

import logging
import os
import warnings

from stages.common.logs import has_bars


def silence_libraries() -> None:
    """Before libraries are imported: switch these off."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"  # its CPO trainer, which SimPO takes
    if not has_bars():
        os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    # PEFT imports bitsandbytes wherever it is installed, which warns of kernels that may not be needed.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    # TRL sets this option itself.
    warnings.filterwarnings("ignore", message="`gradient_checkpointing` is deprecated", category=FutureWarning)
