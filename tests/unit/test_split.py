"""Splitting: lossless, by the shape the text has, never inside mathematics or code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks import step_boundaries
from benchmarks.step_boundaries import list_texts
from stages.common.params.split import SplitParams
from stages.common.tables import SAMPLE, SELECTION, STEP, read_table, write_table
from stages.common.thinking import split_thinking
from stages.split import split_samples, split_text
from stages.split.protect import protected_spans

AUTO = SplitParams(shape="auto", max_steps=64)
DATA = Path(__file__).parents[1] / "data"
REAL = Path(os.environ.get("STEPKTO_REAL_DATA", "../shared/data"))
CASES = json.loads((DATA / "split_cases.json").read_text(encoding="utf-8"))


def steps(text: str, params: SplitParams = AUTO) -> list[str]:
    return [text[start:end] for start, end in split_text(text, params)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["source"])
def test_cases(case: dict[str, object]) -> None:
    expected = case["steps"]
    assert isinstance(expected, list)
    params = SplitParams.model_validate({"shape": case.get("shape", "auto"), "max_steps": 64})
    assert steps("".join(expected), params) == expected


def test_neighbours_are_joined_evenly_where_there_are_too_many_steps() -> None:
    text = "".join(f"{number}\n" for number in range(1, 10))
    assert steps(text, SplitParams(max_steps=4)) == ["1\n2\n", "3\n4\n5\n", "6\n7\n8\n", "9\n"]
    assert steps(text, SplitParams(max_steps=1)) == [text]


def test_a_long_chain_keeps_its_final_answer_apart() -> None:
    chain = "".join(f"Part {part} gives {part} + 1 = {part + 1}.\n\n" for part in range(200))
    divided = steps(f"<think>\n{chain}</think>\n\nThe answer is \\boxed{{7}}.")
    assert (len(divided), divided[-1]) == (64, "The answer is \\boxed{7}.")
    assert max(map(len, divided)) < len(chain) / 40


def test_further_paragraphs_below_a_heading_may_be_steps() -> None:
    text = "## Step 1: Add\n2 + 3 = 5\n\nNow we double it.\n\n## Step 2: Double\n2 * 5 = 10"
    assert len(steps(text)) == 2
    assert len(steps(text, SplitParams(paragraphs_after_heading="split"))) == 3


THOUGHT = "<think>\nIs it 4?\n\nNo, 5.\n\nSo 5.\n</think>\n\n"


@pytest.mark.parametrize(
    ("thinking", "most", "text", "expected"),
    [
        (
            "split",
            9,
            THOUGHT + "A.\n\nB.",
            ["<think>\nIs it 4?\n\n", "No, 5.\n\n", "So 5.\n</think>\n\n", "A.\n\n", "B."],
        ),
        ("whole", 9, THOUGHT + "A.\n\nB.", [THOUGHT, "A.\n\n", "B."]),
        ("split", 3, THOUGHT + "A.\n\nB.", [THOUGHT, "A.\n\n", "B."]),
        ("split", 2, THOUGHT + "A.\n\nB.", [THOUGHT, "A.\n\nB."]),
        ("split", 1, THOUGHT + "A.\n\nB.", [THOUGHT + "A.\n\nB."]),
        (
            "whole",
            9,
            "Is it 4?\n\nNo.\n</think>Step 1: A\nStep 2: B",
            ["Is it 4?\n\nNo.\n</think>", "Step 1: A\n", "Step 2: B"],
        ),
        ("whole", 9, THOUGHT, [THOUGHT]),
        ("whole", 9, "<think>\nIs it 4?\n\nNo", ["<think>\nIs it 4?\n\nNo"]),
        ("whole", 9, "A.\n\nB.\n\n<think>C\n\nD", ["A.\n\n", "B.\n\n", "<think>C\n\nD"]),
        ("split", 9, "A \\[ <think> \\] x</think>B", ["A \\[ <think> \\] x</think>", "B"]),
    ],
)
def test_a_step_begins_after_the_thinking(thinking: str, most: int, text: str, expected: list[str]) -> None:
    assert steps(text, SplitParams.model_validate({"thinking": thinking, "max_steps": most})) == expected


_PIECES = [
    *("Step 1: ", "## Step 2:", "**Step 3:**", "The answer is 4", "#### 4", "\n", "\n\n", "\\[", "\\]", "\\(", "\\)"),
    *("$$", "$", "\\$", "```", "````", "~~~py", "\\begin{align}", "\\end{align}", "\\begin{a}", "[asy]", "[/asy]"),
    *("<think>", "</think>", "[THINK]", "[/THINK]", "1. ", "2. ", "(1)", "- ", "Case 2:", "**Case 1**", "| a |", ": "),
    *("So it is. ", "第一步：", "答案是", "。", "where ", "= 5", "[Step 1]", "Step Two:", "\\boxed{4}", "Let's see."),
    *(" ", "x", "\r\n", "\u2028", "\\\\", "---", "\U0001f600", "e\u0301"),
]
_TEXTS = st.one_of(st.text(max_size=200), st.lists(st.sampled_from(_PIECES), max_size=40).map("".join))


@given(
    _TEXTS,
    st.sampled_from(["auto", "headings", "paragraphs", "lines", "sentences"]),
    st.integers(1, 9),
    st.sampled_from(["split", "whole"]),
)
def test_join_of_split_is_the_text(text: str, shape: str, most: int, thinking: str) -> None:
    spans = split_text(text, SplitParams.model_validate({"shape": shape, "max_steps": most, "thinking": thinking}))
    assert "".join(text[start:end] for start, end in spans) == text
    assert [end for _, end in spans[:-1]] == [start for start, _ in spans[1:]]
    assert len(spans) <= most
    assert all(start < end for start, end in spans)
    if text.strip():
        assert all(text[start:end].strip() for start, end in spans)


@given(_TEXTS, st.sampled_from(["headings", "paragraphs", "lines"]))
def test_steps_begin_at_line_beginnings(text: str, shape: str) -> None:
    assume(split_thinking(text).rest == text)
    params = SplitParams.model_validate({"shape": shape})
    assert all(start == 0 or text[start - 1] == "\n" for start, _ in split_text(text, params))


@given(_TEXTS, st.sampled_from(["auto", "headings", "paragraphs", "lines", "sentences"]))
def test_no_step_begins_in_a_formula_or_in_code(text: str, shape: str) -> None:
    assume(split_thinking(text).rest == text)
    starts = [start for start, _ in split_text(text, SplitParams.model_validate({"shape": shape}))]
    assert not [at for at in starts for start, end in protected_spans(text) if start < at < end]


BAIT = [
    "$",
    "$a ",
    "\\[",
    "\\",
    "\n",
    "```\n",
    "```a\n",
    "`",
    "\\begin{align}",
    "Step 1:\n",
    "#",
    " ",
    "\n \t",
    "a\n\n",
]


def test_long_texts_take_no_longer_than_their_length_asks() -> None:
    """Quadratic code takes minutes for one of these, and is cut off; what was printed last is the culprit."""
    pieces = [
        *BAIT,
        "**",
        "\\(\n",
        "[asy]",
        "step ",
        "\n" + " " * 1000,
        "-\n",
        "a$\nb",
        "1. a\n",
        "a:\n\n",
        "a. B ",
        "a:\n1. b\n2. c\n",
        "| a\n",
    ]
    program = (
        "import json, sys; from stages.split import split_text; from stages.common.params.split import SplitParams\n"
        "for piece in json.load(sys.stdin):\n"
        "    print(repr(piece), flush=True); text = piece * (50_000 // len(piece))\n"
        "    assert split_text(text, SplitParams())[-1][1] == len(text)"
    )
    subprocess.run([sys.executable, "-c", program], input=json.dumps(pieces), text=True, check=True, timeout=120)


def samples(texts: list[str]) -> pl.DataFrame:
    rows = [
        {
            **dict.fromkeys(SAMPLE.schema, None),
            "sample_id": f"{index:032x}",
            "problem_id": f"{index % 2:032x}",
            "policy": "p",
            "sampling_hash": "s",
            "sample_index": index,
            "completion": text,
            "finish_reason": "stop",
        }
        for index, text in enumerate(texts)
    ]
    return pl.DataFrame(rows, schema=SAMPLE.schema)


def test_table_has_a_row_per_step() -> None:
    table = STEP.check(split_samples(samples(["a\nb", "", "c"]), AUTO))
    assert table.select("step", "start", "end").rows() == [(0, 0, 2), (1, 2, 3), (0, 0, 1)]


def test_command_writes_steps_and_report(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "tables: {shard_digits: 0}\nsplit: {shape: auto, max_steps: 64}\njudge: {kind: none, scope: all}\n",
        encoding="utf-8",
    )
    write_table(tmp_path / "samples", SAMPLE, samples(["Step 1: a\nStep 2: b", "C.\n\nD.", "e", ""]), 0)
    write_table(tmp_path / "selections", SELECTION, pl.DataFrame(schema=SELECTION.schema), 0)
    arguments = [f"--{name}={tmp_path / path}" for name, path in (
        ("recipe", "recipe.yaml"), ("samples", "samples"), ("selections", "selections"), ("out", "steps"),
        ("report", "report.json"),
    )]  # fmt: skip
    subprocess.run([sys.executable, "-m", "stages.split", *arguments], check=True)
    assert read_table(tmp_path / "steps", STEP, 0).height == 5
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["samples"], report["steps"]) == (4, 5)
    assert report["steps_per_sample"] == {"1": 1, "2": 2}
    assert report["shapes"] == {"headings": 1, "paragraphs": 1, "lines": 1, "empty": 1}
    assert report["limited_by_max_steps"] == 0


def skip_without_real_data() -> None:
    if not REAL.is_dir():
        pytest.skip(f"{REAL}: real data not here; set STEPKTO_REAL_DATA to the folder of real data")


def test_real_texts_are_split_losslessly() -> None:
    skip_without_real_data()
    files = (*step_boundaries.SOLUTIONS, *step_boundaries.PROCESSBENCH, "gsm8k/test.jsonl")
    texts = [text for file in files for row in step_boundaries.read_rows(REAL / file) for text in list_texts(row)]
    assert len(texts) == 800 + 107 + 1400 + 1319
    divided = [steps(text) for text in texts]
    assert ["".join(parts) for parts in divided] == texts
    assert min(len(parts) for parts in divided[:800]) > 1
    torn = [parts for parts in divided[:800] if any(part.count("\\[") != part.count("\\]") for part in parts)]
    assert len(torn) == 2  # these two run into gibberish with a stray end of a display


def test_steps_are_those_that_people_and_other_authors_marked() -> None:
    skip_without_real_data()

    def split(text: str) -> list[tuple[int, int]]:
        return split_text(text, AUTO)

    for part in ("dev", "test"):
        counts = step_boundaries.measure_boundaries(split, REAL, part)["all"]
        assert min(counts.common / counts.found, counts.common / counts.marked) >= 0.95
    for file in step_boundaries.SOLUTIONS:
        own = [text for row in step_boundaries.read_rows(REAL / file) for text in list_texts(row)]
        kinds = [step_boundaries.name_fragment(text, span) for text in own for span in split(text)]
        assert sum(kind is not None for kind in kinds) <= 0.03 * len(kinds)
    found = [step_boundaries.find_processbench_steps(split, REAL, file) for file in step_boundaries.PROCESSBENCH]
    assert sum(same for same, _ in found) >= 0.98 * sum(total for _, total in found)
