"""Experiments: their rounds, and their tables against metrics computed by hand."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import yaml

from experiments.summary_tables import compute_t_quantile, format_tables
from experiments.variants import EXPERIMENTS, build_rounds, list_rounds
from experiments.workspace import PROJECT_FILES
from stages.common.params.recipe import read_recipe


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_rounds_of_every_experiment_make_a_valid_recipe(experiment: str, tmp_path: Path) -> None:
    recipe = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    recipe["rounds"] = build_rounds(EXPERIMENTS[experiment], 2)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    rounds = read_recipe(path).rounds
    for variant in EXPERIMENTS[experiment]:
        first, second = list_rounds(variant, 2)[1:]
        assert (rounds[first]["policy"], rounds[second]["policy"]) == ("M0", first)


def test_summary() -> None:
    variants = EXPERIMENTS["baselines"][:2]
    metrics = {  # Pass@1 and stepwise error by seed and round
        1: {"M0": (0.5, 0.4), "M1": (0.9, 0.1), "K1": (0.7, 0.2)},
        2: {"M0": (0.7, 0.2), "M1": (0.8, 0.3), "K1": (0.9, 0.2)},
    }
    table = pl.DataFrame(
        [
            {
                "seed": seed,
                "round": name,
                "pass_at_1": pass_at_1,
                "maj_at_4": pass_at_1,
                "maj_at_4_low": 9.0,
                "stepwise_error": error,
            }
            for seed, rounds in metrics.items()
            for name, (pass_at_1, error) in rounds.items()
        ]
    )
    lines = format_tables(table.sample(fraction=1, shuffle=True, seed=1), variants, 1).splitlines()
    assert "| Step-KTO | 60.0 +- 14.1 | 85.0 +- 7.1 |" in lines
    assert "| Maj@4 | M0 | M1 |" in lines
    assert not any("900.0" in line for line in lines), "a bound is read as votes"
    assert "| KTO | 30.0 +- 14.1 | 20.0 +- 0.0 |" in lines
    assert "| 2 | 70.0 / 20.0 | 80.0 / 30.0 | 90.0 / 20.0 |" in lines
    assert "M1 beats M0 in both Pass@1 and stepwise error on 1 of 2 seeds." in lines
    assert "| KTO, Pass@1 | +5.0 [-185.6, +195.6], 1 of 2 |" in lines
    assert "| KTO, correct answer, incorrect step | +0.0 [-127.1, +127.1], 1 of 2 |" in lines


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (100, 1.984)])
def test_students_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert compute_t_quantile(freedom) == pytest.approx(quantile, abs=5e-4)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_committed_tables_follow_from_the_committed_metrics(experiment: str) -> None:
    folder = Path("docs/results")
    metrics = pl.read_csv(folder / f"{experiment}.csv")
    num_rounds = max(int(name[1:]) for name in metrics["round"])
    tables = format_tables(metrics, EXPERIMENTS[experiment], num_rounds)
    assert (folder / f"{experiment}.md").read_text(encoding="utf-8") == tables


def test_a_workspace_holds_the_code_that_the_graph_reads() -> None:
    graph = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert set(graph["code"]["deps"]) <= set(PROJECT_FILES)
