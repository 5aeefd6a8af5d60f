"""A server process of this program: started, waited for, and ended whatever happens."""

import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from stages.common.engines import server_supervisor
from stages.common.engines.engine import EngineError
from stages.common.engines.servers import KEY_VARIABLE, URLS_VARIABLE, Secrets, Server

logger = logging.getLogger(__name__)

POLL_S = 0.25
"""Seconds between two checks of a server that is starting; its end is noticed at once."""

NUM_LOG_LINES = 30
"""Lines shown of the log of a server that failed without an exception."""

MAX_LOG_BYTES = 10 * 2**20
"""Bytes read of the end of a server's log."""

_EXCEPTION = re.compile(r"^(?:\([^)]*\) )?(?:ERROR [^\]]*\] )?((?:\w+\.)*\w*(?:Error|Exception|Exit): .+)")
"""An exception's line, after vLLM's names of the process and the place in the code."""

_CONSEQUENCE = re.compile(r"[Ss]ee root cause above|See stack trace above|core initialization failed|EngineDeadError")
"""Exceptions that only pass on that another process has failed."""

MAX_FOLDER_CHARS = 70
"""Longest path of the folder for temporary files: a socket's path may have 103 characters on any system."""


class ServerProcess:
    """A server that listens at `socket`, a path in a folder that only this user may enter, not at a port.

    `make_command` makes its command line from that path; `environment` is what it finds there unless the user has set
    it. Its output goes to the file `log`, whose exception is shown when it fails. Raises `EngineError` where it cannot
    be started.
    """

    def __init__(
        self, name: str, make_command: Callable[[str], Sequence[str]], log: Path, environment: Mapping[str, str]
    ) -> None:
        self._name = name
        self._log = log
        self._failure: str | None = None
        folder = tempfile.gettempdir()
        if len(folder) > MAX_FOLDER_CHARS:
            raise EngineError(f"TMPDIR: {folder} is too long for a socket; set TMPDIR to a shorter path")
        folder = tempfile.mkdtemp(prefix="stepkto-")
        self.socket = f"{folder}/socket"
        self.server = Server("http://localhost/v1", None, self.socket)
        """Its address; a server that can listen at a port alone has another."""
        self.secrets = Secrets(None)
        """Its key, where it has one."""
        log.parent.mkdir(parents=True, exist_ok=True)
        logger.info("%s: starting; log: %s", name, log)
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the recipe's model, no shell
                [sys.executable, "-I", server_supervisor.__file__, folder, *make_command(self.socket)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**environment, **{n: v for n, v in os.environ.items() if n not in (KEY_VARIABLE, URLS_VARIABLE)}},
                start_new_session=True,  # so that this program handles an interrupt from the keyboard
            )

    def wait_until(self, is_ready: Callable[[], bool], timeout_s: float) -> None:
        """Return once it `is_ready`; raise `EngineError` when it ends, or is not ready within `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(POLL_S)
            self.check()
            if time.monotonic() > deadline:
                raise self._make_error(f"not ready after {timeout_s:g} s")

    def check(self) -> None:
        """Raise `EngineError` if it has ended."""
        code = self._process.poll()
        if code is not None:
            killed = " (killed, such as for lack of memory)" if code == 137 else ""
            raise self._make_error(f"ended with code {code}{killed}")

    def wait_for_end(self) -> None:
        """Return once it has ended well; raise `EngineError` where it has not."""
        if self._process.wait() != 0:
            self.check()

    def stop(self) -> None:
        """End it and its processes; may be called twice."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(server_supervisor.GRACE_S + 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _make_error(self, what: str) -> EngineError:
        if self._failure is None:  # every request in flight meets the error: the log is read once
            lines = self._read_log()
            exceptions = [match[1] for line in lines if (match := _EXCEPTION.match(line))]
            cause = next((line for line in exceptions if not _CONSEQUENCE.search(line)), None)
            if cause is None:
                logger.error("%s", "\n".join((f"--- the end of {self._log}", *lines[-NUM_LOG_LINES:], "---")))
                cause = "no exception is in its log; its last lines are shown above"
            self._failure = f"{self._name}: {what}: {cause}; the whole log is {self._log}"
        return EngineError(self._failure)

    def _read_log(self) -> list[str]:
        secrets = Secrets(os.environ.get("HF_TOKEN"))
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - MAX_LOG_BYTES))
            return [secrets.hide(line) for line in log.read().decode("utf-8", "replace").splitlines()]
