"""The one exception of this room: asking has to stop, and a person has to do something about it."""

from __future__ import annotations


class EngineError(ValueError):
    """Asking cannot go on; the message is one line that says why and what to do. What was answered is kept."""
