"""An OpenAI-compatible server that misbehaves on demand, by ``python -m tests.support.fault_server``.

It prints its port. What a request meets follows from the hash of its body and how often it came, so a run can be
repeated. ``GET /stats`` says what happened. The text that it answers is the hash of the body.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TRANSIENT = (
    "429",
    "429 date",
    "500",
    "502",
    "503",
    "reset",
    "cut",
    "close",
    "hang",
    "html",
    "no json",
    "no completion",
    "abort",
)
"""What a server may do that is worth another try."""

HOPELESS = {
    "stream": "reply is a stream of events; switch streaming off",
    "parts": "content part is no text: found type 'image_url'; have the server reply with text alone",
    "html": "wrong content type: text/html; check that OPENAI_BASE_URL",
    "no json": "reply is not JSON: JSONDecodeError; check that OPENAI_BASE_URL",
    "no completion": "reply is no completion: IndexError; check that OPENAI_BASE_URL",
    "405": "HTTP 405 ",
    "301": "HTTP 301 ",
}
"""What a server does that says that it will never serve, with the message."""

PERMANENT = {
    "400": "This model's maximum context length is 4096 tokens. However, you requested 5000.",
    "401": "Incorrect API key provided: {key}.",
    "403": "You are not allowed to sample from this model",
    "404": "The model `absent` does not exist.",
}


THINKING = ("tags", "field", "cut in tags", "cut in field")
"""How an answer of a model that thinks comes; a cut one has ended before the thinking has."""


class FaultServer:
    """State of the server: settings, and counts by body hash."""

    def __init__(self, settings: argparse.Namespace) -> None:
        self.settings = settings
        self.tries: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.thinking: Counter[str] = Counter()
        self.first_try: dict[str, float] = {}
        self.gaps: list[float] = []
        self.now = 0
        self.most = 0

    def fault(self, body: str) -> str | None:
        """What the next try of `body` meets; at most three faults in a row, unless every request is to fail."""
        settings = self.settings
        if settings.always:
            return str(settings.always)
        if settings.once and not self.tries[body]:
            return str(settings.once)
        draw = int(hashlib.sha256(f"{body} {self.tries[body]}".encode()).hexdigest()[:12], 16) / 16**12
        if draw >= settings.faults or self.tries[body] >= 3:
            return None
        kinds = [kind for kind in TRANSIENT if kind != "hang" or settings.hangs]
        return kinds[int(draw / settings.faults * len(kinds))]

    def choose_thinking(self, body: str) -> str:
        """How the answer to `body` comes: one of `THINKING`, or empty without any."""
        draw = int(hashlib.sha256(f"{body} thinking".encode()).hexdigest()[:12], 16) / 16**12
        share = self.settings.thinking
        return THINKING[int(draw / share * len(THINKING))] if draw < share else ""

    def stats(self) -> dict[str, Any]:
        return {
            "thinking": dict(self.thinking),
            "requests": sum(self.tries.values()),
            "bodies": len(self.tries),
            "answered": len(self.answered),
            "answers": sum(self.answered.values()),
            "twice": sorted(body for body, count in self.answered.items() if count > 1),
            "most_answers": max(self.answered.values(), default=0),
            "faults": dict(self.faults),
            "most_at_once": self.most,
            "gaps": self.gaps[:1000],
        }


class Connection(asyncio.Protocol):
    """One connection: reads requests with a Content-Length, answers them one after the other."""

    def __init__(self, server: FaultServer) -> None:
        self.server = server
        self.buffer = b""
        self.transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.buffer.startswith(b"\x16"):  # a client that wants TLS
            self.send(400, "Bad GenerationRequest", "plain HTTP here")
            assert self.transport is not None
            self.transport.close()
            return
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        self.task = asyncio.ensure_future(self.answer(lines[0].split(" ")[1], headers, rest[:length]))

    async def answer(self, path: str, headers: dict[str, str], body: bytes) -> None:
        server = self.server
        if path == "/stats":
            return self.send(200, "OK", json.dumps(server.stats()))
        if path == "/health":
            return self.send(200, "OK", "")
        name = hashlib.sha256(body).hexdigest()
        server.first_try.setdefault(name, time.monotonic())
        if server.tries[name] == 1:
            server.gaps.append(time.monotonic() - server.first_try[name])
        server.now += 1
        server.most = max(server.most, server.now)
        try:
            await asyncio.sleep(server.settings.latency)
            fault = "400" if server.settings.refuse and server.settings.refuse.encode() in body else server.fault(name)
            server.tries[name] += 1
            if fault is None:
                server.answered[name] += 1
                kind = server.choose_thinking(name)
                server.thinking[kind] += 1
                return self.send(200, "OK", completion(json.loads(body), name, kind))
            server.faults[fault] += 1
            await self.misbehave(fault, headers)
        finally:
            server.now -= 1

    async def misbehave(self, fault: str, headers: dict[str, str]) -> None:
        assert self.transport is not None
        if fault == "hang":
            await asyncio.sleep(3600)
        elif fault == "reset":
            peer = self.transport.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        elif fault == "close":
            self.transport.close()
        elif fault == "cut":
            self.send(200, "OK", '{"choices": [{"message": {"content": "hal', length=5000)
            self.transport.close()
        elif fault == "stream":
            self.send(200, "OK", 'data: {"choices": []}', kind="text/event-stream", length=10**6)
        elif fault == "parts":
            parts = [{"type": "text", "text": "4"}, {"type": "image_url", "image_url": {"url": "data:"}}]
            self.send(200, "OK", json.dumps({"choices": [{"finish_reason": "stop", "message": {"content": parts}}]}))
        elif fault == "html":
            self.send(200, "OK", "<html>Welcome</html>", kind="text/html")
        elif fault == "no json":
            self.send(200, "OK", '{"choices": [')
        elif fault == "no completion":
            self.send(200, "OK", '{"choices": [], "usage": null}')
        elif fault == "abort":
            choice = {"finish_reason": "abort", "message": {"content": None, "reasoning": "half a th"}}
            self.send(200, "OK", json.dumps({"choices": [choice]}))
        elif fault == "429":
            self.send(429, "Too Many Requests", "slow down", extra=f"Retry-After: {self.server.settings.retry_after}")
        elif fault == "429 date":
            self.send(429, "Too Many Requests", "slow down", extra="Retry-After: Sat, 01 Jan 2000 00:00:00 GMT")
        elif fault in PERMANENT:
            message = PERMANENT[fault].replace("{key}", headers.get("authorization", "").removeprefix("Bearer "))
            self.send(int(fault), "Refused", json.dumps({"error": {"message": message + "\x1b[31m" + "x" * 5000}}))
        else:
            self.send(int(fault), "Overloaded", "<html>overloaded</html>", kind="text/html")

    def send(
        self, status: int, phrase: str, text: str, kind: str = "application/json", extra: str = "", length: int = 0
    ) -> None:
        assert self.transport is not None
        body = text.encode()
        head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {kind}\r\nContent-Length: {length or len(body)}\r\n"
        self.transport.write((head + (extra + "\r\n" if extra else "") + "\r\n").encode() + body)


def completion(body: dict[str, Any], text: str, thinking: str = "") -> str:
    """The answer to `body`, in the form that its kind of request has; `thinking` is one of `THINKING`, or empty."""
    choice: dict[str, Any] = {"index": 0, "finish_reason": "length" if thinking.startswith("cut") else "stop"}
    thought = f"I think of {text}"
    message = {
        "": {"content": text},
        "tags": {"content": f"<think>{thought}</think>{text}"},
        "field": {"content": text, "reasoning_content": thought},
        "cut in tags": {"content": f"<think>{thought}"},
        "cut in field": {"content": None, "reasoning_content": thought},
    }[thinking]
    choice |= {"message": {"role": "assistant", **message}} if "messages" in body else {"text": text}
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 6}}
    return json.dumps({"id": "x", "object": "o", "model": body["model"], "choices": [choice], "usage": usage})


async def serve(settings: argparse.Namespace) -> None:
    state = FaultServer(settings)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(state), "127.0.0.1", settings.port, backlog=2048
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def fault_server(**settings: Any) -> Iterator[str]:
    """A server with `settings` (see the options below); gives its base URL and ends it with the block."""
    with start_server("tests.support.fault_server", settings) as url:
        yield url


@contextmanager
def start_server(module: str, settings: dict[str, Any]) -> Iterator[str]:
    """The server in `module`, which prints its port; gives its base URL and ends it with the block."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    command = [sys.executable, "-m", module, *options]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=root) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.kill()


def stats(url: str) -> dict[str, Any]:
    """What the server at `url` has seen."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats", timeout=10) as reply:
        value: dict[str, Any] = json.load(reply)
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--faults", type=float, default=0.0, help="share of tries that meet a fault")
    parser.add_argument("--thinking", type=float, default=0.0, help="share of answers with thinking")
    parser.add_argument("--hangs", type=int, default=1, help="whether a hang is among the faults")
    parser.add_argument("--always", default="", help="the fault that every try meets")
    parser.add_argument("--once", default="", help="the fault that every first try meets")
    parser.add_argument("--refuse", default="", help="a text; requests that hold it meet status 400")
    parser.add_argument("--retry-after", default="0.01", help="what 429 says, in seconds")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
