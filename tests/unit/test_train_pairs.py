"""Methods on preference pairs: their losses against plain arithmetic, what is masked and dropped, and their reports."""

from __future__ import annotations

import copy
import json
import math
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from stages.common.errors import UserError
from stages.common.params.block import ParamsError, validate
from stages.common.params.train import METHOD_DEFAULTS, PAIR_METHODS, TrainParams
from stages.common.policies import read_policy
from stages.common.toy_arithmetic import judge_step, make_problems, parse_problem
from stages.common.toy_arithmetic.corpus import _write_solution
from stages.seed_model.toy_tokenizer import make_tokenizer
from stages.train.build_trainer import build_trainer
from stages.train.dataset_folder import read_dataset_folder
from stages.train.policy_card import select_weight_params
from tests.support.tiny_policy import write_dataset, write_policy, write_rows
from tests.unit.test_train_run import PARAMS, go

ROWS = 24
EVERY_METHOD = ("step_kto", "kto", "rft", *PAIR_METHODS)
EOS = "<eos>"
GAMMA, ALPHA, BETA = 0.7, 0.3, 0.1


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_policy(folder / "M0")
    write_dataset(folder / "rows", ROWS, per_problem=6)
    write_dataset(folder / "chat", ROWS, per_problem=6, chat=True)
    write_dataset(folder / "single", ROWS)
    return folder


# --- losses, from token ids that are found here again, in float64 ---


def compared_tokens(row: dict[str, Any], step: int | None, tokenizer: Any) -> tuple[list[int], list[bool]]:
    """The tokens of a row up to the end of `step`, and which of them are compared."""
    text = row["prompt"] + row["completion"] + EOS
    encoded = tokenizer(text, return_offsets_mapping=True)
    start, end = len(row["prompt"]), len(text)
    if step is not None:
        steps = row["steps"]
        start = len(row["prompt"]) + steps[step]["start"]
        end = len(text) if step == len(steps) - 1 else len(row["prompt"]) + steps[step]["end"]
    ids = [i for i, (_, last) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True) if last <= end]
    return ids, [last > start for _, last in encoded["offset_mapping"]][: len(ids)]


def token_logps(model: Any, ids: list[int], mask: list[bool]) -> torch.Tensor:
    """Log-probs of the compared tokens."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double()
    logps = logits - logits.exp().sum(-1, keepdim=True).log()
    return torch.stack([logps[at - 1, ids[at]] for at in range(1, len(ids)) if mask[at]])


def loss_of(method: str, pairs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]) -> float:
    """The paper's loss of a batch; a pair is log-probs of chosen and rejected tokens, and the reference's."""
    losses = []
    for chosen, rejected, ref_chosen, ref_rejected in pairs:
        margin = (chosen - ref_chosen).sum() - (rejected - ref_rejected).sum()
        if method in ("dpo", "irpo", "step_dpo"):
            losses.append(-math.log(1 / (1 + math.exp(-BETA * margin))))
        elif method == "ipo":
            by_token = (chosen - ref_chosen).mean() - (rejected - ref_rejected).mean()
            losses.append(float(by_token - 1 / (2 * BETA)) ** 2)
        else:
            by_token = chosen.mean() - rejected.mean()
            losses.append(-math.log(1 / (1 + math.exp(-(BETA * by_token - GAMMA)))))
    loss = sum(losses) / len(losses)
    if method == "irpo":  # the mean over the batch's chosen tokens, as TRL has it, and not over its completions
        loss += ALPHA * -float(torch.cat([pair[0] for pair in pairs]).mean())
    return float(loss)


@pytest.mark.parametrize("method", PAIR_METHODS)
def test_losses_are_the_papers(inputs: Path, tmp_path: Path, method: str) -> None:
    params = PARAMS.model_copy(
        update={"method": method, "beta": BETA, "simpo_gamma": GAMMA, "nll_weight": ALPHA, "batch_size": 6}
    )
    policy = read_policy(inputs / "M0")
    tokenizer, model = policy.load_tokenizer(), policy.load_model().double()
    reference = copy.deepcopy(model)
    dataset = read_dataset_folder(inputs / "rows")
    trainer = build_trainer(params, dataset, model, tokenizer, 1, "cpu", tmp_path, tmp_path / "journal").trainer
    torch.manual_seed(0)
    for parameter in trainer.model.parameters():  # the policy leaves the reference
        parameter.data += 0.05 * torch.randn_like(parameter)
    policy_model = copy.deepcopy(reference)
    policy_model.load_state_dict(trainer.model.state_dict())
    rows = {row["sample_id"]: row for row in pl.read_parquet(inputs / "rows/step_kto.parquet").to_dicts()}
    table = "step_pairs" if method == "step_dpo" else "pairs"
    expected = []
    for pair in pl.read_parquet(inputs / f"rows/{table}.parquet").to_dicts():
        sides = [
            compared_tokens(rows[pair[f"{side}_sample_id"]], pair.get(f"{side}_step"), tokenizer)
            for side in ("chosen", "rejected")
        ]
        models = (policy_model, reference)
        expected.append(tuple(token_logps(one, *side) for one in models for side in sides))
    seen = []
    for batch in trainer.get_train_dataloader():
        with torch.no_grad():
            seen.append(float(trainer.compute_loss(trainer.model, trainer._prepare_inputs(batch))))
    orders = [expected[at : at + 3] for at in range(0, len(expected), 3)]
    losses = [loss_of(method, batch) for batch in orders]
    assert len(seen) == len(losses) == 4
    assert seen == pytest.approx(losses, rel=1e-6, abs=1e-6)  # TRL sums log-probs in float32


# --- one training of each ---


@pytest.mark.parametrize(
    ("method", "rows"), [*((method, "rows") for method in PAIR_METHODS), ("simpo", "chat"), ("step_dpo", "chat")]
)
def test_methods(inputs: Path, tmp_path: Path, method: str, rows: str) -> None:
    files, report = go(inputs, tmp_path, dataset=rows, method=method, num_epochs=4, **METHOD_DEFAULTS.get(method, {}))
    assert {"README.md", "config.json", "manifest.json", "model.safetensors", "tokenizer.json"} <= set(files)
    assert read_policy(tmp_path / "out").hash == report["policy"] != read_policy(inputs / "M0").hash
    level = "step" if method == "step_dpo" else "outcome"
    num_pairs = pl.read_parquet(inputs / rows / ("step_pairs.parquet" if level == "step" else "pairs.parquet")).height
    assert (report["pairs"], report["rows"], report["drops"]) == (num_pairs, 2 * num_pairs, {})
    assert {name: report["labels"][level][name] for name in ("correct", "incorrect")} == {
        "correct": num_pairs,
        "incorrect": num_pairs,
    }
    assert report["num_steps"] == 4 * math.ceil(num_pairs / 2), "a pair counts as two rows of a batch"
    assert report["history"][-1] == report["final"]
    assert {"rewards/margins", "rewards/accuracies", "loss", "logps/chosen"} <= set(report["final"])
    assert report["history"][-1]["loss"] < report["history"][0]["loss"]
    card = (tmp_path / "out/README.md").read_text()
    assert f"| method | {method} |" in card
    assert "arXiv" in card


@pytest.mark.slow
def test_pairs_with_a_long_sequence_are_counted(inputs: Path, tmp_path: Path) -> None:
    longest = 25  # tokens
    _, whole = go(inputs, tmp_path / "whole", method="dpo")
    _, report = go(inputs, tmp_path / "cut", method="dpo", max_length=longest)
    dropped = report["drops"]["pair with a sequence longer than max_length"]
    assert dropped["rows"] == whole["pairs"] - report["pairs"] > 0
    with pytest.raises(UserError, match=r"no pair is left to train on; dropped \{'pair with a sequence longer"):
        go(inputs, tmp_path / "none", method="dpo", max_length=20)
    # Steps of a completion that is too long are trained while they fit themselves.
    assert go(inputs, tmp_path / "steps", method="step_dpo", max_length=20)[1]["pairs"] > 0


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_what_the_only_update_breaks_is_seen(inputs: Path, tmp_path: Path, method: str) -> None:
    """A step's own metrics come from before its update."""
    with pytest.raises(UserError, match=r"^step 1: after the last update, .* nats per token, beyond max_kl 2\.0; "):
        go(inputs, tmp_path, method=method, batch_size=1000, learning_rate=50.0, warmup_steps=0)
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "work").glob("*/checkpoint-*"))


@pytest.mark.parametrize(("method", "what"), [("simpo", "both outcomes"), ("step_dpo", "the same correct steps")])
def test_a_data_set_without_pairs_is_named(inputs: Path, tmp_path: Path, method: str, what: str) -> None:
    with pytest.raises(UserError, match=rf"pairs\.parquet: expected pairs, found none: no problem has .*{what}"):
        go(inputs, tmp_path, dataset="single", method=method)


def test_a_beginning_with_other_tokens_is_dropped() -> None:
    from stages.common.tables import DropLog
    from stages.train.trainer.pair_encoding import Pair, encode_pairs
    from stages.train.trainer.token_steps import TokenizedRow

    def row(*tokens: int, steps: list[int]) -> TokenizedRow:
        return TokenizedRow([1, 2], list(tokens), steps, [True, False], True)

    rows = {
        "a": row(10, 11, 12, steps=[0, 0, 1]),
        "b": row(10, 11, 13, steps=[0, 0, 1]),
        "c": row(99, 13, steps=[0, 1]),  # the same text in one token
        "d": row(10, 14, 15, steps=[0, 1, 1]),  # a token across the boundary belongs to the later step
    }
    drops = DropLog()
    pairs = [Pair("a", "b", 1, 1), Pair("a", "c", 1, 1), Pair("a", "d", 1, 1), Pair("a", "gone", 1, 1)]
    encoded = encode_pairs(pairs, rows, None, drops).to_list()
    assert encoded == [
        {"prompt_ids": [1, 2, 10, 11], "chosen_ids": [12], "rejected_ids": [13]},
        {"prompt_ids": [1, 2, 10], "chosen_ids": [11, 12], "rejected_ids": [14, 15]},
    ]
    assert drops.counts() == {
        "pair of a completion that cannot be encoded": 1,
        "pair whose common beginning has different tokens in both": 1,
    }


# --- a round of toy arithmetic ---


def toy_attempts(num_problems: int, per_problem: int) -> list[tuple[str, str, bool, list[bool | None]]]:
    """Solutions with forgotten carries of toy arithmetic's problems, labelled by its rule."""
    made = []
    for row in make_problems("train", num_problems, seed=1):
        problem, rng = parse_problem(row["problem"]), random.Random(row["problem"])
        for _ in range(per_problem):
            solution = _write_solution(problem, rng, forgotten_carry_rate=0.9, slip_rate=0.2)
            labels: list[bool | None] = []
            before = None
            for position, line in enumerate(solution.splitlines()):
                verdict = judge_step(problem, position, line, before)
                before = verdict.result
                labels.append(verdict.is_correct)
            is_correct = solution.splitlines()[-1] == row["solution"].splitlines()[-1]
            made.append((row["problem"] + "\n", solution, is_correct, labels))
    return made


@pytest.mark.slow
def test_every_method_trains_a_round_of_toy_arithmetic(tmp_path: Path) -> None:
    """On the same rows, and at most KTO's budget."""
    write_rows(tmp_path / "rows", toy_attempts(16, 4), 8, False, 4)
    write_policy(tmp_path / "M0", tokenizer=make_tokenizer())
    params = {"max_length": 256, "batch_size": 8, "learning_rate": 1e-3, "max_displacement": None}
    reports = {
        method: go(tmp_path, tmp_path / method, method=method, **params, **METHOD_DEFAULTS.get(method, {}))[1]
        for method in EVERY_METHOD
    }
    assert len({report["policy"] for report in reports.values()}) == len(EVERY_METHOD) == 8
    for method, report in reports.items():
        assert report["drops"] == {}, method
        assert 0 < report["tokens_seen"] <= reports["kto"]["tokens_seen"], method


# --- params ---


def test_defaults_of_methods() -> None:
    def beta(**params: Any) -> float:
        return validate(TrainParams, params, "train").beta

    assert [beta(method=method) for method in ("kto", *PAIR_METHODS)] == [0.1, 0.1, 0.1, 0.1, 2.5, 0.4]
    assert beta(method="simpo", beta=2.0) == 2.0
    assert validate(TrainParams, {"method": "irpo"}, "train").nll_weight == 1.0
    with pytest.raises(ParamsError, match="dpo cannot be trained with fsdp2; use strategy ddp"):
        validate(TrainParams, {"method": "dpo", "launch": {"num_processes": 2}}, "train")


def test_params_of_other_methods_decide_no_weights() -> None:
    def names(method: str) -> set[str]:
        return set(select_weight_params(TrainParams.model_validate({"method": method})))

    assert names("simpo") - names("step_kto") == {"simpo_gamma"}
    assert names("irpo") == names("dpo") == names("step_kto")
    assert "simpo_gamma" not in json.dumps(select_weight_params(PARAMS))
