"""The journal: what was put stays put, through kills, torn tails, damage and a second writer."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.common.journal import Journal, read_keys

WRITER = """
import sys
from pathlib import Path
from stages.common.journal import Journal
with Journal(Path(sys.argv[1])) as journal:
    print("open", flush=True)
    number = len(journal)
    while True:
        journal.put({f"k{number}": "x" * (number * 7919 % 20_000)})
        number += 1
        print(number, flush=True)
"""

HOLDER = """
import sys, time
from pathlib import Path
from stages.common.journal import Journal
with Journal(Path(sys.argv[1])) as journal:
    for number in range(20):
        journal.put({f"{sys.argv[2]}{number}": number})
        if number == 0:
            print("first", flush=True)
        time.sleep(0.01)
"""

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Lone surrogates and line breaks of every kind included: what a policy writes may hold anything.
    | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
batches = st.lists(st.dictionaries(st.text(max_size=5), values, min_size=1, max_size=3), max_size=6)


def write(path: Path, batches: list[dict[str, Any]]) -> dict[str, Any]:
    """Write each of `batches` as a line; returns what must be found."""
    expected: dict[str, Any] = {}
    with Journal(path) as journal:
        for batch in batches:
            journal.put(batch)
            expected.update(batch)
    return expected


def content(path: Path) -> dict[str, Any]:
    with Journal(path) as journal:
        return {key: journal._read_value(key) for key in journal._positions}


@settings(max_examples=60)
@given(batches)
def test_what_is_put_is_got_back(tmp_path_factory: pytest.TempPathFactory, batches: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    expected = write(path, batches)
    assert content(path) == expected
    with Journal(path) as journal:
        assert len(journal) == len(expected)
        assert all(journal.find(key, lambda _: True) == value for key, value in expected.items())
        assert journal.num_damaged == 0


@settings(max_examples=60)
@given(batches.filter(bool), st.floats(0, 1, exclude_max=True))
def test_a_torn_tail_is_cut_and_written_again(
    tmp_path_factory: pytest.TempPathFactory, batches: list[dict[str, Any]], at: float
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    kept = write(path, batches[:-1])
    whole = path.stat().st_size
    write(path, batches[-1:])
    with path.open("r+b") as file:
        file.truncate(whole + int(at * (path.stat().st_size - whole)))
    assert content(path) == kept
    assert path.stat().st_size == whole
    write(path, batches[-1:])
    assert content(path) == {**kept, **batches[-1]}


@pytest.mark.parametrize("place", [0, 10, 17, 25, 60])
def test_a_damaged_line_costs_its_own_items_only(tmp_path: Path, place: int, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "j"
    write(path, [{"a": 1}, {"b": "y" * 60, "c": 3}, {"d": 4}])
    lines = path.read_bytes().splitlines(keepends=True)
    at = len(lines[0]) + place
    body = bytearray(path.read_bytes())
    body[at] ^= 1
    path.write_bytes(body)
    assert content(path) == {"a": 1, "d": 4}
    assert "1 damaged lines skipped" in caplog.text
    write(path, [{"b": 2}])
    assert content(path) == {"a": 1, "b": 2, "d": 4}


def test_a_valid_line_that_is_no_object_or_garbage_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b"\n" + b"garbage\n" + b"\x00\xff\n")
    assert write(path, [{"a": 1}]) == content(path)
    with Journal(path) as journal:
        assert journal.num_damaged == 3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_what_json_cannot_hold_is_refused_and_leaves_no_trace(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        with pytest.raises((ValueError, TypeError)):
            journal.put({"a": 1, "b": value})
        assert journal.find("a", lambda _: True) is None
    assert path.read_bytes() == b""


def test_an_absent_key_and_an_empty_batch(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.put({})
        assert journal.find("absent", lambda _: True) is None
    assert (tmp_path / "j").read_bytes() == b""


def test_values_of_another_form_are_left_aside_counted_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "j", [{"a": 1, "b": "1"}, {"c": "2"}])

    def find() -> dict[str, Any]:
        with Journal(tmp_path / "j") as journal:
            found = {key: journal.find(key, lambda value: isinstance(value, str)) for key in "abcd" for _ in range(2)}
            journal.put({key: "new" for key, value in found.items() if value is None})
            return found

    assert find() == {"a": None, "b": "1", "c": "2", "d": None}
    assert f"{tmp_path}/j: 1 entries of another form, stored by other code, left aside" in caplog.text
    caplog.clear()
    assert find() == {"a": "new", "b": "1", "c": "2", "d": "new"}
    assert not caplog.records
    assert read_keys(tmp_path / "j", lambda value: value == "new") == {"a", "d"}


def test_a_later_value_replaces_an_earlier_one(tmp_path: Path) -> None:
    write(tmp_path / "j", [{"a": 1, "b": 1}, {"a": 2}])
    assert content(tmp_path / "j") == {"a": 2, "b": 1}


def test_kills_at_any_moment_lose_nothing_finished(tmp_path: Path) -> None:
    path, draw = tmp_path / "j", random.Random(0)
    finished = 0
    for _ in range(12):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(draw.random() * 0.15)
        child.send_signal(signal.SIGKILL)
        said = [int(number) for number in child.stdout.read().splitlines()]
        assert child.wait() == -signal.SIGKILL
        found = content(path)
        assert len(found) >= max([finished, *said])
        assert found == {f"k{number}": "x" * (number * 7919 % 20_000) for number in range(len(found))}
        # What was on disk when the kill came is not done twice.
        written = [key for line in path.read_bytes().splitlines() for key in json.loads(line.partition(b" ")[2])]
        assert len(written) == len(set(written))
        finished = len(found)
    assert finished > 12, "the writers wrote next to nothing: nothing was tested"


def test_a_second_process_waits_for_the_first(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "j"
    command = [sys.executable, "-c", HOLDER, str(path)]
    first = subprocess.Popen([*command, "a"], stdout=subprocess.PIPE)
    assert first.stdout is not None
    first.stdout.readline()
    second = subprocess.run([*command, "b"], capture_output=True, text=True, check=True)
    assert first.wait() == 0
    assert "another process uses this journal; waiting for it" in second.stderr
    assert content(path) == {f"{name}{number}": number for name in "ab" for number in range(20)}
    keys = [next(iter(json.loads(line.partition(b" ")[2]))) for line in path.read_bytes().splitlines()]
    assert keys == sorted(keys, key=lambda key: key[0]), "the lines of the two are not mixed"
