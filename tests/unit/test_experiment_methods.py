"""The experiment on methods: what it tries and chooses, how it goes on, and its tables and figure."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from experiments import chains, methods
from experiments.chains import DIVERGED, Chain, run_chains
from experiments.method_figure import draw_figure, list_points
from experiments.method_params import METHODS, NOISE, WORLDS, name_noisy
from experiments.method_tables import format_choices, format_noise
from experiments.methods import MethodsRun, choose, fill_missing, format_results
from experiments.plot import PANELS
from experiments.workspace import PROJECT_FILES, make_workspace
from experiments.worlds import draw_worlds, read_worlds
from stages.common.errors import UserError
from stages.common.params.recipe import read_recipe, resolve

RECIPE: dict[str, Any] = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))


TOY = WORLDS["toy_arithmetic"]


@pytest.mark.parametrize("name", WORLDS)
def test_every_method_gets_as_many_tries(name: str, tmp_path: Path) -> None:
    world = WORLDS[name]
    assert len({len(world.tries[method]) for method in world.methods}) == 1
    recipe_of_world = world.read_recipe()
    for tries in world.tries.values():
        assert len({json.dumps(one) for one in tries}) == len(tries)
        for one in tries:
            recipe = Chain(7, "x", {"train": one, "judge": {"label_noise": 0.1}}, 2).make_recipe(recipe_of_world)
            path = tmp_path / "params.yaml"
            path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
            assert list(read_recipe(path).rounds) == ["M1", "M2"]
            resolved = resolve(recipe, "M2")
            assert (resolved["seed"], resolved["policy"], resolved["judge"]["label_noise"]) == (7, "M1", 0.1)
            assert {key: resolved["train"][key] for key in one} == one
            stopped = Chain(7, "x", {"train": one}, 2, last_trained=1).make_recipe(recipe_of_world)
            path.write_text(yaml.safe_dump(stopped), encoding="utf-8")
            assert read_recipe(path).rounds["M2"]["train"]["method"] == "none", "valid, whatever the method had"


def test_a_workspace_finds_what_the_recipe_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in ("models/base/config.json", "judged.jsonl", "problems.jsonl", ".venv-vllm/bin/python"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name, encoding="utf-8")
    for name in PROJECT_FILES:
        source, target = Path(name), project / name
        if source.is_dir():
            target.symlink_to(source.resolve())
        else:
            shutil.copyfile(source, target)
    monkeypatch.chdir(project)
    recipe = {
        "seed_model": {"kind": "sft", "folder": {"path": "models/base"}},
        "judge": {"gate": {"files": ["judged.jsonl", str(tmp_path / "elsewhere.jsonl")]}},
        "evaluate": {"benchmarks": {"some": {"file": {"path": "problems.jsonl"}}, "hub": {"hub": {}}}},
    }
    workspace = project / "work" / "chain"
    for _ in range(2):  # a run that goes on finds the links there
        make_workspace(workspace, recipe, project / "work" / "cache")
    for name in ("models/base/config.json", "judged.jsonl", "problems.jsonl", ".venv-vllm/bin/python"):
        assert (workspace / name).read_text(encoding="utf-8") == name
    assert str(tmp_path) not in (workspace / "params.yaml").read_text(encoding="utf-8").replace(
        str(tmp_path / "elsewhere.jsonl"), ""
    ), "a lock that is committed names no path of this machine"


def test_a_vote_is_taken_for_the_first_and_the_last_policy() -> None:
    recipe = {**RECIPE, "evaluate": {"num_majority_samples": 8}}
    found = Chain(7, "x", {"train": {"method": "kto"}}, 3).make_recipe(recipe)
    votes = [resolve(found, f"M{number}")["evaluate"]["num_majority_samples"] for number in range(4)]
    assert votes == [8, 0, 0, 8]


def test_the_best_mean_is_chosen_and_the_first_of_equals() -> None:
    tries = [
        {"method": "kto", "train": {"beta": 1}, "pass_at_1": [0.2, 0.6]},
        {"method": "kto", "train": {"beta": 2}, "pass_at_1": [0.5, 0.5]},
        {"method": "kto", "train": {"beta": 3}, "pass_at_1": [0.6, 0.4]},
        {"method": "rft", "train": {"lr": 1}, "pass_at_1": [0.0, 0.0]},
    ]
    assert choose(tries) == {"kto": {"beta": 2}, "rft": {"lr": 1}}


LOG = """ERROR train: error: step 12: loss is nan; the run has diverged; lower \
train.learning_rate or raise train.beta
ERROR: failed to reproduce 'train@M2': failed to run: python -m stages.train ...
"""


def test_only_divergence_is_taken_for_divergence() -> None:
    found = DIVERGED.search(LOG)
    assert found is not None
    assert found[1] == "2"
    assert DIVERGED.search("OSError: No space left on device\nERROR: failed to reproduce 'train@M2'") is None


class StandIn:
    """In place of DVC: a chain's metrics by its recipe, or what makes it fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[str] = []
        self.fails = ""
        monkeypatch.setattr(chains, "make_workspace", self.make)
        monkeypatch.setattr(chains, "reproduce", self.reproduce)

    def make(self, folder: Path, recipe: dict[str, Any], _cache: Path) -> None:
        (folder / "reports").mkdir(parents=True, exist_ok=True)
        (folder / "params.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")

    def reproduce(self, folder: Path, log: Path) -> None:
        self.ran.append(folder.name)
        recipe = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
        method = recipe["rounds"]["M2"].get("train", {}).get("method")
        if self.fails and method != "none":
            log.write_text(self.fails, encoding="utf-8")
            raise UserError(f"{log}: the graph failed")
        rounds = ["M0", *recipe["rounds"]]
        table = pl.DataFrame({"round": rounds, "pass_at_1": [recipe["seed"] / 1000] * 3, "stepwise_error": [None] * 3})
        table.write_csv(folder / "reports" / "rounds.csv")


def test_finished_chains_are_not_run_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dvc = StandIn(monkeypatch)
    two = [Chain(seed, name, {"train": {"method": name}}, 2) for seed in (101, 102) for name in ("kto", "rft")]
    part = run_chains(two[:1], RECIPE, tmp_path, 1, tmp_path / "cache")
    assert part.select("seed", "chain", "round").rows() == [(101, "kto", f"M{number}") for number in range(3)]
    whole = run_chains(two, RECIPE, tmp_path, 1, tmp_path / "cache")
    assert dvc.ran == ["101-kto", "102-kto", "101-rft", "102-rft"], "each seed's first chain makes its M0"
    assert whole.height == 12
    assert whole.filter(pl.col("seed") == 102)["pass_at_1"].to_list() == [0.102] * 6
    run_chains(two, {**RECIPE, "seed": 5}, tmp_path, 1, tmp_path / "cache")
    assert len(dvc.ran) == 4, "a chain has its own seed"
    run_chains(two, {**RECIPE, "select": {}}, tmp_path, 1, tmp_path / "cache")
    assert len(dvc.ran) == 8, "another recipe is another result"


def test_a_chain_that_diverges_keeps_its_policy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dvc = StandIn(monkeypatch)
    dvc.fails = LOG
    table = run_chains([Chain(101, "kto", {"train": {"method": "kto"}}, 2)], RECIPE, tmp_path, 1, tmp_path / "cache")
    assert table["last_trained"].to_list() == [1, 1, 1]
    assert (tmp_path / "101-kto.stopped.log").read_text(encoding="utf-8") == LOG, "why it stopped is kept"
    recipe = yaml.safe_load((tmp_path / "101-kto/params.yaml").read_text(encoding="utf-8"))
    assert [recipe["rounds"][name]["train"]["method"] for name in ("M1", "M2")] == ["kto", "none"]
    dvc.fails = "MemoryError\nERROR: failed to reproduce 'train@M2'"
    with pytest.raises(UserError, match="the graph failed"):
        run_chains([Chain(102, "kto", {"train": {"method": "kto"}}, 2)], RECIPE, tmp_path, 1, tmp_path / "cache")


def make_table(gain_of_noise: dict[float, float]) -> pl.DataFrame:
    """Step-KTO is ahead of KTO by `gain_of_noise`, give or take a tenth of a point by seed."""
    rows = []
    for seed in (101, 102, 103):
        spread = (seed - 102) / 1000
        for method in METHODS:
            for noise in NOISE if method in ("step_kto", "step_dpo") else NOISE[:1]:
                for number in range(2):
                    gain = gain_of_noise[noise] if (method, number) == ("step_kto", 1) else 0.0
                    rows.append({"seed": seed, "chain": name_noisy(method, noise), "round": f"M{number}"})
                    rows[-1] |= {"pass_at_1": 0.6 + gain + (spread if gain else 0), "last_trained": None}
                    rows[-1] |= {"stepwise_error": 0.3 if method != "rft" else None}
    return pl.DataFrame(rows, schema_overrides={"last_trained": pl.Int64}, infer_schema_length=None)


def test_until_which_noise_steps_help() -> None:
    table = make_table({0.0: 0.08, 0.05: 0.05, 0.1: 0.001, 0.2: 0.04, 0.3: -0.2})
    text = format_noise(table, list(METHODS), 1)
    assert "| 5% | +5.0 +- 0.2 |" in text
    assert "- Step-KTO, Pass@1 of M1: helps up to 5% of flipped labels." in text, "20% is ahead again, but 10% is not"
    assert "- Step-DPO, Pass@1 of M1: cannot be told from KTO, or is behind." in text
    assert "not among the methods" in format_noise(table, ["step_kto"], 1)


def test_tables_and_figure_of_all_methods() -> None:
    table = make_table(dict.fromkeys(NOISE, 0.05))
    tries = [{"method": m, "train": one, "pass_at_1": [0.5]} for m in METHODS for one in TOY.tries[m]]
    text = format_results(table, tries, list(METHODS), 1)
    assert text.count("**lr") == len(METHODS), "one choice per method"
    for _, title in METHODS.values():
        assert f"| {title} | 60.0 +- 0.0 |" in text
    assert "No training stopped itself." in text
    stopped = table.with_columns(last_trained=pl.when(pl.col("chain") == "simpo").then(0))
    expected = "simpo, seed 102: training of M1 stopped itself; later rounds have the policy before."
    assert expected in format_results(stopped, tries, list(METHODS), 1)
    for nothing in (pl.lit(None), pl.lit(None, pl.String)):  # as polars reads it from rows, and from a file
        without_votes = table.with_columns(maj_at_8=nothing)
        assert "Maj@8" not in format_results(without_votes, tries, list(METHODS), 1)
    pngs = [draw_figure(methods.fill_missing(table), list(METHODS), 1) for _ in range(2)]
    assert pngs[0] == pngs[1]
    assert pngs[0].startswith(b"\x89PNG")


def test_a_try_that_stopped_itself_is_not_chosen() -> None:
    stopped = {"method": "kto", "train": {"learning_rate": 1.0}, "pass_at_1": [0.9, None]}
    trained = {"method": "kto", "train": {"learning_rate": 0.5}, "pass_at_1": [0.1, 0.1]}
    assert choose([stopped, trained]) == {"kto": {"learning_rate": 0.5}}
    assert "| lr 1: stopped | **lr 0.5: 10.0** |" in format_choices([stopped, trained], choose([stopped, trained]))
    with pytest.raises(UserError, match="KTO: training stopped itself in every try; lower the learning rates"):
        choose([stopped])


def test_only_the_whole_experiment_is_committed() -> None:
    whole = MethodsRun(RECIPE, TOY, Path("work"), TOY.methods, TOY.seeds, 8, jobs=1)
    assert whole.is_whole
    for part in ({"seeds": (101,)}, {"methods": ("kto",)}, {"num_tries": 7}, {"num_rounds": 2}):
        assert not replace(whole, **part).is_whole


def add_intervals(table: pl.DataFrame) -> pl.DataFrame:
    """`table` with the intervals over problems that evaluations have."""
    return table.with_columns(
        (pl.col(metric) + shift).clip(0).alias(f"{metric}_{end}")
        for metric in PANELS
        for end, shift in (("low", -0.04), ("high", 0.02))
    )


def test_one_seed_and_one_level_of_noise_make_tables_and_a_figure() -> None:
    world = WORLDS["school"]
    table = add_intervals(make_table(dict.fromkeys(NOISE, 0.05)))
    table = table.filter(pl.col("chain").is_in(world.methods), pl.col("seed") == 101)
    tries = [{"method": m, "train": one, "pass_at_1": [0.5]} for m in world.methods for one in world.tries[m]]
    tries.append({"method": "kto", "train": {"learning_rate": 1e-5, "nll_weight": 0.5}, "pass_at_1": [0.4]})
    text = format_results(table, tries, list(world.methods), 1)
    assert "lr 1e-05, nll 0.5: 40.0" in text
    assert "flipped | M1" not in text
    assert draw_figure(methods.fill_missing(table), list(world.methods), 1).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", WORLDS)
def test_committed_tables_follow_from_the_committed_metrics(name: str) -> None:
    world = WORLDS[name]
    if not world.out.with_suffix(".csv").exists():
        pytest.skip(f"the experiment on methods has not been run in the world {name}")
    tries = json.loads(world.out.with_suffix(".json").read_text(encoding="utf-8"))["tries"]
    table = pl.read_csv(world.out.with_suffix(".csv"), infer_schema_length=None)
    num_rounds = max(int(number) for number in table["round"].str.slice(1))
    tables = format_results(table, tries, [it for it in world.methods if it in set(table["chain"])], num_rounds)
    assert world.out.with_suffix(".md").read_text(encoding="utf-8") == tables


def test_the_figure_over_worlds_has_intervals_over_seeds_and_over_problems() -> None:
    table = add_intervals(make_table(dict.fromkeys(NOISE, 0.05)))
    one_seed = table.filter(pl.col("seed") == 101)
    assert read_worlds()["toy_arithmetic"]["seed"].n_unique() == len(TOY.seeds)
    middles, half = list_points(table, "kto", 1, "pass_at_1")
    assert len(middles) == len(half) == 2
    _, (below, above) = list_points(one_seed, "kto", 1, "pass_at_1")
    assert [round(width, 6) for width in (*below, *above)] == [4, 4, 2, 2]
    assert draw_worlds({"toy_arithmetic": fill_missing(table), "school": fill_missing(one_seed)}).startswith(b"\x89PNG")
