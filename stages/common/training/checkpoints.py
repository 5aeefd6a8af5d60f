"""Checkpoints of one training run: locked while it runs, read only when complete, deleted with the policy written."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from stages.common.file_locks import hold_lock
from stages.common.tables import write_json

COMPLETE = "complete.json"
"""Written last into a checkpoint: {file: bytes} of everything else in it."""


@contextmanager
def lock_checkpoints(folder: Path) -> Iterator[None]:
    """Hold `folder` (made if missing) for this process; wait while another one trains the same policy."""
    with hold_lock(folder, "another process trains the same policy"):
        folder.mkdir(parents=True, exist_ok=True)
        yield


def find_last_complete(folder: Path) -> Path | None:
    """The latest complete checkpoint in `folder`, None if there is none; deletes incomplete ones."""
    complete: dict[int, Path] = {}
    for path in folder.glob("checkpoint-*"):
        if _is_complete(path):
            complete[int(path.name.removeprefix("checkpoint-"))] = path
        else:
            shutil.rmtree(path)
    return complete[max(complete)] if complete else None


def _is_complete(checkpoint: Path) -> bool:
    try:
        expected = json.loads((checkpoint / COMPLETE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(_list_sizes(checkpoint) == expected)


def _list_sizes(checkpoint: Path) -> dict[str, int]:
    files = (path for path in checkpoint.rglob("*") if path.is_file() and path.name != COMPLETE)
    return {path.relative_to(checkpoint).as_posix(): path.stat().st_size for path in files}


class MarkCompleteCallback(TrainerCallback):
    """Marks each checkpoint once every process has written its part: a kill may come between any two files."""

    def on_save(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Called by the trainer after a checkpoint is written."""
        args.distributed_state.wait_for_everyone()
        if state.is_world_process_zero:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_json(checkpoint / COMPLETE, _list_sizes(checkpoint))
