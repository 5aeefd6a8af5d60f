"""M0 by a supervised pass: rows as engines encode them, the loss on completions, a pass that was broken off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stages.common.params.block import ParamsError, validate
from stages.common.params.problems import SchoolProblemsParams
from stages.common.params.runtime import RuntimeParams
from stages.common.params.sample import PromptParams
from stages.common.params.seed_model import SeedModelParams, SupervisedParams
from stages.common.policies import read_policy
from stages.common.provenance import hash_folder
from stages.common.school import draw_problems
from stages.common.training.metrics_callback import MetricsCallback
from stages.seed_model import supervised_pass, write_seed_policy
from stages.seed_model.supervised_pass import SupervisedInputs, run_supervised_pass
from tests.support.small_llama import write_small_llama

PARAMS = SupervisedParams(num_rows=24, batch_size=4, learning_rate=3e-3, save_steps=2, dtype="float32")
RUNTIME = RuntimeParams(device="cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    model = write_small_llama(folder / "mine", hidden=16, layers=1)
    params = validate(SeedModelParams, {"kind": "folder", "folder": {"path": str(model)}}, "seed_model")
    write_seed_policy(params, 1, RUNTIME, folder / "base")
    return folder / "base"


@pytest.fixture
def inputs(base: Path) -> SupervisedInputs:
    return SupervisedInputs(PARAMS, PromptParams(), SchoolProblemsParams(), 1, read_policy(base).hash)


@pytest.mark.parametrize("chat", [True, False])
def test_rows_are_prompt_solution_and_end_token(base: Path, inputs: SupervisedInputs, chat: bool) -> None:
    inputs = replace(inputs, prompt=PromptParams(chat=chat, template="Solve: {problem}\n"))
    tokenizer = read_policy(base).load_tokenizer()
    problems = list(draw_problems("corpus", PARAMS.num_rows, 1, (2, 6)))
    rows = list(supervised_pass._encode_rows(inputs, tokenizer))
    assert len(rows) == PARAMS.num_rows
    for row, problem in zip(rows, problems, strict=True):
        prompt = tokenizer.decode(row["prompt_ids"])
        assert f"Solve: {problem.problem}" in prompt
        assert prompt.endswith("<|assistant|>\n" if chat else f"{problem.problem}\n")
        assert tokenizer.decode(row["completion_ids"]) == f"{problem.solution}{tokenizer.eos_token}"


def test_a_pass_learns_and_a_broken_one_goes_on_to_the_same_bytes(
    base: Path, inputs: SupervisedInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_supervised_pass(inputs, base, RUNTIME, tmp_path / "whole", tmp_path / "one")
    assert whole["num_steps"] == 6
    assert whole["rows"] == 24
    assert whole["history"] == [whole["loss"]]
    longer = replace(inputs, params=PARAMS.model_copy(update={"num_epochs": 4}))
    learned = run_supervised_pass(longer, base, RUNTIME, tmp_path / "longer", tmp_path / "one")
    assert learned["history"][-1] < learned["history"][0]
    assert learned["tokens_seen"] == 4 * learned["tokens"] == 4 * whole["tokens"]

    class Killed(BaseException): ...

    def die(self, _args, state, _control, **_) -> None:
        if state.global_step == 5:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(MetricsCallback, "on_step_end", die)
        with pytest.raises(Killed):
            run_supervised_pass(inputs, base, RUNTIME, tmp_path / "broken", tmp_path / "two")
    assert not (tmp_path / "broken").exists()
    [checkpoints] = [path for path in (tmp_path / "two").iterdir() if path.is_dir()]
    assert sorted(path.name for path in checkpoints.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]
    encode = supervised_pass._encode_rows
    with monkeypatch.context() as patch:
        patch.setattr(supervised_pass, "_encode_rows", lambda *given: list(encode(*given))[:-1])
        run_supervised_pass(inputs, base, RUNTIME, tmp_path / "reworded", tmp_path / "two")
    assert checkpoints.exists(), "other rows do not go on from them"
    report = run_supervised_pass(inputs, base, RUNTIME, tmp_path / "broken", tmp_path / "two")
    assert report == whole
    assert hash_folder(tmp_path / "broken") == hash_folder(tmp_path / "whole")
    assert read_policy(tmp_path / "whole").hash == whole["policy"] != inputs.base
    assert not checkpoints.exists()


def test_only_the_solution_and_the_end_token_have_a_loss() -> None:
    from stages.common.training.supervised import _mask_prompt

    assert _mask_prompt([5, 6], [7, 1]) == {"input_ids": [5, 6, 7, 1], "labels": [-100, -100, 7, 1]}


def test_weights_follow_factors_prompt_and_base_and_not_the_size_of_the_splits(inputs: SupervisedInputs) -> None:
    known = inputs.made_from
    assert replace(inputs, problems=SchoolProblemsParams(train=7)).made_from == known
    for other in (
        replace(inputs, problems=SchoolProblemsParams(max_factor=9)),
        replace(inputs, prompt=PromptParams(chat=False)),
        replace(inputs, base="another"),
        replace(inputs, seed=2),
        replace(inputs, params=PARAMS.model_copy(update={"num_rows": 25})),
    ):
        assert other.made_from != known


@pytest.mark.slow
def test_the_stage_makes_m0_of_a_folder(base: Path, tmp_path: Path) -> None:
    sft = {**PARAMS.model_dump(), "num_rows": 8}
    recipe = {
        "seed_model": {"kind": "sft", "folder": {"path": str(base)}, "sft": sft},
        "runtime": {"device": "cpu"},
    }
    (tmp_path / "params.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    words = ["--recipe", "params.yaml", "--out", "models/M0", "--report", "reports/M0.json"]
    done = subprocess.run(
        [sys.executable, "-m", "stages.seed_model", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "reports" / "M0.json").read_text(encoding="utf-8"))
    assert report["made_from"]["base"] == read_policy(base).hash
    assert report["policy"] == read_policy(tmp_path / "models" / "M0").hash
    assert sorted(path.name for path in (tmp_path / "work").iterdir() if path.name.startswith("tmp")) == []


@pytest.mark.parametrize("blocks", [{}, {"hub": {"repo": "a/b", "revision": "0" * 40}, "folder": {"path": "x"}}])
def test_there_is_one_model_to_begin_with(blocks: dict) -> None:
    with pytest.raises(ParamsError, match="either hub or folder, found none or two"):
        validate(SeedModelParams, {"kind": "sft", **blocks}, "seed_model")
