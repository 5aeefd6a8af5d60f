"""A server as a child of this program: started, waited for, ended whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from stages.common.engines import guard
from stages.common.engines.endpoints import KEY, URLS, Secrets
from stages.common.engines.errors import EngineError

POLL_S = 0.25
"""Seconds between two looks at a server that is starting; its end is noticed at once."""

TAIL = 30
"""Lines shown of the log of a server that failed."""

LONGEST_FOLDER = 70
"""Characters of the folder for temporary files: a socket's path may have 103 on any system."""


class Child:
    """A server that listens at `socket`, a path in a folder that only this user may enter: no port to be guessed.

    `command` makes its command line from that path. What it prints goes to the file `log`, and its last lines to
    standard error when it fails. Raises `EngineError` where it cannot be started.
    """

    def __init__(self, name: str, command: Callable[[str], Sequence[str]], log: Path) -> None:
        self._name = name
        self._log = log
        self._told = False
        if len(tempfile.gettempdir()) > LONGEST_FOLDER:
            raise EngineError(f"TMPDIR: {tempfile.gettempdir()} is too long a path to hold a socket; set a shorter one")
        folder = tempfile.mkdtemp(prefix="stepkto-")
        self.socket = f"{folder}/socket"
        log.parent.mkdir(parents=True, exist_ok=True)
        print(f"{name}: starting; its log is {log}", file=sys.stderr, flush=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the recipe's model, no shell
                [sys.executable, "-I", guard.__file__, folder, *command(self.socket)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={name: value for name, value in os.environ.items() if name not in (KEY, URLS)},
                start_new_session=True,  # so that an interrupt at the keyboard is for this program to pass on
            )

    def wait_until(self, ready: Callable[[], bool], limit_s: float) -> None:
        """Return once it is `ready`; raises `EngineError` when it ends, or is not ready within `limit_s` seconds."""
        deadline = time.monotonic() + limit_s
        while not ready():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(POLL_S)
            self.check()
            if time.monotonic() > deadline:
                raise self._fault(f"not ready after {limit_s:g} s")

    def check(self) -> None:
        """Raise `EngineError` if it has ended."""
        code = self._process.poll()
        if code is not None:
            raise self._fault(f"ended with code {code}")

    def stop(self) -> None:
        """End it and its processes; may be called twice."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(guard.GRACE_S + 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _fault(self, what: str) -> EngineError:
        if not self._told:  # every request in flight finds out
            self._told = True
            print(f"--- the end of {self._log}", *self._tail(), "---", sep="\n", file=sys.stderr, flush=True)
        return EngineError(f"{self._name}: {what}; its last lines stand above, all of them in {self._log}")

    def _tail(self) -> list[str]:
        hidden = Secrets(os.environ.get("HF_TOKEN"))
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - 100_000))
            lines = log.read().decode("utf-8", "replace").splitlines()
        return [hidden.clean(line) for line in lines[-TAIL:]]
