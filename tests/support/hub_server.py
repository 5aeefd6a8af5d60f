"""A small Hub on this machine: the part of the Hub's API that its client uses to publish and to load, with faults.

Repositories live in memory: commits, tags, and large files by their sha256. What it speaks was taken from the requests
that huggingface_hub 2.4 and datasets 5.2 make.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 20_000
"""Bytes from which the Hub asks for a file as a large one; Parquet and weights are large whatever their size."""


@dataclass
class Commit:
    """A commit: its files and what it was made on."""

    id: str
    parent: str | None
    message: str
    files: dict[str, bytes]


@dataclass
class Repository:
    """A repository: commits, oldest first, and tags."""

    kind: str
    name: str
    private: bool
    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def head(self) -> Commit:
        return self.commits[-1]

    def add(self, files: dict[str, bytes], message: str) -> Commit:
        parent = self.commits[-1].id if self.commits else None
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
        number = hashlib.sha1(json.dumps([parent, message, digests]).encode()).hexdigest()
        self.commits.append(Commit(number, parent, message, files))
        return self.head

    def at(self, revision: str) -> Commit | None:
        wanted = self.tags.get(revision, self.head.id if revision == "main" else revision)
        return next((commit for commit in self.commits if commit.id == wanted), None)


@dataclass
class Fault:
    """What goes wrong: requests whose ``METHOD path`` matches, `times` of them."""

    pattern: str
    status: int
    """0 drops the connection without an answer."""
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False
    """Whether the request is carried out first, and only its answer is lost."""


class Hub:
    """The server's state; tests read it, and put faults into `faults`."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.large: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.tokens: set[str] = set()
        self.ignored: set[str] = set()
        """Paths that the Hub leaves out of commits, as it does by a .gitignore."""
        self.url = ""
        self.lock = threading.RLock()
        self.before_commit: Any = None
        """Called once, before a commit is looked at: someone else who commits at the same time."""

    def repository(self, name: str, kind: str = "dataset") -> Repository:
        return self.repositories[kind, name]

    def state(self) -> Any:
        """Everything that a visitor can see."""
        return {
            key: (repository.private, [commit.id for commit in repository.commits], dict(repository.tags))
            for key, repository in self.repositories.items()
        }

    def fault(self, request: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and re.search(fault.pattern, request):
                fault.times -= 1
                return fault
        return None


@contextmanager
def serve() -> Iterator[Hub]:
    """A Hub that listens on a free port of this machine."""
    hub = Hub()

    class Bound(_Handler):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Answer(Exception):  # noqa: N818
    """Ends a request."""

    def __init__(self, status: int, value: Any = None, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.headers = {"Content-Type": "application/json", **(headers or {})}


def _missing(what: str) -> _Answer:
    return _Answer(404, {"error": what}, {"X-Error-Code": what})


class _Handler(BaseHTTPRequestHandler):
    state: Hub
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer's head and body leave together, instead of 40 ms apart

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        request = f"{self.command} {path}"
        with self.state.lock:
            self.state.requests.append(request)
            fault = self.state.fault(request)
            if fault is None or fault.after:
                answer = self._carry_out(path, body)
        if fault is not None and fault.status == 0:
            self.close_connection = True
            return
        if fault is not None:
            answer = _Answer(fault.status, {"error": "the server was told to fail"}, fault.headers)
        self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815

    def _send(self, answer: _Answer) -> None:
        self.send_response(answer.status)
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _carry_out(self, path: str, body: bytes) -> _Answer:
        try:
            self._route(path, body)
        except _Answer as answer:
            return answer
        return _missing("EntryNotFound")

    def _route(self, path: str, body: bytes) -> None:
        if found := re.fullmatch(r"/large/([0-9a-f]{64})", path):
            if hashlib.sha256(body).hexdigest() != found[1]:
                raise _Answer(400, {"error": "these bytes have another sha256"})
            self.state.large[found[1]] = body
            raise _Answer(200)
        self._require_token(path)
        if path == "/api/validate-yaml":
            raise _Answer(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            self._create(json.loads(body))
        if path == "/api/repos/delete":
            self._delete(json.loads(body))
        if found := re.fullmatch(r"/api/(dataset|model)s/([^/]+/[^/]+)(?:/(.*))?", path):
            self._api(self._repository(found[1], found[2]), found[3] or "revision/main", body)
        if found := re.fullmatch(r"/(?:(datasets)/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            self._batch(json.loads(body))
        if found := re.fullmatch(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(self._repository("dataset" if found[1] else "model", found[2]), found[3], found[4])

    def _require_token(self, path: str) -> None:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.state.tokens and given not in self.state.tokens and self.command not in ("GET", "HEAD"):
            raise _Answer(401, {"error": "Invalid username or password."})

    def _repository(self, kind: str, name: str) -> Repository:
        repository = self.state.repositories.get((kind, name))
        if repository is None:
            raise _missing("RepoNotFound")
        return repository

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        key = (wanted.get("type") or "model", name)
        if key in self.state.repositories:
            raise _Answer(409, {"error": "You already created this repo"})
        private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
        self.state.repositories[key] = Repository(*key, private)
        self.state.repositories[key].add({".gitattributes": b"*.parquet filter=lfs\n"}, "initial commit")
        raise _Answer(200, {"url": f"{self.state.url}/{name}", "name": name})

    def _delete(self, wanted: dict[str, Any]) -> None:
        key = (wanted.get("type") or "model", f"{wanted['organization']}/{wanted['name']}")
        self._repository(*key)
        del self.state.repositories[key]
        raise _Answer(200, {})

    def _api(self, repository: Repository, rest: str, body: bytes) -> None:
        what, _, revision = rest.partition("/")
        revision, _, below = revision.partition("/")
        if what == "refs":
            tags = [
                {"name": name, "ref": f"refs/tags/{name}", "targetCommit": target}
                for name, target in repository.tags.items()
            ]
            main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repository.head.id}
            raise _Answer(200, {"branches": [main], "converts": [], "tags": tags})
        commit = repository.at(revision)
        if commit is None:
            raise _missing("RevisionNotFound")
        if what == "revision":
            raise _Answer(200, _info(repository, commit))
        if what == "tree":
            raise _Answer(200, _tree(commit, below))
        if what == "paths-info":
            raise _Answer(200, _paths_info(commit, body))
        if what == "preupload":
            raise _Answer(200, {"files": [self._mode(commit, entry) for entry in json.loads(body)["files"]]})
        if what == "commit":
            self._commit(repository, body)
        if what == "tag":
            self._tag(repository, commit, json.loads(body)["tag"])

    def _mode(self, commit: Commit, entry: dict[str, Any]) -> dict[str, Any]:
        path = entry["path"]
        known = commit.files.get(path)
        large = _is_large(path, entry["size"])
        oid = None if known is None else hashlib.sha256(known).hexdigest() if large else _blob(known)
        ignored = path in self.state.ignored
        return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": ignored, "oid": oid}

    def _tag(self, repository: Repository, commit: Commit, tag: str) -> None:
        if tag in repository.tags:
            raise _Answer(409, {"error": "Tag reference exists already"})
        repository.tags[tag] = commit.id
        raise _Answer(200, {})

    def _commit(self, repository: Repository, body: bytes) -> None:
        if self.state.before_commit is not None:
            meanwhile, self.state.before_commit = self.state.before_commit, None
            meanwhile(repository)
        lines = [json.loads(line) for line in body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        if header.get("parentCommit") not in (None, repository.head.id):
            raise _Answer(412, {"error": "A commit has happened since. Please refresh and try again."})
        files = dict(repository.head.files)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.state.large:
                    raise _Answer(400, {"error": f"{value['path']}: its content was not uploaded"})
                files[value["path"]] = self.state.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        commit = repository.add(files, header["summary"])
        url = f"{self.state.url}/{repository.name}/commit/{commit.id}"
        raise _Answer(200, {"commitUrl": url, "commitOid": commit.id, "success": True, "hookOutput": ""})

    def _batch(self, wanted: dict[str, Any]) -> None:
        objects = []
        for entry in wanted["objects"]:
            described: dict[str, Any] = {"oid": entry["oid"], "size": entry["size"]}
            if entry["oid"] not in self.state.large:
                described["actions"] = {"upload": {"href": f"{self.state.url}/large/{entry['oid']}", "header": {}}}
            objects.append(described)
        raise _Answer(200, {"transfer": "basic", "objects": objects}, {"Content-Type": "application/vnd.git-lfs+json"})

    def _resolve(self, repository: Repository, revision: str, path: str) -> None:
        commit = repository.at(revision)
        if commit is None:
            raise _missing("RevisionNotFound")
        if path not in commit.files:
            raise _missing("EntryNotFound")
        data = commit.files[path]
        headers = {
            "Content-Type": "application/octet-stream",
            "X-Repo-Commit": commit.id,
            "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            "Accept-Ranges": "bytes",
        }
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if found is None:
            raise _Answer(200, data, headers)
        first, last = int(found[1]), min(int(found[2] or len(data) - 1), len(data) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        raise _Answer(206, data[first : last + 1], headers)


def _info(repository: Repository, commit: Commit) -> dict[str, Any]:
    return {
        "id": repository.name,
        "sha": commit.id,
        "private": repository.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "siblings": [{"rfilename": name} for name in sorted(commit.files)],
    }


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _is_large(path: str, size: int) -> bool:
    return size > LARGE or path.endswith((".parquet", ".safetensors"))


def _entry(path: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": _blob(data)}
    if _is_large(path, len(data)):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry


def _tree(commit: Commit, below: str) -> list[dict[str, Any]]:
    """Every file below a folder, and the folders: `recursive` is what the client asks for."""
    prefix = f"{below}/" if below else ""
    files = {path: data for path, data in commit.files.items() if path.startswith(prefix)}
    if below and not files:
        raise _missing("EntryNotFound")
    folders = {part for path in files for part in _parents(path) if part.startswith(prefix)}
    return [
        *({"type": "directory", "path": path, "oid": _blob(path.encode()), "size": 0} for path in sorted(folders)),
        *(_entry(path, data) for path, data in sorted(files.items())),
    ]


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: at + 1]) for at in range(len(parts))]


def _paths_info(commit: Commit, body: bytes) -> list[dict[str, Any]]:
    from urllib.parse import parse_qs

    found = []
    for path in parse_qs(body.decode())["paths"]:
        if path in commit.files:
            found.append(_entry(path, commit.files[path]))
        elif any(name.startswith(f"{path}/") for name in commit.files):
            found.append({"type": "directory", "path": path, "oid": _blob(path.encode()), "size": 0})
    return found
