"""Addresses and keys of servers, read from the environment only and kept out of everything that is written."""

import base64
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from stages.common.engines.engine import EngineError
from stages.common.tables import content_hash

URLS_VARIABLE = "OPENAI_BASE_URL"
KEY_VARIABLE = "OPENAI_API_KEY"

SKIP_S = 10.0
"""Seconds for which an unreachable server is skipped while others are reachable."""

MAX_MESSAGE_CHARS = 300
"""Characters kept of a server's message."""

MAX_HINT_CHARS = 150
"""Characters of a message that are kept free for what to do."""


@dataclass(frozen=True)
class Server:
    """A server's address: `url` holds no credentials; those that the user wrote into it are `login`."""

    url: str
    login: tuple[str, str] | None
    socket: str | None = None
    """Path of the Unix socket that is used instead of a port."""

    def __repr__(self) -> str:
        return f"Server({self.name!r})"

    @property
    def name(self) -> str:
        """How messages call it."""
        return self.url if self.socket is None else "the server started for it"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The password in plain text, URL-encoded, and as the header holds it."""
        if self.login is None:
            return ()
        header = base64.b64encode(":".join(self.login).encode()).decode()
        return self.login[1], quote(self.login[1], safe=""), header

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine, so that no proxy is used."""
        return (urlsplit(self.url).hostname or "") in ("localhost", "127.0.0.1", "::1")


class Secrets:
    """The key and all other text that must not be shown. Its `repr` shows nothing."""

    def __init__(self, key: str | None, others: Iterable[str] = ()) -> None:
        self.key = key
        self._hidden = sorted({text for text in (key, *others) if text}, key=len, reverse=True)

    def __repr__(self) -> str:
        return "Secrets()"

    def hide(self, text: str, max_chars: int = MAX_MESSAGE_CHARS) -> str:
        """`text` on one line, bounded, without secrets: a server may repeat what it was sent."""
        for hidden in self._hidden:
            text = text.replace(hidden, "[hidden]")
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text if len(text) <= max_chars else text[: max_chars - 3] + "..."

    def hide_before(self, text: str, hint: str) -> str:
        """`text` as `hide` gives it, and what the user can do, where that is known."""
        hint = f"; {hint}"[:MAX_HINT_CHARS] if hint else ""
        return self.hide(text, MAX_MESSAGE_CHARS - len(hint)) + hint


def read_servers() -> tuple[list[Server], Secrets]:
    """The servers in OPENAI_BASE_URL, separated by commas, and the optional key in OPENAI_API_KEY.

    Raises `EngineError` that names the variable and shows nothing of its value.
    """
    urls = [url.strip() for url in os.environ.get(URLS_VARIABLE, "").split(",") if url.strip()]
    if not urls:
        raise EngineError(
            f"{URLS_VARIABLE}: not set; set it to the server's address, such as http://host:8000/v1 (several: commas)"
        )
    servers = [_read_server(url, number) for number, url in enumerate(urls, start=1)]
    key = os.environ.get(KEY_VARIABLE, "").strip() or None
    if key is not None and not (key.isascii() and key.isprintable()):
        raise EngineError(f"{KEY_VARIABLE}: contains characters that no key has; check that it was copied completely")
    return servers, Secrets(key, (text for server in servers for text in server.secrets))


def _read_server(url: str, number: int) -> Server:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise EngineError(f"{URLS_VARIABLE}: entry {number} is not an http or https URL")
    netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
    login = (unquote(parts.username or ""), unquote(parts.password)) if parts.password else None
    return Server(urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", "")), login)


class ServerPicker:
    """Chooses a server per request: always the same for one prompt, whose prefix cache it holds, while it is up."""

    def __init__(self, num_servers: int) -> None:
        self._skipped_until = [0.0] * num_servers

    def pick(self, prompt_hash: str, num_attempts: int) -> int:
        """Index of the server for the next attempt, after `num_attempts` failed ones."""
        count = len(self._skipped_until)
        start = int(content_hash(prompt_hash, digits=8), 16) + num_attempts
        candidates = [(start + offset) % count for offset in range(count)]
        now = time.monotonic()
        return next((at for at in candidates if self._skipped_until[at] <= now), candidates[0])

    def skip(self, index: int) -> None:
        """Skip server `index` for `SKIP_S` seconds."""
        self._skipped_until[index] = time.monotonic() + SKIP_S
