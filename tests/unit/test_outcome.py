"""Verdicts: how answers are compared, and that nothing a model writes can hang the grader or be evaluated by it."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from itertools import count, islice
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.verifier_ablation import ablate, read_cases
from stages.common.params.outcome import OutcomeParams
from stages.common.tables import OUTCOME, PROBLEM, SAMPLE, read_table, write_table
from stages.common.verifiers import VERIFIERS, verify_answer, verify_answers
from stages.common.verifiers.math.compare import units
from stages.common.verifiers.math.compare.answer_text import write_plainly
from stages.common.verifiers.math.compare.comparer import NeedsAlgebra, check_cheaply
from stages.common.verifiers.math.compare.decision import compare_texts
from stages.common.verifiers.math.compare.numbers import SCALES, read_number
from stages.outcome import verify_samples

DATA = Path(__file__).parents[1] / "data"
MATH_VERSION = VERIFIERS.get("math")().version
PAIRS = json.loads((DATA / "outcome_pairs.json").read_text(encoding="utf-8"))
KINDS = [json.loads(line) for line in (DATA / "outcome_kinds.jsonl").read_text(encoding="utf-8").splitlines()]
"""Pairs that are easily taken for equal, and ways to write one answer; equal in both directions."""


SLOW = r"\sum_{i=1}^{999}\sum_{j=1}^{999}\sum_{k=1}^{999}\sqrt{i j k}"
"""A formula whose value takes days to compute."""


def find_wrong(cases: list[dict[str, object]], pairs: list[tuple[str, str]]) -> list[object]:
    verdicts = verify_answers(pairs, num_workers=2)
    return [
        (case, v.is_correct, v.reason)
        for case, v in zip(cases, verdicts, strict=True)
        if v.is_correct is not case["is_correct"]
    ]


def test_equality() -> None:
    assert find_wrong(PAIRS, [(case["gold"], case["answer"]) for case in PAIRS]) == []


@pytest.mark.slow
def test_every_rule_has_a_case_that_falls_without_it() -> None:
    assert [rule for rule, _, changed in ablate(read_cases()) if changed is None] == []


@pytest.mark.parametrize(("gold", "answer"), [("gold", "answer"), ("answer", "gold")])
def test_kinds_in_both_directions(gold: str, answer: str) -> None:
    assert all(case["source"] for case in KINDS)
    assert find_wrong(KINDS, [tuple(rf"\boxed{{{case[key]}}}" for key in (gold, answer)) for case in KINDS]) == []


def test_verdict_tells_how_it_was_reached() -> None:
    verdict = verify_answer("7", r"so \boxed{8}")
    assert (verdict.is_correct, verdict.gold, verdict.answer, verdict.extraction_rule) == (False, "7", "8", "box")
    assert verdict.reason == "exact numbers"
    assert verdict.seconds >= 0
    assert re.fullmatch(r"mpmath \S+ sympy \S+ rules [0-9a-f]{8}", MATH_VERSION)
    assert verdict.verifier == MATH_VERSION


def test_a_killed_pair_costs_its_neighbours_nothing() -> None:
    killers = [SLOW, SLOW.replace("999", "998")]
    pairs = [
        pair
        for index, text in enumerate(killers, start=7)
        for pair in ((r"\sqrt{2}", text), (r"\sqrt{2}", rf"2^{{1/2}} \cdot {index}/{index}"))
    ]
    verdicts = list(verify_answers(pairs, num_workers=2, timeout_s=5.0))
    assert [(v.is_correct, v.reason) for v in verdicts[::2]] == [(None, "no verdict in 5 s")] * len(killers)
    assert [v.is_correct for v in verdicts[1::2]] == [True] * len(killers)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_more_pairs_are_held_than_the_window(workers: int) -> None:
    """Though the first verdict keeps all others waiting."""
    asked = 0

    def pairs() -> Iterator[tuple[str, str]]:
        nonlocal asked
        yield r"\sqrt{2}", SLOW
        for asked in count(1):
            yield str(asked), str(asked)

    ahead = []
    with closing(verify_answers(pairs(), num_workers=workers, timeout_s=1.0)) as verdicts:
        for given, verdict in enumerate(islice(verdicts, 40_000), start=1):
            assert verdict.is_correct is (None if given == 1 else True)
            ahead.append(asked - given)
    assert max(ahead) < 20_000


class Text(str):
    """A string of another kind, as NumPy's are."""

    __slots__ = ()


@pytest.mark.parametrize("workers", [1, 2])
def test_strings_of_another_kind_are_strings(workers: int) -> None:
    pairs = [(Text("x"), Text(r"\boxed{x+1-1}")), (Text("7"), Text("8" * 300))]
    assert [verdict.is_correct for verdict in verify_answers(pairs, num_workers=workers)] == [True, False]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are listed in /proc, which is not here")
def test_grading_processes_end_with_their_parent() -> None:
    program = (
        "import os, signal; from stages.common.verifiers import verify_answers\n"
        f"verdicts = verify_answers([('x', 'x+1-1'), ('x', {SLOW!r})], timeout_s=300)\n"
        "print(next(verdicts).is_correct, os.getpid(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", program]
    parent = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    value, pid = parent.stdout.split()
    assert value == "True"
    for _ in range(100):
        if not _grading_processes(pid):
            break
        time.sleep(0.1)
    assert _grading_processes(pid) == []


def _grading_processes(parent: str) -> list[str]:
    """Processes that were started to grade for `parent`, which names itself in their command."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().decode(errors="replace").split("\0")
            if parent in words and any(word == "stages.common.verifiers.math.process.forkserver" for word in words):
                found.append(path.parent.name)
    return found


def test_pairs_that_need_no_algebra_start_no_process() -> None:
    program = (
        "import sys, stages.common.verifiers.math.process.process_pool as pool\n"
        "from stages.common.verifiers import verify_answers\n"
        "pool.subprocess = None\n"
        "pairs = [('7', r'\\boxed{8}'), ('even', 'odd'), ('yes', 'no'), ('12', 'even'), ('3:4', '3:5'), ('3', '')]\n"
        "assert [v.is_correct for v in verify_answers(pairs)] == [False] * 6\n"
        "assert not {'sympy', 'mpmath'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def ways_of_writing(number: Fraction) -> list[str]:
    """A number in the ways that both the rules and math-verify know."""
    sign, top, bottom = "-" if number < 0 else "", abs(number.numerator), number.denominator
    ways = [f"{sign}{top}/{bottom}", rf"{sign}\frac{{{top}}}{{{bottom}}}", rf"\dfrac{{{number.numerator}}}{{{bottom}}}"]
    if bottom == 1:
        grouped = f"{number.numerator:,}"
        ways += [grouped.replace(",", mark) for mark in ("", ",", "{,}", r",\!")]
        ways += [f"{number}.0", rf"{number} \times 10^{{0}}", rf"{sign}\${top}", rf"{number}\text{{ cm}}"]
    elif top > bottom:
        ways.append(rf"{sign}{top // bottom}\frac{{{top % bottom}}}{{{bottom}}}")
    if 10**6 % bottom == 0:
        decimal = f"{float(number):.6f}".rstrip("0").rstrip(".")
        ways += [decimal, decimal.replace("0.", ".", 1)]
    return ways


_VALUES = st.one_of(st.fractions(-20, 20, max_denominator=16), st.integers(-(10**7), 10**7).map(Fraction))
_FACTORS = st.sampled_from([Fraction(1), Fraction(-1), Fraction(1, 10), Fraction(100), Fraction(1001, 1000)])
_NUMBERS = st.tuples(_VALUES, _FACTORS).flatmap(
    lambda drawn: st.tuples(*(st.sampled_from(ways_of_writing(value)) for value in (drawn[0], drawn[0] * drawn[1])))
)
_ELEMENTS = st.lists(st.integers(-3, 3).map(str), min_size=2, max_size=3).map(", ".join)
_LISTS = st.tuples(_ELEMENTS, _ELEMENTS, st.sampled_from(["({})", r"\{{{}\}}", "{}"])).map(
    lambda drawn: (drawn[2].format(drawn[0]), drawn[2].format(drawn[1]))
)


def _write_plural(word: str) -> str:
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


WORDS = sorted({"times", "minus", "pairs", "losses"} | units.CHANGING)


@pytest.mark.parametrize("word", WORDS)
def test_words_that_change_a_number_are_found_as_written_and_in_the_plural(word: str) -> None:
    word = word.replace("/", "per ")
    forms = {word, word.upper(), *([_write_plural(word)] if len(word) > 3 and not word.endswith("s") else [])}
    for form in forms:
        assert units.read_unit(form).changing or units.read_unit(form).power > 1, form
        for text in (f"5 {form}", rf"5 \text{{ {form}}}"):
            assert decide("5", text)[0] is not True, text
            assert decide(text, text)[0] is True


@pytest.mark.parametrize("words", [" ".join(sorted(words)) for words in units.CONTRASTS])
def test_words_of_one_class_are_two_things_as_written_and_in_the_plural(words: str) -> None:
    for write in (str, str.upper, _write_plural):
        for first, second in itertools.permutations([write(word) for word in words.split() if len(word) > 3], 2):
            assert units.is_contrast(units.read_unit(first).words, units.read_unit(second).words), (first, second)
            assert decide(f"5 {first}", f"5 {second}")[0] is False, (first, second)


def test_words_that_count_are_found_in_the_plural() -> None:
    for word, size in SCALES.items():
        for form in (word, word.upper(), _write_plural(word)):
            assert decide(f"5 {form}", str(5 * size))[0] is True, form
            assert decide(f"5 {form}", "5")[0] is False, form
    for word in ["third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "hundredth", "thousandth"]:
        assert decide(f"5 {_write_plural(word)}", "5")[0] is False, word


@given(st.one_of(_NUMBERS, _LISTS))
@settings(max_examples=300)
def test_rules_never_say_the_opposite_of_math_verify(pair: tuple[str, str]) -> None:
    """But for the rules that docs/outcome.md states: percent, two units, a set beside a point."""
    import math_verify

    fast, reason = decide(*pair)
    if fast is not None and reason not in ("a point beside another kind", "units differ"):
        parsed = [math_verify.parse(f"${text}$", parsing_timeout=None) for text in pair]
        assert fast is math_verify.verify(*parsed, timeout_seconds=None)


def decide(gold: str, answer: str) -> tuple[bool | str | None, str]:
    """The decision without algebra."""
    try:
        return compare_texts(write_plainly(gold), write_plainly(answer), check_cheaply)
    except NeedsAlgebra:
        return "algebra", "is needed"


_TEXTS = st.one_of(
    st.text(max_size=200),
    st.tuples(*(st.sampled_from([str(case[key]) for case in [*PAIRS, *KINDS] for key in ("gold", "answer")]),) * 2).map(
        lambda drawn: drawn[0][: len(drawn[0]) // 2] + drawn[1][len(drawn[1]) // 2 :]
    ),
    st.sampled_from([str(case[key]) for case in [*PAIRS, *KINDS] for key in ("gold", "answer")]),
)


@given(_TEXTS, _TEXTS)
@settings(max_examples=500)
def test_the_order_of_two_answers_does_not_matter(first: str, second: str) -> None:
    assert decide(first, second)[0] == decide(second, first)[0] or "algebra" in {
        decide(first, second)[0],
        decide(second, first)[0],
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_numbers_are_their_text_and_nothing_is_no_answer(workers: int) -> None:
    pairs: list[tuple[object, object]] = [(7, "7"), ("7", 7), (None, "7"), ("7", None), (r"\sqrt{2}", 7)]
    verdicts = verify_answers(pairs, num_workers=workers)  # type: ignore[arg-type]
    assert [verdict.is_correct for verdict in verdicts] == [True, True, None, False, False]


@given(st.integers(0, 10**12))
def test_numbers_are_read_as_they_are_written(number: int) -> None:
    for text in (str(number), f"{number:,}", rf"\${number:,}", f"{number}.0", f"{number:,}".replace(",", "{,}")):
        read = read_number(write_plainly(text).removeprefix(r"\$"))
        assert read is not None
        assert read.value == number


@given(_TEXTS)
def test_every_text_equals_itself_or_is_nothing(text: str) -> None:
    assert decide(text, text)[0] is (True if write_plainly(text) else None)


def tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    problem = dict.fromkeys(PROBLEM.schema, "-") | {"problem_id": "p", "answer": "12", "origin_row": 0, "task": "math"}
    texts = [(r"\boxed{12}", "stop"), ("The answer is 12", "length"), ("The answer is 13", "stop"), ("", "stop")]
    rows = [
        dict.fromkeys(SAMPLE.schema) | {"sample_id": f"s{index}", "problem_id": "p", "policy": "-"}
        | {"sampling_hash": "-", "sample_index": index, "completion": text, "finish_reason": finish}
        for index, (text, finish) in enumerate(texts)
    ]  # fmt: skip
    return pl.DataFrame([problem], schema=PROBLEM.schema), pl.DataFrame(rows, schema=SAMPLE.schema)


def test_table_has_a_row_per_sample() -> None:
    table = OUTCOME.check(verify_samples(*tables(), OutcomeParams(timeout_s=5.0), num_workers=1))
    assert table.select("sample_id", "answer", "extraction_rule", "is_correct", "reason").rows() == [
        ("s0", "12", "box", True, "same text"),
        ("s1", None, None, False, "no answer"),
        ("s2", "13", "sentence", False, "exact numbers"),
        ("s3", None, None, False, "no answer"),
    ]


def test_sample_without_problem_is_refused() -> None:
    problems, samples = tables()
    with pytest.raises(ValueError, match="4 have no problem, the first is s0"):
        verify_samples(problems.clear(), samples, OutcomeParams(timeout_s=5.0), num_workers=1)


def test_command_writes_outcomes_and_report(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("tables: {shard_digits: 0}\n", encoding="utf-8")
    for name, table, frame in zip(("problems", "samples"), (PROBLEM, SAMPLE), tables(), strict=True):
        write_table(tmp_path / name, table, frame, 0)
    arguments = [f"--{name}={tmp_path / path}" for name, path in (
        ("recipe", "recipe.yaml"), ("problems", "problems"), ("samples", "samples"), ("out", "out"),
        ("report", "r.json"),
    )]  # fmt: skip
    subprocess.run([sys.executable, "-m", "stages.outcome", *arguments], check=True)
    assert read_table(tmp_path / "out", OUTCOME, 0)["is_correct"].to_list() == [True, False, False, False]
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert report["verdicts"] == {"correct": 1, "incorrect": 3, "unknown": 0}
    assert report["extraction_rules"] == {"box": 1, "sentence": 1, "none": 2}


def test_extraction_is_what_grading_uses() -> None:
    found = VERIFIERS.get("math")().extract("The answer is 5.")
    assert found is not None
    assert verify_answer("5", "The answer is 5.").extraction_rule == found.rule
