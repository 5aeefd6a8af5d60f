"""A provider of batches in OpenAI's shape that misbehaves on demand, by ``python -m tests.support.batch_server``.

It prints its port. A batch moves on by one state each time that it is looked at. What a request meets follows from its
body and how often it came, be it alone or in a batch; ``GET /stats`` says what was paid for, and what happened.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from contextlib import AbstractContextManager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.fault_server import completion, start_server

STATES = ("validating", "in_progress", "in_progress", "finalizing")
"""Those of a batch at its first looks; then it is finished."""

CALL_FAULTS = ("429", "500", "503", "reset", "lost", "cut", "html")
"""What a call may meet: `lost` is done and not replied to; `cut` breaks a reply off."""

LIMIT = "token_limit_exceeded"


def draw(*parts: Any) -> float:
    """A number in [0, 1) that follows from `parts`."""
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:12], 16) / 16**12


def hash_body(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def judge(schema: dict[str, Any], rng: random.Random) -> str:
    """A judge's reply by `schema` on some steps; one in 50 is of no use."""
    verdicts = schema["properties"]["verdicts"]
    first = verdicts["items"]["properties"]["step"]["minimum"]
    entries = [
        {"step": first + index, "analysis": f"seen {rng.random()}", "verdict": rng.choice(["correct", "incorrect"])}
        for index in range(verdicts["minItems"])
    ]
    return json.dumps({"verdicts": entries}) if rng.random() < 0.98 else "I would rather not say."


class Provider:
    """State of the server."""

    def __init__(self, settings: argparse.Namespace) -> None:
        self.settings = settings
        self.lock = threading.RLock()
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.looks: Counter[str] = Counter()
        self.came: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.lines = 0

    def reply_to(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and reply to one request, alone or in a batch."""
        settings, name = self.settings, hash_body(body)
        self.came[name] += 1
        if draw("rejected", name) < settings.rejected:
            return 400, {"error": {"message": "This model's maximum context length is 4096 tokens.", "code": None}}
        if draw("flaky", name, self.came[name]) < settings.flaky and self.came[name] < 3:
            return 500, {"error": {"message": "The server had an error.", "code": "server_error"}}
        self.paid[name] += 1
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        text = name if schema is None else judge(schema, random.Random(name))
        return 200, json.loads(completion(body, text))

    def create(self, given: dict[str, Any]) -> dict[str, Any]:
        """A batch, all of whose work is done at once, though it is told later."""
        number = len(self.batches) + 1
        made = {"id": f"batch_{number}", "object": "batch", "status": "validating", **given}
        self.batches[made["id"]] = made
        rows = [json.loads(line) for line in self.files[given["input_file_id"]].splitlines()]
        running = [each for each in self.batches.values() if each["status"] not in ("completed", "expired", "failed")]
        bad = [number for number, row in enumerate(rows, 1) if self.settings.bad_line in str(row["body"])]
        if len(running) > self.settings.max_running:
            made |= {"end": "failed", "errors": {"data": [{"code": LIMIT, "message": "Enqueued token limit reached"}]}}
            return made
        if self.settings.bad_line and bad:
            errors = [{"code": "invalid_request", "line": line, "message": "cannot be read"} for line in bad]
            made |= {"end": "failed", "errors": {"object": "list", "data": errors}}
            return made
        if self.settings.refuse_batches:
            made |= {"end": "failed", "errors": {"data": [{"code": "billing", "message": "no credit left"}]}}
            return made
        made["end"] = "expired" if number == self.settings.expired else "completed"
        output, errors = [], []
        for index, row in enumerate(rows):
            if made["end"] == "expired" and index % 2:
                error = {"code": "batch_expired", "message": "This request could not be executed in time."}
                errors.append({"custom_id": row["custom_id"], "response": None, "error": error})
                continue
            status, reply = self.reply_to(row["body"])
            response = {"status_code": status, "request_id": "r", "body": reply}
            (output if status == 200 else errors).append(
                {"id": "i", "custom_id": row["custom_id"], "response": response, "error": None}
            )
        made["counts"] = {"total": len(rows), "completed": len(output), "failed": len(errors)}
        rng = random.Random(number)
        rng.shuffle(output)
        del output[len(output) - self.settings.missing :]
        lines = [json.dumps(row) for row in output]
        if self.settings.strange:
            unknown = [{**output[0], "custom_id": "unknown"}, {"custom_id": 5}]
            lines += ["{no json", *map(json.dumps, unknown), *lines[:3]]
            rng.shuffle(lines)
        for key, content in (("output_file_id", lines), ("error_file_id", [json.dumps(row) for row in errors])):
            if content:
                made[key] = self.add_file("".join(f"{line}\n" for line in content).encode())
        return made

    def add_file(self, content: bytes) -> str:
        name = f"file-{len(self.files) + 1}"
        self.files[name] = content
        return name

    def show(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch as a client sees it."""
        hidden = ("end", "counts", "output_file_id", "error_file_id", "errors")
        shown = {key: value for key, value in batch.items() if key not in hidden}
        total = batch.get("counts", {}).get("total", 0)
        shown["request_counts"] = {"total": total, "completed": self.looks[batch["id"]] * total // 8, "failed": 0}
        if batch["status"] == batch["end"]:
            shown |= {key: batch.get(key) for key in hidden[2:]} | {"request_counts": batch.get("counts")}
        return shown

    def look(self, name: str) -> dict[str, Any]:
        """A batch, which then moves on."""
        batch = self.batches[name]
        at = self.looks[name]
        batch["status"] = STATES[at] if at < len(STATES) else batch["end"]
        self.looks[name] += 1
        return self.show(batch)

    def stats(self) -> dict[str, Any]:
        return {
            "paid": sum(self.paid.values()),
            "requests": len(self.came),
            "twice": sorted(name for name, count in self.paid.items() if count > 1),
            "calls": dict(self.calls),
            "faults": dict(self.faults),
            "ends": dict(Counter(batch["end"] for batch in self.batches.values())),
            "names": [batch.get("metadata", {}).get("stepkto") for batch in self.batches.values()],
        }


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # a reply in one piece, so that no client waits for the rest
    disable_nagle_algorithm = True
    provider: Provider

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        provider = self.provider
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/v1")
        if path == "/stats":
            with provider.lock:
                return self._send(200, json.dumps(provider.stats()).encode())
        call = f"{self.command} {'/files/content' if path.endswith('/content') else '/' + path.split('/')[1]}"
        if self.command == "GET" and path.startswith("/batches/"):
            call = "poll"
        if path in ("/chat/completions", "/completions"):
            call = "online"
        with provider.lock:
            provider.calls[call] += 1
            fault = self._choose_fault(call)
            if fault in ("429", "500", "503", "html", "reset"):
                return self._misbehave(fault, b"")
            status, reply = self._do(call, path, parts.query, body)
        if call == "POST /batches":
            time.sleep(provider.settings.create_delay)
        return self._misbehave(fault, reply) if fault else self._send(status, reply)

    def _choose_fault(self, call: str) -> str | None:
        provider = self.provider
        if call == "online" or draw("call", call, provider.calls[call]) >= provider.settings.faults:
            return None
        kinds = [kind for kind in CALL_FAULTS if kind not in provider.settings.without.split(",")]
        fault = kinds[int(draw("kind", call, provider.calls[call]) * len(kinds))]
        provider.faults[fault] += 1
        return fault

    def _do(self, call: str, path: str, query: str, body: bytes) -> tuple[int, bytes]:
        provider = self.provider
        if call == "online":
            status, reply = provider.reply_to(json.loads(body))
        elif call == "POST /files":
            head = b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n"
            parts = {part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
                     for part in BytesParser().parsebytes(head + body).get_payload()}  # fmt: skip
            assert parts["purpose"] == b"batch"
            status, reply = 200, {"id": provider.add_file(parts["file"]), "object": "file"}
        elif call == "POST /batches":
            status, reply = 200, provider.show(provider.create(json.loads(body)))
        elif call == "poll":
            status, reply = 200, provider.look(path.split("/")[2])
        elif call == "GET /batches":
            rows = [provider.show(batch) for batch in reversed(provider.batches.values())]
            after = parse_qs(query).get("after")
            if after:
                rows = rows[[row["id"] for row in rows].index(after[0]) + 1 :]
            status, reply = 200, {"object": "list", "data": rows[:2], "has_more": len(rows) > 2}
        elif call == "GET /files/content":
            return 200, provider.files[path.split("/")[2]]
        else:
            status, reply = 404, {"error": {"message": "no such address"}}
        return status, json.dumps(reply).encode()

    def _misbehave(self, fault: str, reply: bytes) -> None:
        if fault in ("reset", "lost"):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        elif fault == "cut":
            self._send(200, reply[: len(reply) // 2], length=len(reply))
            self.close_connection = True
        elif fault == "html":
            self._send(200, b"<html>Welcome</html>", kind="text/html")
        else:
            self._send(int(fault), b"slow down", retry_after="0.01")

    def _send(
        self, status: int, body: bytes, kind: str = "application/json", length: int = 0, retry_after: str = ""
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(length or len(body))}.items():
            self.send_header(name, value)
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)


def batch_server(**settings: Any) -> AbstractContextManager[str]:
    """A provider with `settings` (see the options below); gives its base URL and ends it with the block."""
    return start_server("tests.support.batch_server", settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=float, default=0.0, help="share of calls that meet a fault")
    parser.add_argument("--without", default="", help="faults that no call meets, separated by commas")
    parser.add_argument("--rejected", type=float, default=0.0, help="share of requests that are refused for good")
    parser.add_argument("--flaky", type=float, default=0.0, help="share of requests that fail and may succeed later")
    parser.add_argument("--expired", type=int, default=0, help="number of the batch that expires half done")
    parser.add_argument("--missing", type=int, default=0, help="completions of each batch that are not in its file")
    parser.add_argument("--strange", type=int, default=0, help="whether files hold lines that no request explains")
    parser.add_argument("--bad-line", default="", help="a text; a batch with a request that holds it fails")
    parser.add_argument("--refuse-batches", type=int, default=0, help="whether each batch fails as a whole")
    parser.add_argument("--max-running", type=int, default=1000, help="batches that may run at once")
    parser.add_argument("--create-delay", type=float, default=0.0, help="seconds until a create is replied to")
    Handler.provider = Provider(parser.parse_args())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
