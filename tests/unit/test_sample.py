"""Sampling: seeded, resumable, independent of how many are drawn, and the prompt that a policy reads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from stages.common.journal import Journal
from stages.common.params.runtime import RuntimeParams
from stages.common.params.sample import PromptParams, SampleParams
from stages.common.params.seed_model import SeedModelParams, ToyCorpusParams, ToyModelParams
from stages.common.policies import Policy, read_policy
from stages.common.prompt import make_chat, make_plain_prompt
from stages.common.tables import PROBLEM, make_problem_id, write_table
from stages.common.toy_arithmetic import make_problems
from stages.sample import choose_problems, sample_problems
from stages.seed_model import write_seed_policy
from tests.support.journals import OTHER_COMPLETIONS, describe_left_aside, drop, read_journal, rewrite_journal

PROMPT = PromptParams(chat=False, system=None, template="{problem}\n")
ENGINE = {"kind": "transformers", "transformers": {"batch_size": 6}}
PARAMS = SampleParams.model_validate(
    {"engine": ENGINE, "prompt": PROMPT.model_dump(), "num_samples": 3, "temperature": 1.0, "max_tokens": 24}
)
RUNTIME = RuntimeParams(num_threads=1, num_workers=1, distributed=None, device="cpu")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """An untrained-in-all-but-name policy: a few steps on 200 documents."""
    folder = tmp_path_factory.mktemp("policy") / "M0"
    corpus = ToyCorpusParams(num_documents=200)
    model = ToyModelParams(corpus=corpus, hidden_size=16, num_layers=1, num_heads=2, batch_size=16)
    write_seed_policy(SeedModelParams(kind="toy_arithmetic", toy_arithmetic=model), 1, RUNTIME, folder)
    return read_policy(folder)


def problems(count: int) -> pl.DataFrame:
    rows = []
    for at, row in enumerate(make_problems("train", count, 1)):
        answer = row["solution"].split("{")[1].rstrip("}")
        rows.append(
            (
                make_problem_id(row["problem"], answer),
                "train",
                "toy_arithmetic",
                row["problem"],
                row["solution"],
                answer,
                "made",
                at,
                "math",
            )
        )
    return pl.DataFrame(rows, schema=PROBLEM.schema, orient="row")


def draw(policy: Policy, count: int = 8, params: SampleParams = PARAMS) -> pl.DataFrame:
    return sample_problems(problems(count), policy, params, RUNTIME, 1, "test").sort("problem_id", "sample_index")


def test_the_same_seed_gives_the_same_samples_and_another_does_not(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        drawn.append(draw(policy))
    assert drawn[0].equals(drawn[1])
    assert drawn[0]["completion"].n_unique() > drawn[0].height // 2
    other = sample_problems(problems(8), policy, PARAMS, RUNTIME, 2, "test")
    assert set(other["sample_id"]).isdisjoint(drawn[0]["sample_id"])


def test_more_problems_and_samples_keep_what_is_there(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = draw(policy)
    more = draw(policy, count=10, params=PARAMS.model_copy(update={"num_samples": 4}))
    assert set(first["sample_id"]) <= set(more["sample_id"])
    (journal,) = Path("work/journal/sample").iterdir()
    with Journal(journal) as kept:
        assert len(kept) == 40


def test_greedy_is_the_model_s_own_choice(policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    greedy = draw(policy, params=PARAMS.model_copy(update={"temperature": 0.0, "num_samples": 2}))
    assert (greedy.group_by("problem_id").agg(pl.col("completion").n_unique())["completion"] == 1).all()


def test_rounds_draw_different_problems_and_arms_the_same() -> None:
    pool = problems(40)
    one, again, other = (choose_problems(pool, policy, 10)["problem_id"].to_list() for policy in ("a", "a", "b"))
    assert one == again
    assert one != other
    assert len(set(one)) == 10


def test_prompts_leave_braces_of_the_problem_alone() -> None:
    text = r"Solve $\frac{1}{x} = {problem}$ {0}"
    assert make_plain_prompt(text, PROMPT) == text + "\n"
    chat = make_chat("x", PROMPT.model_copy(update={"chat": True, "system": "S"}))
    assert [message["role"] for message in chat] == ["system", "user"]


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, 3])
def test_killed_and_run_again_gives_the_same_bytes(policy: Policy, tmp_path: Path, kills: int) -> None:
    """kill -9 as soon as the journal has grown, then run to the end; nothing finished is drawn twice."""
    outs = []
    for name, planned in (("whole", 0), ("killed", kills)):
        place = tmp_path / name
        place.mkdir()
        write_table(place / "problems", PROBLEM, problems(40), 0)
        recipe = {
            "seed": 1,
            "tables": {"shard_digits": 0},
            "sample": PARAMS.model_dump(mode="json"),
            "runtime": RUNTIME.model_dump(mode="json"),
        }
        (place / "params.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "stages.sample",
            "--recipe",
            "params.yaml",
            "--problems",
            "problems",
            "--policy",
            str(policy.folder),
            "--out",
            "out",
            "--report",
            "report.json",
        ]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
        for _ in range(planned):
            size = sum(p.stat().st_size for p in place.glob("work/journal/sample/*"))
            child = subprocess.Popen(command, cwd=place, env=environment)
            while child.poll() is None:
                if sum(p.stat().st_size for p in place.glob("work/journal/sample/*")) > size:
                    child.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.001)
            child.wait()
        subprocess.run(command, cwd=place, env=environment, check=True)
        outs.append((place / "out" / "all.parquet").read_bytes())
        (journal,) = place.glob("work/journal/sample/*")
        with Journal(journal) as kept:
            assert len(kept) == 120
            assert sum(line.count(b'"text"') for line in journal.read_bytes().splitlines()) == 120
    assert outs[0] == outs[1]


@pytest.mark.parametrize(
    "change", [drop("token_ids", "logprobs"), drop("logprobs"), *OTHER_COMPLETIONS.values()], ids=range(5)
)
def test_samples_of_another_form_are_drawn_again(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, change: Any
) -> None:
    """Without token ids they would pass for those of an engine that gives none, and be trained as other tokens."""
    monkeypatch.chdir(tmp_path)
    first = draw(policy, count=2)
    assert first["completion_ids"].null_count() == 0
    (journal,) = Path("work/journal/sample").iterdir()
    stored = read_journal(journal)
    count = rewrite_journal(journal, change)
    assert draw(policy, count=2).equals(first)
    assert f"{journal}{describe_left_aside(count)}" in caplog.text
    assert read_journal(journal) == stored
    caplog.clear()
    assert draw(policy, count=2).equals(first)
    assert "left aside" not in caplog.text
