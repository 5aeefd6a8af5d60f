"""Finished training, kept under what determined it: a killed or lost run never trains the same model twice.

An entry is ``work/trained/KEY/M1`` (the policy, named as the round that trained it first) and ``report.json``, written
last. It takes the space of a policy, since DVC copies what it caches.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from stages.common.file_locks import hold_lock
from stages.common.policies import MANIFEST, read_policy
from stages.common.provenance import hash_folder
from stages.common.runs import record_facts
from stages.common.tables import check_replaceable, content_hash, replace_dir

logger = logging.getLogger(__name__)

ROOT = Path("work/trained")
"""Ignored by Git and DVC; may be deleted at any time."""

CODE = Path("reports/code")

REPORT = "report.json"

MAX_KEPT = 4
"""Entries kept: those used last, as many as the default recipe trains."""


def locate_training(stage: str, determined_by: Any, root: Path = Path()) -> Path | None:
    """The entry of a training by `stage`, known by JSON-like `determined_by` and by the stage's code.

    None where stage `code` has not run, so that the code is not known.
    """
    code = root / CODE / f"{stage}.txt"
    if not code.is_file():
        return None
    return root / ROOT / content_hash("trained", stage, determined_by, code.read_text(encoding="utf-8"))


def hold_training(entry: Path) -> AbstractContextManager[None]:
    """Hold `entry` for this process; wait while another one trains the same model."""
    return hold_lock(entry, "another process trains the same model")


def reuse_training(entry: Path, out: Path, report: Path) -> bool:
    """Make `out` and `report` those of `entry`, after checking every byte; False where it is absent or damaged."""
    policy = _find_policy(entry)
    if policy is None:
        return False
    if problem := _find_damage(policy):
        logger.warning("%s: %s; trained again", entry, problem)
        shutil.rmtree(entry)
        return False
    hand_out(entry, out, report)
    logger.info("%s: trained before with the same data, params and code; taken from %s", out, entry)
    record_facts(taken_from=str(entry))
    return True


def hand_out(entry: Path, out: Path, report: Path) -> None:
    """Make `out` and `report` those of a complete `entry`, and delete the entries that were not used for longest."""
    policy = _find_policy(entry)
    assert policy is not None
    with replace_dir(out) as folder:
        for path in sorted(policy.rglob("*")):
            target = folder / path.relative_to(policy)
            if path.is_dir():
                target.mkdir()
            else:
                link_or_copy(path, target)
    check_replaceable(report)
    report.parent.mkdir(parents=True, exist_ok=True)
    temporary = report.with_name(f".{report.name}.{os.getpid()}")
    shutil.copyfile(entry / REPORT, temporary)
    temporary.replace(report)
    os.utime(entry)
    entries = sorted((path for path in entry.parent.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for stale in entries[:-MAX_KEPT]:
        shutil.rmtree(stale, ignore_errors=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the file at `source`, by a link where the disk allows one: weights are large and never edited."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _find_policy(entry: Path) -> Path | None:
    """The policy in `entry`; None unless the entry is complete."""
    if not (entry / REPORT).is_file():
        return None
    return next((path.parent for path in sorted(entry.glob(f"*/{MANIFEST}")) if path.parent.name[0] != "."), None)


def _find_damage(policy: Path) -> str | None:
    """What differs between the files of `policy`, its manifest and the report beside it."""
    try:
        expected = json.loads((policy / MANIFEST).read_text(encoding="utf-8"))["files"]
        reported = json.loads((policy.parent / REPORT).read_text(encoding="utf-8"))
        if reported.get("policy") not in (None, read_policy(policy).hash):  # a seed model's report names none
            return f"{REPORT} is of another policy"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"damaged ({error!r})"
    files = hash_folder(policy, exclude=(MANIFEST,))
    return next((f"{name} is damaged" for name in {*files, *expected} if files.get(name) != expected.get(name)), None)
