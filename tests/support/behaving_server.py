"""A local HTTP server that does what a row of ``tests/data/server_behaviours.jsonl`` says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any


class BehavingServer(ThreadingHTTPServer):
    """Refuses a request that holds a key of `refuses`, each with a reply of its own; else sends `replies` in turn.

    A reply has `status`, `headers`, and `body` (JSON) or `text`; the last one is sent again and again.
    """

    daemon_threads = True

    def __init__(self, replies: list[dict[str, Any]], refuses: dict[str, dict[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = replies
        self.refuses = refuses
        self.bodies: list[dict[str, Any]] = []
        """What it was sent."""
        self.lock = Lock()
        self._num_sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def choose(self, body: bytes) -> dict[str, Any]:
        with self.lock:
            self.bodies.append(json.loads(body))
            for name, refusal in self.refuses.items():
                if f'"{name}"' in body.decode():
                    return refusal
            self._num_sent += 1
            return self.replies[min(self._num_sent, len(self.replies)) - 1]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BehavingServer

    def do_POST(self) -> None:  # the name that the library calls
        reply = self.server.choose(self.rfile.read(int(self.headers["content-length"])))
        content = (json.dumps(reply["body"]) if "body" in reply else reply["text"]).encode()
        self.send_response(reply["status"])
        headers = {"content-type": "application/json", **reply.get("headers", {}), "content-length": str(len(content))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@contextmanager
def behaving_server(replies: list[dict[str, Any]], refuses: dict[str, dict[str, Any]]) -> Iterator[BehavingServer]:
    """The server, for the block."""
    with BehavingServer(replies, refuses) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
