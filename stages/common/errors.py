"""Errors: the base of those that a user can fix, and any exception as one line.

A `UserError` is shown as its message. The system's own errors about files, disks and ports are shown as one line too,
with the path and what to do (`explain_system_error`). Everything else is a bug of this program.
"""

import errno
import os
import re
import tempfile
from pathlib import Path

MAX_ERROR_CHARS = 300
"""Longest one-line error."""

_HINTS = {
    errno.ENOENT: "check the path; `dvc checkout` restores what an earlier run made",
    errno.ENOTDIR: "a part of this path is a file; check the path",
    errno.EISDIR: "this is a folder; name a file",
    errno.EACCES: "give your user permission, or choose another path",
    errno.EPERM: "give your user permission, or choose another path",
    errno.EROFS: "make it writable, or choose another path",
    errno.ENOSPC: "free some space, then run the same command again: what is finished is kept",
    errno.EDQUOT: "free some space, then run the same command again: what is finished is kept",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), then run the same command again",
    errno.EMFILE: "raise the limit of open files (ulimit -n), then run the same command again",
    errno.EADDRINUSE: "stop the program that uses the port, or choose another port",
}
_OS_ERROR_IN_TEXT = re.compile(r"\(os error (\d+)\)|\[[Ee]rrno (\d+)\]")


class UserError(ValueError):
    """Something that the user can fix: the message names the file, row or key, what was found and what to do."""

    exit_code = 1


class UsageError(UserError):
    """A command line that cannot be understood."""

    exit_code = 2


def describe_error(error: BaseException, max_chars: int = MAX_ERROR_CHARS) -> str:
    """The message of `error`, or its type where it has none, on one line of at most `max_chars` characters."""
    return " ".join((str(error) or type(error).__name__).split())[:max_chars]


def explain_system_error(error: BaseException) -> str | None:
    """What the system refused, where, and what to do, on one line; None for errors of any other kind.

    Libraries in Rust and C++ raise types of their own with the system's number in their text.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (match := _OS_ERROR_IN_TEXT.search(str(error))):
        number = int(match[1] or match[2])
    if number not in _HINTS:
        return None
    path = error.filename2 or error.filename if isinstance(error, OSError) else None
    if path is None and number in (errno.ENOSPC, errno.EDQUOT):
        path = f"{Path.cwd()} or {tempfile.gettempdir()}"
    if path is None:
        return f"{describe_error(error)}; {_HINTS[number]}"
    return f"{os.fsdecode(path)}: {os.strerror(number)}; {_HINTS[number]}"
