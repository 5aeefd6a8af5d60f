"""``python server_supervisor.py FOLDER COMMAND...``: runs a server; ends all its processes when standard input closes.

The program that started it holds the other end of that pipe, which the system closes however that program ends, also
by SIGKILL. FOLDER is then removed. Run by its path, hence with nothing but the standard library.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress

GRACE_S = 20.0
"""Seconds that a server has to end by itself."""


def main() -> int:
    server = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - its purpose

    def end_with_input() -> None:
        os.read(0, 1)  # nothing is ever sent
        _signal_group(server.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.wait(GRACE_S)
        _signal_group(server.pid, signal.SIGKILL)

    threading.Thread(target=end_with_input, daemon=True).start()
    code = server.wait()
    _signal_group(server.pid, signal.SIGKILL)  # workers that it has left behind
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    return code if code >= 0 else 128 - code


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main())
