"""Studies: their rounds, and their tables against figures worked out by hand."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import yaml

from experiments.arms import STUDIES, arm_rounds, round_names
from experiments.summary import student, summarise
from stages.common.params.recipe import read_recipe


@pytest.mark.parametrize("study", STUDIES)
def test_rounds_of_every_study_make_a_valid_recipe(study: str, tmp_path: Path) -> None:
    recipe = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    recipe["rounds"] = arm_rounds(STUDIES[study], 2)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    rounds = read_recipe(path).rounds
    for arm in STUDIES[study]:
        first, second = round_names(arm, 2)[1:]
        assert (rounds[first]["policy"], rounds[second]["policy"]) == ("M0", first)


def test_summary() -> None:
    arms = STUDIES["methods"][:2]
    figures = {  # Pass@1 and stepwise error by seed and round
        1: {"M0": (0.5, 0.4), "M1": (0.9, 0.1), "K1": (0.7, 0.2)},
        2: {"M0": (0.7, 0.2), "M1": (0.8, 0.3), "K1": (0.9, 0.2)},
    }
    table = pl.DataFrame(
        [
            {
                "seed": seed,
                "round": name,
                "pass_at_1": right,
                "maj_at_4": right,
                "maj_at_4_low": 9.0,
                "stepwise_error": wrong,
            }
            for seed, rounds in figures.items()
            for name, (right, wrong) in rounds.items()
        ]
    )
    lines = summarise(table.sample(fraction=1, shuffle=True, seed=1), arms, 1).splitlines()
    assert "| Step-KTO | 60.0 +- 14.1 | 85.0 +- 7.1 |" in lines
    assert "| Maj@4 | M0 | M1 |" in lines
    assert not any("900.0" in line for line in lines), "a bound is taken for votes"
    assert "| KTO | 30.0 +- 14.1 | 20.0 +- 0.0 |" in lines
    assert "| 2 | 70.0 / 20.0 | 80.0 / 30.0 | 90.0 / 20.0 |" in lines
    assert "M1 beats M0 in both Pass@1 and stepwise error on 1 of 2 seeds." in lines
    assert "| KTO, Pass@1 | +5.0 [-185.6, +195.6], 1 of 2 |" in lines
    assert "| KTO, right answer, wrong step | +0.0 [-127.1, +127.1], 1 of 2 |" in lines


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (100, 1.984)])
def test_students_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, abs=5e-4)
