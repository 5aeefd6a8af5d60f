"""Files as DVC names them: MD5 of bytes and folders, and what its cache holds.

`dvc status` and `dvc data status` trust a file's time and size where they have seen it before; here every byte is read.
"""

import hashlib
import json
from pathlib import Path

from stages.common.errors import UserError, describe_error

_IGNORED_PARTS = {"__pycache__", ".venv", "work"}
_IGNORED_SUFFIX = ".pyc"
"""What .dvcignore keeps out of a folder's hash."""


def hash_file(path: Path) -> str:
    """MD5 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def hash_files(folder: Path) -> dict[str, str]:
    """``{path below folder: md5}`` of the files that DVC counts to a folder."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        name.as_posix(): hash_file(path)
        for name, path in files.items()
        if not _IGNORED_PARTS.intersection(name.parts) and name.suffix != _IGNORED_SUFFIX
    }


def hash_listing(files: dict[str, str]) -> str:
    """DVC's hash of a folder with these `files`, ``{path below the folder, with slashes: md5}``; ends in ``.dir``."""
    entries = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    body = json.dumps(entries, sort_keys=True).encode()
    return hashlib.md5(body, usedforsecurity=False).hexdigest() + ".dir"


def find_cache(root: Path = Path()) -> Path | None:
    """Where the repository at `root` caches files by MD5, None where this machine has no cache.

    Raises `UserError` with DVC's message where `root` is no DVC repository.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        folder = Path(Repo(str(root)).cache.local.path)
    except DvcException as error:
        raise UserError(f"{root}: {describe_error(error)}") from error
    return folder if folder.is_dir() else None


def find_cached_file(cache: Path | None, md5: str) -> Path | None:
    """Where the DVC cache holds the file with hash `md5`, None if it does not."""
    path = None if cache is None else cache / md5[:2] / md5[2:]
    return path if path is not None and path.is_file() else None


def read_cached_listing(cache: Path | None, md5: str) -> dict[str, str] | None:
    """``{path below the folder: md5}`` of the folder with hash `md5` (ends in ``.dir``), None if it is not cached."""
    path = find_cached_file(cache, md5)
    if path is None:
        return None
    try:
        listed = {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(path.read_text(encoding="utf-8"))}
    except (ValueError, KeyError, TypeError):
        return None
    # A damaged listing would blame files that are intact.
    return listed if hash_listing(listed) == md5 else None
