"""What a killed or full-disk run of DVC leaves behind that every later run refuses, mended before the next run.

DVC writes dvc.lock and its list of users (``.dvc/tmp/rwlock``) in place, and compares a stage's code only when a file
that dvc.yaml names has changed, so an upgraded library goes unnoticed, and so does a local file that the recipe names.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml.error import YAMLError

from stages.code import list_changed_libraries
from stages.common.errors import UserError
from stages.common.file_locks import lock_file
from stages.common.lock_copy import LOCK_COPY, replace_text
from stages.common.params.file_hashes import FileHasher, find_changed_files
from tools.dvc_lock import LOCK, build_lock, parse_yaml
from tools.git import read_file_at

DVC_TMP = Path(".dvc/tmp")
CODE = Path("reports/code")
PARAMS = Path("reports/params")


def prepare_repro(root: Path = Path()) -> list[str]:
    """Mend what would stop `dvc repro` at `root`; a line for each thing that was done.

    Waits while another DVC works there. Raises `UserError` for a dvc.lock with unresolved conflicts of Git.
    """
    with _hold(root / DVC_TMP / "lock"):
        lines = [restore_lock(root)]
    with _hold(root / DVC_TMP / "rwlock.lock"):
        lines.append(_release_dead_users(root / DVC_TMP / "rwlock"))
    lines.append(_forget_code_of_other_libraries(root / CODE))
    lines.append(_forget_params_of_changed_files(root))
    return [line for line in lines if line]


def restore_lock(root: Path) -> str | None:
    """Where DVC cannot read dvc.lock, put back its last valid copy, else the committed one, else none at all.

    What the lost entries knew is found again by DVC in its run-cache. A valid dvc.lock is copied.
    """
    path, copy = root / LOCK, root / LOCK_COPY
    if not path.is_file():
        return None  # as in a new project: DVC writes it, stage by stage
    text = path.read_text(encoding="utf-8", errors="replace")
    kept = copy.read_text(encoding="utf-8", errors="replace") if copy.is_file() else ""
    if (text and text == kept) or is_valid_lock(text):
        replace_text(copy, text)
        return None
    if any(line.startswith(("<<<<<<< ", ">>>>>>> ")) for line in text.splitlines()):
        raise UserError(f"{LOCK}: holds conflicts of a merge; choose a side, e.g. `git checkout --ours {LOCK}`")
    committed = read_file_at(root, "HEAD", LOCK) or ""
    for name, candidate in {f"its last valid copy, {LOCK_COPY}": kept, "the committed one": committed}.items():
        if is_valid_lock(candidate):
            replace_text(path, candidate)
            return f"{LOCK} was torn by a kill or a full disk: restored from {name}"
    path.unlink()
    return f"{LOCK} was torn by a kill or a full disk, and there is no copy: removed; DVC writes it again"


def is_valid_lock(text: str) -> bool:
    """Whether DVC accepts `text` as a dvc.lock, and each dependency and output has its hash."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        value = parse_yaml(text)
        COMPILED_LOCKFILE_SCHEMA(value)
        build_lock(value, LOCK)
    except (YAMLError, UserError, Invalid):
        return False
    return True


@contextmanager
def _hold(path: Path) -> Iterator[None]:
    """Hold a lock file as DVC does, so that no other DVC writes what it guards; nothing where there is none yet."""
    if not path.is_file():
        yield
        return
    with path.open() as file:
        lock_file(file, "another DVC is at work here")
        yield


def _release_dead_users(path: Path) -> str | None:
    """Remove DVC's list of the processes that use its files, if it is torn or none of these is a DVC any more.

    DVC itself asks only whether a process with that number is there: after a restart of a container any may be.
    """
    import psutil  # type: ignore[import-untyped]

    try:
        users = json.loads(path.read_text(encoding="utf-8"))
        groups = [*users.get("read", {}).values(), list(users.get("write", {}).values())]
        numbers = {int(user["pid"]) for group in groups for user in group if user}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        path.unlink()
        return f"{path} was torn by a kill or a full disk: removed"
    if not numbers:
        return None
    for number in numbers:
        try:
            if any(Path(word).name == "dvc" for word in psutil.Process(number).cmdline()):
                return None
        except psutil.Error:
            continue
    path.unlink()
    return None


def _forget_code_of_other_libraries(folder: Path) -> str | None:
    """Remove what stage `code` wrote if a library has another version now, so that DVC runs that stage again."""
    changed = list_changed_libraries(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt")))
    if not changed:
        return None
    for path in folder.glob("*.txt"):
        path.unlink()
    return f"libraries changed: {', '.join(changed)}; stages that depend on them run again"


def _forget_params_of_changed_files(root: Path) -> str | None:
    """Remove what stage `params` wrote if a local file that it hashed has changed, so that DVC runs it again."""
    hasher, paths = FileHasher(root), sorted((root / PARAMS).glob("*.yaml"))
    changed = {name for path in paths for name in find_changed_files(path, hasher)}
    hasher.save()
    if not changed:
        return None
    for path in paths:
        path.unlink()
    return f"local files changed: {', '.join(sorted(changed))}; stages that read them run again"
