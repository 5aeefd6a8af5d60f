"""Hostile answers: whatever a model writes is graded in its time, in its memory, and leaves nothing behind."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import random
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from stages.common.verifiers import Verdict, math, verify_answers
from stages.common.verifiers.math.extract.final_answer import MAX_ANSWER_CHARS

HOSTILE = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "hostile_answers.jsonl").read_text(encoding="utf-8").splitlines()
]
POOL = 1500 << 20
"""Bytes that all verifier processes may take together."""

needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="processes are seen in /proc only")


def written(row: dict[str, object]) -> str:
    """`text` repeated, with its closing as often, between `before` and `after`."""
    times = int(str(row.get("repeat", 1)))
    parts = (str(row.get(key, "")) for key in ("before", "text", "after", "close"))
    before, text, after, close = parts
    return before + text * times + after + close * times


TEXTS = [written(row) for row in HOSTILE]


def verifier_processes() -> list[Path]:
    """Folders in /proc of the verifier processes that were started from here."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"stages.common.verifiers.math.process.forkserver" in words and str(os.getpid()).encode() in words:
                found.append(folder)
    return found


def memory_taken() -> int:
    """Bytes of all verifier processes, what they share counted in each."""
    pages = 0
    for folder in verifier_processes():
        with suppress(OSError):
            pages += int((folder / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def most_memory() -> Iterator[list[int]]:
    """A list of what the verifier processes took, looked at twenty times a second."""
    seen = [0]
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            seen.append(memory_taken())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def check(pairs: list[tuple[str, str]], limit: float) -> list[Verdict]:
    with most_memory() as taken:
        verdicts = list(verify_answers(pairs, num_workers=2, timeout_s=limit))
    assert len(verdicts) == len(pairs)
    assert max(verdict.seconds for verdict in verdicts) <= limit + 1
    assert 0 < max(taken) < POOL
    assert verifier_processes() == []
    return verdicts


def test_the_set_is_as_large_and_as_varied_as_is_asked_for() -> None:
    assert len(HOSTILE) >= 200
    assert all(row["source"] for row in HOSTILE)
    assert len(set(TEXTS)) == len(TEXTS)


@needs_proc
def test_hostile_answers_cost_their_time_and_their_neighbours_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs = [pair for index, text in enumerate(TEXTS) for pair in ((r"\sqrt{2}", text), ("7", rf"\boxed{{{index}}}"))]
    verdicts = check(pairs, limit=0.25)
    assert [verdict.is_correct for verdict in verdicts[1::2]] == [index == 7 for index in range(len(TEXTS))]
    assert [verdict.answer for verdict in verdicts[::2] if verdict.is_correct is True] == []
    assert list(tmp_path.iterdir()) == []


@needs_proc
def test_hostile_golds_are_no_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    verdicts = check([(text, r"\sqrt{2}") for text in TEXTS], limit=0.25)
    assert [verdict.gold for verdict in verdicts if verdict.is_correct is True] == []
    assert list(tmp_path.iterdir()) == []


def patterns_in(value: object) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from patterns_in(part)
    elif isinstance(value, dict):
        yield from patterns_in(list(value.values()))


PATTERNS = {
    pattern
    for module in pkgutil.walk_packages(math.__path__, "stages.common.verifiers.math.")
    for pattern in patterns_in(list(vars(importlib.import_module(module.name)).values()))
}


def test_no_pattern_falls_for_bait() -> None:
    """A pattern that tries everything would take hours here and is cut off."""
    bait = [
        text[: MAX_ANSWER_CHARS // 2]
        for row, text in zip(HOSTILE, TEXTS, strict=True)
        if row["source"] == "bait for a pattern"
    ]
    program = (
        "import json, re, sys\n"
        "patterns, texts = json.load(sys.stdin)\n"
        "for source, flags in patterns:\n"
        "    pattern = re.compile(source, flags)\n"
        "    for text in texts: pattern.sub('', text), pattern.fullmatch(text)\n"
    )
    request = json.dumps([[(pattern.pattern, pattern.flags) for pattern in PATTERNS], bait])
    assert len(PATTERNS) > 40
    subprocess.run([sys.executable, "-c", program], input=request, text=True, check=True, timeout=120)


CODE = [
    *("__", "__import__", "('os')", '("os")', ".system", "()", "[0]", ".__class__", "eval", "exec", "lambda", ":"),
    *("import ", "open", "'hacked'", "`", "@", "#", ";", "\\", "{", "}", "x", "1", "+", " ", "**", "=", "\n", "\0"),
    *("\\text{", "\\operatorname{", "\\mathrm{", "$", "\\boxed{", "é", "\uff3f\uff3f", "\u2024", "’", "?", "!", "%"),
]


PROGRAM = """
import builtins, json, sys
from stages.common.verifiers.math.compare.algebra import load_algebra

compare = load_algebra()
real, evaluated = builtins.eval, []

def noted(code, *rest):
    evaluated.append(str(code))
    return real(code, *rest)

builtins.eval = noted
for text in json.load(sys.stdin):
    try:
        compare("1", text)
    except Exception:
        pass
print(json.dumps(evaluated))
"""


def test_no_text_is_evaluated() -> None:
    draw = random.Random(0)
    texts = ["".join(draw.choices(CODE, k=draw.randint(1, 8))) for _ in range(200)]
    texts += [text for row, text in zip(HOSTILE, TEXTS, strict=True) if row["source"] == "code"]
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, timeout=120, check=True)
    # Named tuples of modules that are loaded late are made by evaluation, of a text that is none of these.
    assert [code for code in json.loads(done.stdout) if not code.startswith(("lambda _cls", "<code object"))] == []
