"""tools/install.sh: what it installs by which program, with stand-ins for uv and pip that note their words."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WORDS = ["-c", "requirements.lock", "-e", "."]
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


class Machine:
    """A path with the programs that the script calls, and what they were called with."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.bin = place / "bin"
        self.bin.mkdir()
        self.links = "/some/wheels"
        for name in ("bash", "uname"):
            found = shutil.which(name)
            assert found, name
            (self.bin / name).symlink_to(found)

    def add(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/bash\necho "{path.name} $*" >> {self.place}/calls\n{text}\n', encoding="utf-8")
        path.chmod(0o755)

    def install(self) -> tuple[list[str], str]:
        """The installations that were tried, and what the script said."""
        environment = {"PATH": str(self.bin), "PIP_FIND_LINKS": self.links, "PIP_INDEX_URL": ""}
        words = ["bash", "tools/install.sh", str(self.bin / "python3"), str(self.place / "venv"), *WORDS]
        done = subprocess.run(words, env=environment, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        calls = (self.place / "calls").read_text(encoding="utf-8").splitlines()
        return [call for call in calls if " install " in call], done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    found = Machine(tmp_path)
    found.add(found.bin / "python3", "exit 1  # no index can be reached")
    found.add(found.place / "venv/bin/python", "exit 0")
    return found


def test_uv_on_the_path_installs_all(machine: Machine) -> None:
    machine.add(machine.bin / "uv", "exit 0")
    (call,), said = machine.install()
    assert call.startswith("uv pip install ")
    assert call.endswith(f"--find-links /some/wheels {' '.join(WORDS)}")
    assert said == ""


def test_uv_from_the_index_installs_all(machine: Machine) -> None:
    machine.add(machine.place / "venv/bin/uv", "exit 0")
    got, installed = machine.install()[0]
    assert got.endswith("install --quiet -c requirements.lock uv")
    assert installed.startswith("uv pip install ")


def test_where_uv_fails_pip_installs_the_same(machine: Machine) -> None:
    machine.add(machine.bin / "uv", "exit 2")
    (_, by_pip), said = machine.install()
    assert by_pip == f"python -m pip --disable-pip-version-check install --quiet {' '.join(WORDS)}"
    assert said == "uv could not install it, see above; trying pip\n"


def test_where_uv_cannot_be_had_pip_installs_the_same(machine: Machine) -> None:
    machine.add(machine.place / "venv/bin/python", 'case "$*" in *lock\\ uv) exit 1;; esac')
    (_, by_pip), said = machine.install()
    assert by_pip.endswith(" ".join(WORDS))
    assert said == "uv cannot be had, see above; installing by pip, which takes longer\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere PyPI's torch has no CUDA")
@pytest.mark.parametrize("is_reachable", [True, False])
def test_without_a_gpu_torch_comes_from_its_cpu_index(machine: Machine, is_reachable: bool) -> None:
    machine.links = ""
    machine.add(machine.bin / "uv", "exit 0")
    machine.add(machine.bin / "python3", f"exit {int(not is_reachable)}")
    (call,), said = machine.install()
    assert ("--torch-backend cpu" in call) is is_reachable
    assert said == ("" if is_reachable else f"{CPU_INDEX} cannot be reached: taking the index's own torch, with CUDA\n")
    machine.add(machine.bin / "uv", "exit 2")
    (machine.place / "calls").unlink()
    (_, by_pip), _ = machine.install()
    assert (f"--extra-index-url {CPU_INDEX}" in by_pip) is is_reachable
    (machine.place / "calls").unlink()
    machine.add(machine.bin / "nvidia-smi", "exit 0")
    assert "cpu" not in " ".join(machine.install()[0])
