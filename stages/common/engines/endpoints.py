"""Where servers are and the key to them, from the environment only, and keeping both out of what is written."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from stages.common.engines.errors import EngineError
from stages.common.tables import content_hash

URLS = "OPENAI_BASE_URL"
KEY = "OPENAI_API_KEY"

SHUN_S = 10.0
"""Seconds for which a server that could not be reached is passed over, as long as there are others."""

EXCERPT = 300
"""Characters kept of what a server says."""


@dataclass(frozen=True)
class Endpoint:
    """A server: `url` holds no credentials; those that the user wrote into it are `login`."""

    url: str
    login: tuple[str, str] | None
    socket: str | None = None
    """Path of the socket at which it is reached instead."""

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r})"

    @property
    def name(self) -> str:
        """How messages call it."""
        return self.url if self.socket is None else "the server started for it"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The password as it is, as a URL spells it, and as it is sent."""
        if self.login is None:
            return ()
        sent = base64.b64encode(":".join(self.login).encode()).decode()
        return self.login[1], quote(self.login[1], safe=""), sent

    @property
    def local(self) -> bool:
        """Whether it is this machine, which no proxy stands before."""
        return (urlsplit(self.url).hostname or "") in ("localhost", "127.0.0.1", "::1")


class Secrets:
    """The key and whatever else must not be shown. It has no text form of its own."""

    def __init__(self, key: str | None, others: Iterable[str] = ()) -> None:
        self.key = key
        self._hidden = sorted({text for text in (key, *others) if text}, key=len, reverse=True)

    def __repr__(self) -> str:
        return "Secrets()"

    def clean(self, text: str) -> str:
        """`text` on one line, bounded, with every secret blanked out: a server may say back what it was sent."""
        for hidden in self._hidden:
            text = text.replace(hidden, "[hidden]")
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text if len(text) <= EXCERPT else text[: EXCERPT - 3] + "..."


def from_environment() -> tuple[list[Endpoint], Secrets]:
    """The servers in OPENAI_BASE_URL, separated by commas, and the key in OPENAI_API_KEY, which may be absent.

    Raises `EngineError` that names the variable and shows nothing of its value.
    """
    urls = [url.strip() for url in os.environ.get(URLS, "").split(",") if url.strip()]
    if not urls:
        raise EngineError(f"{URLS}: not set; it names the server to ask, like http://host:8000/v1 (several: commas)")
    endpoints = [_endpoint(url, place) for place, url in enumerate(urls, start=1)]
    key = os.environ.get(KEY, "").strip() or None
    if key is not None and not (key.isascii() and key.isprintable()):
        raise EngineError(f"{KEY}: holds characters that no key has; was it copied whole?")
    return endpoints, Secrets(key, (text for endpoint in endpoints for text in endpoint.secrets))


def _endpoint(url: str, place: int) -> Endpoint:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise EngineError(f"{URLS}: entry {place} is no http or https URL")
    place_of_host = f"[{host}]" if ":" in host else host
    bare = urlunsplit((parts.scheme, place_of_host + (f":{port}" if port else ""), parts.path.rstrip("/"), "", ""))
    login = (unquote(parts.username or ""), unquote(parts.password)) if parts.password else None
    return Endpoint(bare, login)


class Rota:
    """Which server a request goes to: its family's own, so that prefix caches are hit, or the next that is up."""

    def __init__(self, count: int) -> None:
        self._shunned_until = [0.0] * count

    def choose(self, family: str, tries: int) -> int:
        """Index of the server for the next try, after `tries` that failed."""
        count = len(self._shunned_until)
        home = int(content_hash(family, digits=8), 16) + tries
        ring = [(home + step) % count for step in range(count)]
        now = time.monotonic()
        return next((at for at in ring if self._shunned_until[at] <= now), ring[0])

    def shun(self, at: int) -> None:
        """Pass over server `at` for a while: it could not be reached."""
        self._shunned_until[at] = time.monotonic() + SHUN_S
