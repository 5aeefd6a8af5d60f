"""Adapters, several processes, trackers: one option each, off where null."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from stages.common.params.train import PAIR_METHODS, LaunchParams, LoraParams
from stages.common.policies import read_policy
from stages.common.runs import record_stage
from stages.train.launch import build_launch_command
from stages.train.policy_card import select_weight_params
from tests.support.clones import read_facts
from tests.support.tiny_policy import write_dataset, write_policy
from tests.unit.test_train_run import PARAMS, RUNTIME, go

ROWS = 40


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_policy(folder / "M0")
    write_dataset(folder / "rows", ROWS)
    write_dataset(folder / "pairs", ROWS, per_problem=4)
    return folder


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide enough for weights to be rounded 64 at a time."""
    folder = tmp_path_factory.mktemp("wide")
    write_policy(folder / "M0", hidden=64)
    write_dataset(folder / "rows", ROWS)
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Loaded by transformers alone."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32", use_safetensors=True)
    return {name: value.detach() for name, value in model.named_parameters()}


def test_what_is_off_is_no_part_of_the_params() -> None:
    selected = select_weight_params(PARAMS)
    assert not {"micro_batch_size", "lora", "launch", "report_to"} & set(selected)
    lora = LoraParams(rank=4, alpha=8.0, load_in_4bit=False)
    assert select_weight_params(
        PARAMS.model_copy(update={"lora": lora, "micro_batch_size": 2})
    ).keys() - selected.keys() == {
        "lora",
        "micro_batch_size",
    }


@pytest.fixture(scope="module")
def whole(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, Any]]:
    return go(inputs, tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("changes", [{}, {"packing": True}, {"packing": True, "gradient_checkpointing": True}], ids=str)
def test_passes_of_few_rows_are_the_same_training(
    inputs: Path, tmp_path: Path, whole: tuple[dict[str, str], dict[str, Any]], changes: dict[str, Any]
) -> None:
    files, parts = go(inputs, tmp_path, micro_batch_size=2, **changes)
    for entry, wanted in zip(parts["history"], whole[1]["history"], strict=True):
        assert entry["loss"] == pytest.approx(wanted["loss"], abs=1e-5)
        assert entry["grad_norm"] == pytest.approx(wanted["grad_norm"], rel=1e-4)
    padding, more = (sum(entry["padding"] for entry in report["history"]) for report in (parts, whole[1]))
    assert padding == 0 if changes else padding < more
    assert files["config.json"] == whole[0]["config.json"], "a policy is not bound to how it was trained"


@pytest.mark.parametrize("method", ["step_kto", "rft", "irpo", "simpo"])
def test_adapters_are_merged_into_a_plain_model(inputs: Path, tmp_path: Path, method: str) -> None:
    pytest.importorskip("peft", reason="peft is not installed (extra lora)")
    lora = LoraParams(rank=4, alpha=8.0, load_in_4bit=False)
    dataset = "pairs" if method in PAIR_METHODS else "rows"
    changes = {"method": method, "lora": lora, "num_epochs": 4, "packing": method == "step_kto"}
    files, report = go(inputs, tmp_path, dataset=dataset, **changes)
    assert not [name for name in files if "adapter" in name]
    before, after = weights(inputs / "M0"), weights(tmp_path / "out")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "_proj." in name}, "linear layers and no others"
    difference = after["model.layers.0.self_attn.q_proj.weight"] - before["model.layers.0.self_attn.q_proj.weight"]
    assert torch.linalg.matrix_rank(difference, tol=1e-6) <= 4
    if method != "rft":
        assert report["history"][-1]["loss"] < report["history"][0]["loss"]


def run_stage(inputs: Path, place: Path, **changes: Any) -> dict[str, Any]:
    """The stage's report, run by its command."""
    place.mkdir()
    train = {**PARAMS.model_dump(), **changes}
    (place / "params.yaml").write_text(yaml.safe_dump({"seed": 1, "train": train, "runtime": RUNTIME.model_dump()}))
    arguments = ["--recipe", "params.yaml", "--dataset", str(inputs / "rows"), "--policy", str(inputs / "M0")]
    done = subprocess.run(
        [sys.executable, "-m", "stages.train", *arguments, "--out", "M1", "--report", "M1.json"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report: dict[str, Any] = json.loads((place / "M1.json").read_text())
    return report


@pytest.mark.slow
@pytest.mark.parametrize("load_in_4bit", [False, True])
def test_two_processes_train_the_policy_that_one_does(wide: Path, tmp_path: Path, load_in_4bit: bool) -> None:
    if load_in_4bit:
        pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed (extra qlora)")
    lora = LoraParams(rank=4, alpha=8.0, load_in_4bit=True) if load_in_4bit else None
    launch = LaunchParams(strategy="ddp", num_processes=2, num_machines=1).model_dump()
    two = run_stage(wide, tmp_path / "two", launch=launch, lora=lora and lora.model_dump())
    one = go(wide, tmp_path / "one", batch_size=8, lora=lora)[1]
    assert read_facts(tmp_path / "two", "train")["num_processes"] == 2
    assert two["num_steps"] == one["num_steps"] == 5
    assert two["final"]["loss"] == pytest.approx(one["final"]["loss"], abs=2e-4 if load_in_4bit else 1e-5)
    read_policy(tmp_path / "two" / "M1")
    apart = [
        (value - other).abs().max().item()
        for value, other in zip(
            weights(tmp_path / "two" / "M1").values(), weights(tmp_path / "one" / "out").values(), strict=True
        )
    ]
    assert max(apart) < (2e-3 if load_in_4bit else 1e-4)  # passes over rounded weights are in bfloat16


def test_commands_of_every_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    def words(strategy: Any, machines: int = 1) -> str:
        launch = LaunchParams(strategy=strategy, num_processes=16, num_machines=machines)
        return " ".join(build_launch_command(launch, ["--out", "models/M1"]))

    assert "--multi_gpu" in words("ddp")
    assert "--use_fsdp --fsdp_version 2" in words("fsdp2")
    assert "--use_deepspeed --zero_stage 3" in words("deepspeed")
    assert "--deepspeed_multinode_launcher standard" in words("deepspeed"), "or each machine logs in to all of them"
    assert words("fsdp2").endswith("-m stages.train --out models/M1")
    with pytest.raises(ValueError, match="each machine needs the environment variables"):
        words("ddp", machines=2)
    for name, value in {"MACHINE_RANK": "1", "MAIN_ADDRESS": "10.0.0.1", "MAIN_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    assert "--machine_rank 1 --main_process_ip 10.0.0.1 --main_process_port 29500" in words("ddp", machines=2)


def test_adapters_over_weights_in_four_bits(wide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed (extra qlora)")
    from stages.train.trainer.divergence import DivergenceCallback

    plain, four_bits = (LoraParams(rank=4, alpha=8.0, load_in_4bit=load_in_4bit) for load_in_4bit in (False, True))
    exact = go(wide, tmp_path / "plain", batch_size=8, lora=plain)[1]
    types = set()

    def notes(_: Any, _args: Any, _state: Any, _control: Any, model: Any, **__: Any) -> None:
        types.update((parameter.dtype, parameter.requires_grad) for parameter in model.parameters())

    with monkeypatch.context() as patched:
        patched.setattr(DivergenceCallback, "on_step_end", notes)
        report = go(wide, tmp_path / "load_in_4bitd", batch_size=8, lora=four_bits)[1]
    assert (torch.uint8, False) in types
    assert {dtype for dtype, trained in types if trained} == {torch.float32}
    first, wanted = report["history"][0], exact["history"][0]
    assert first["entropy"] != wanted["entropy"], "the policy is rounded"
    assert first["rewards/chosen"] == first["rewards/rejected"] == 0, "the reference is rounded as the policy is"
    assert first["grad_norm"] == pytest.approx(wanted["grad_norm"], rel=0.2), "gradients reach every adapter"
    before, after = weights(wide / "M0"), weights(tmp_path / "load_in_4bitd" / "out")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "_proj." in name}, "the written policy was never rounded"
    for name in changed:
        assert torch.linalg.matrix_rank(after[name] - before[name], tol=1e-6) <= 4


@pytest.mark.slow
@pytest.mark.parametrize("load_in_4bit", [False, True])
def test_a_run_with_adapters_resumes_to_the_same_bytes(
    wide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_in_4bit: bool
) -> None:
    needed = "bitsandbytes" if load_in_4bit else "peft"
    pytest.importorskip(needed, reason=f"{needed} is not installed (extra {'qlora' if load_in_4bit else 'lora'})")
    from stages.train.trainer.divergence import DivergenceCallback

    lora = LoraParams(rank=4, alpha=8.0, load_in_4bit=load_in_4bit)
    running: dict[str, Any] = {"z_momentum": 0.5, "z_clamp": False}  # a state that checkpoints keep as well
    whole, report = go(wide, tmp_path / "whole", lora=lora, **running)
    assert report["final"]["kl"] != 0

    def dies(_: Any, _args: Any, state: Any, _control: Any, **__: Any) -> None:
        if state.global_step == 8:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(DivergenceCallback, "on_step_end", dies)
        with pytest.raises(KeyboardInterrupt):
            go(wide, tmp_path / "killed", lora=lora, **running)
    with record_stage(tmp_path, "train") as record:
        killed, _ = go(wide, tmp_path / "killed", lora=lora, **running)
    assert record.facts["resumed_from_step"] == 6
    assert killed == whole


def test_tensorboard_by_an_option(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "")  # training sets it where it is not, here for this test alone
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, report = go(inputs, tmp_path, report_to="tensorboard")
    [folder] = (tmp_path / "work").glob("*.tensorboard")
    events = EventAccumulator(str(folder)).Reload()
    written = {event.step: event.value for event in events.Scalars("train/loss/step")}
    logged = {entry["step"]: entry["loss/step"] for entry in report["history"]}
    assert written == pytest.approx({step: logged[step] for step in written}, abs=1e-5)
    assert set(written) == set(logged)


def test_a_tracker_that_is_not_installed(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(ValueError, match=r"^train\.report_to: needs the package trackio: pip install trackio$"):
        go(inputs, tmp_path, report_to="trackio")
