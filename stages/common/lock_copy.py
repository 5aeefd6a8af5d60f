"""A copy of dvc.lock, taken as each stage starts: DVC writes the file in place, and a kill may tear it.

Under DVC the file is whole whenever a stage starts: DVC has read it, or has just finished writing it.
"""

import logging
import os
from pathlib import Path

import yaml

from stages.common.errors import describe_error

logger = logging.getLogger(__name__)

LOCK = Path("dvc.lock")

LOCK_COPY = Path("work/dvc.lock.copy")
"""Ignored by Git and DVC; ``stepkto repro`` restores it, and so does ``cp work/dvc.lock.copy dvc.lock``."""


def keep_lock_copy(root: Path = Path()) -> None:
    """Copy dvc.lock to `LOCK_COPY` if DVC started this process; a copy that fails is reported and stops nothing."""
    if "DVC_STAGE" not in os.environ:
        return
    try:
        text = (root / LOCK).read_text(encoding="utf-8")
        # After a full disk, `dvc repro --keep-going` starts stages beside an empty file.
        if yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # noqa: S506 - both are safe loaders
            replace_text(root / LOCK_COPY, text)
    except FileNotFoundError:
        return
    except (OSError, ValueError, yaml.YAMLError) as error:
        logger.warning("%s: not written (%s)", LOCK_COPY, describe_error(error))


def replace_text(path: Path, text: str) -> None:
    """Make `text` the content of the file at `path`, completely or not at all; raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
