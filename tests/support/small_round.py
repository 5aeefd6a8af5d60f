"""A small round written as tables, to be looked at: two problems whose completions hold what a page must not obey."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from stages.common.params.dataset import DatasetParams
from stages.common.params.sample import PromptParams
from stages.common.params.select import SelectParams
from stages.common.tables import OUTCOME, REPLY, SAMPLE
from stages.select import select_samples
from tests.support.table_rows import make_problem, make_sample, make_steps, make_table_set, write_rows
from tools.audit.table_sets import DatasetSelection

HOSTILE = (
    "<script>document.title='HACKED'</script>",
    "</script><script>document.title='HACKED'</script>",
    "<img src=x onerror=\"document.title='HACKED'\">",
    "[click](javascript:document.title='HACKED')",
    "$\\href{javascript:document.title='HACKED'}{x}$ and $\\url{javascript:document.title='HACKED'}$",
    "$\\htmlData{onclick=1}{x}$ $\\includegraphics{https://example.org/x.png}$",
    "$\\frac{1$ and \\(\\unknown{\\[ and $$\\begin{matrix} 1",
    "$\\def\\a{\\a\\a}\\a$",
    "<!-- ]]> \u2028 \u202e \x00 \x1b[31m &amp; &lt;",
    "long " * 200_000,
)
"""Steps that a page must show as text; the last is 1 MB."""

RULE = SelectParams(max_correct=1, max_incorrect=None, require_both=False, balance=False, deduplicate=False)
PART = make_table_set(
    selection=DatasetSelection(
        Path("data/datasets/M1"),
        Path("data/selections/M1"),
        RULE,
        DatasetParams.model_construct(),
        PromptParams.model_construct(),
        1,
    )
)
LAST = "The last line."


def hexed(number: int) -> str:
    return f"{number:032x}"


def write_round(place: Path) -> None:
    """Two problems of two solutions each: 0 right with a wrong step, 1 right, 2 of hostile steps, 3 without verdict."""
    problems = [
        make_problem(hexed(number), text, source=source, solution="Because $x=1$.", answer="$1$", origin_row=1)
        for number, source, text in ((0, "olympiads", "What is $\\sqrt{1}$?"), (1, "cn_k12", HOSTILE[0]))
    ]
    steps_of = {0: ["a\n", LAST], 1: ["b\n", LAST], 2: [*HOSTILE, LAST], 3: ["c\n", LAST]}
    labels = {0: [False, True], 1: [True, True], 2: [None] * (len(HOSTILE) + 1), 3: [True, None]}
    values = {0: True, 1: True, 2: False, 3: None}
    samples, steps, judged, outcomes = [], [], [], []
    for number, texts in steps_of.items():
        ids = {"sample_id": hexed(number), "problem_id": hexed(number // 2)}
        samples.append(make_sample(ids, "".join(texts), sample_index=number % 2))
        steps += make_steps(ids, texts)
        for step, label in enumerate(labels[number]):
            reason = "judges disagree: x / y" if number == 3 and step else HOSTILE[0]
            judged.append(ids | {"step": step, "label": label, "reason": reason, "num_votes": 2, "agreement": 0.5,
                                 "first_error": None, "judge": "j"})  # fmt: skip
        outcomes.append(
            ids
            | {
                "answer": HOSTILE[2],
                "extraction_rule": "box",
                "is_correct": values[number],
                "reason": "r",
                "verifier": "g",
            }
        )
    reply = dict.fromkeys(REPLY.schema) | {
        "sample_id": hexed(2), "problem_id": hexed(1), "judge_index": 0, "step": -1, "vote": 0, "attempt": 0,
        "request_hash": "q", "text": HOSTILE[1], "error": HOSTILE[2], "finish_reason": "stop", "model": HOSTILE[0],
    }  # fmt: skip
    both = pl.DataFrame(samples, schema=SAMPLE.schema).join(pl.DataFrame(outcomes, OUTCOME.schema), on="sample_id")
    selected = select_samples(both, RULE, 1).to_dicts()
    write_rows(place, PART, problems=problems, samples=samples, outcomes=outcomes, selections=selected, steps=steps,
               labels=judged, replies=[reply])  # fmt: skip
