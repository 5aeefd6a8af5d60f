"""Errors: the base of those that a user can fix, and any exception as one line."""

from __future__ import annotations

MAX_ERROR_CHARS = 300
"""Longest one-line error."""


class UserError(ValueError):
    """Something that the user can fix: the message names the file, row or key, what was found and what to do."""


def describe_error(error: BaseException, max_chars: int = MAX_ERROR_CHARS) -> str:
    """The message of `error`, or its type where it has none, on one line of at most `max_chars` characters."""
    return " ".join((str(error) or type(error).__name__).split())[:max_chars]
