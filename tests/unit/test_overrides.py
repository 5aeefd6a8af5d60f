"""Overrides on the command line change params.yaml, or nothing where the recipe would not be valid."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stages.common.errors import UsageError, UserError
from stages.common.params.block import ParamsError
from tools.overrides import render_with_overrides, set_params
from tools.plan import show_plan


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "params.yaml"
    text = Path("recipes/numina.yaml").read_text(encoding="utf-8")
    text = text.replace("split: test", "split: &test test", 1).replace("split: test", "split: *test", 1)
    file.write_text(text, encoding="utf-8")
    return file


def test_keys_are_set_and_comments_stay(recipe: Path) -> None:
    before = recipe.read_text(encoding="utf-8")
    lines = set_params(
        recipe, ["problems.limit=7", "rounds.M1.train.beta=0.5", "sample.prompt.template=Solve {problem}"]
    )
    assert lines[0] == f"{recipe}: problems.limit=7"
    value = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    assert value["problems"]["limit"] == 7
    assert value["rounds"]["M1"] == {"policy": "M0", "train": {"beta": 0.5}}
    assert value["sample"]["prompt"]["template"] == "Solve {problem}"
    comments = [line.partition("#")[2].strip() for line in before.splitlines() if "#" in line and "Step" not in line]
    assert all(comment in recipe.read_text(encoding="utf-8") for comment in comments)
    assert value["evaluate"]["benchmarks"]["amc23"]["hub"]["split"] == "test"


def test_a_plan_with_overrides_writes_nothing(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe.read_bytes()
    assert "beta: 0.7" in render_with_overrides(recipe, ["train.beta=0.7"])
    seen = []
    monkeypatch.setattr(
        "tools.plan.plan_report._show_plan", lambda *given: seen.append((*given, given[0].read_bytes()))
    )
    show_plan(recipe, overrides=["judge.scope=all", "train.beta=0.7"], assumed=["rows=5"])
    [(_, name, root, assumed, text)] = seen
    assert (name, root, assumed) == (f"{recipe} and judge.scope=all, train.beta=0.7", Path(), ["rows=5"])
    assert yaml.safe_load(text)["judge"]["scope"] == "all"
    with pytest.raises(ParamsError, match=r"train\.betta: unknown key"):
        show_plan(recipe, overrides=["train.betta=1"])
    assert recipe.read_bytes() == before


def test_one_override_reads_a_file_of_ones_own(recipe: Path) -> None:
    set_params(recipe, ["problems={reader: files, files: {paths: [mine.jsonl]}, splits: {validation: 0.1, test: 0.1}}"])
    assert yaml.safe_load(recipe.read_text(encoding="utf-8"))["problems"]["files"]["paths"] == ["mine.jsonl"]


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("problems.limt=7", ParamsError, r"problems\.limt: unknown key; did you mean limit"),
        ("problems.limit=many", ParamsError, r"problems\.limit: .*found 'many'"),
        ("problems.limit", UsageError, "expected KEY=VALUE, such as"),
        ("=7", UsageError, "expected KEY=VALUE"),
        ("problems..limit=7", UsageError, "expected KEY=VALUE"),
        ("problems.limit={", UsageError, "the value is no YAML"),
        ("train=7", UserError, "train"),
    ],
)
def test_an_override_that_does_not_fit_changes_nothing(
    recipe: Path, override: str, error: type[Exception], message: str
) -> None:
    before = recipe.read_bytes()
    with pytest.raises(error, match=message):
        set_params(recipe, [override])
    assert recipe.read_bytes() == before
