"""One run of DVC as a run of this project: recorded, as loud as asked for, and summed up at its end."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stages.common.console import die_with_parent
from stages.common.logs import QUIET, VERBOSITY_VARIABLE
from stages.common.runs import RUN_VARIABLE, join_run
from stages.report import show_report
from tools.dvc_recovery import prepare_repro
from tools.runs import format_run


def run_repro(stages: Sequence[str], verbosity: str | None, recipe: Path, reports: Path) -> int:
    """Run what `stages`, by default all, still need; print the table of rounds and the run; return DVC's exit code."""
    for line in prepare_repro():
        print(line, file=sys.stderr)
    options = ["--quiet"] if verbosity == QUIET else []
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *options, *stages]
    # Bash replaces itself by the stage, which then dies with DVC; and dvc.yaml's `python` is this one.
    folders = [str(Path(sys.executable).parent), *filter(None, [os.environ.get("PATH")])]
    folder = join_run()
    environment = {**os.environ, "SHELL": "/bin/bash", "PATH": os.pathsep.join(folders), RUN_VARIABLE: folder.name}
    if verbosity is not None:
        environment[VERBOSITY_VARIABLE] = verbosity
    # No shell, and the user's own words. A DVC that outlived this command would block the next one.
    code = subprocess.run(command, check=False, env=environment, preexec_fn=die_with_parent).returncode  # noqa: S603
    if verbosity != QUIET:
        if not (code or stages):
            print(show_report(recipe, reports))
        if folder.is_dir():
            print("", *format_run(folder, has_facts=False), sep="\n")
    return code
