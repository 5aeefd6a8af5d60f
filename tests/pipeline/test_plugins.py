"""Kinds from outside the package: a judge, an engine and a verifier in one plugin, through the graph to a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from tests.support.clones import clone, ran, run

pytestmark = pytest.mark.slow

PLUGIN = '''
"""Words to spell backwards: an engine that tries, a judge that counts letters, a verifier that compares letters."""

from pydantic import Field

from stages.common.engines import ENGINES, Completion, EngineKind, Failure
from stages.common.params.block import ParamsBlock
from stages.common.gold_answers import GOLD_RULES, GoldRules
from stages.common.verifiers import VERIFIERS, ExtractedAnswer, Verifier
from stages.judge import JUDGES, Judge, Judgement, StepLabel


class BackwardsParams(ParamsBlock):
    """Params of the engine."""

    slip_every: int = Field(default=2, ge=1)
    """Every so many completions one is not reversed."""


class BackwardsKind(EngineKind):
    """Spells the last word of the prompt."""

    makes_requests = False

    @classmethod
    def make_engine(cls, params, model, context):
        return BackwardsEngine(params.kind_params.slip_every)


class BackwardsEngine:
    """The engine itself."""

    def __init__(self, slip_every):
        self._slip_every = slip_every

    def complete(self, requests):
        for request in requests:
            word = request.prompt.split()[-1]
            spelt = word if request.seed % self._slip_every == 0 else word[::-1]
            yield request, Completion(f"Take {word}.\\n\\nAnswer: {spelt}", "stop", 5, 5, None, "backwards")

    def close(self):
        """Nothing is open."""


class LetterCountParams(ParamsBlock):
    """Params of the judge."""

    letters: str
    """A step that holds one of these letters is correct."""


class LetterCountJudge(Judge):
    """Looks for letters."""

    def identify(self):
        return ["letter_count", self.params.kind_params.letters]

    def label_steps(self, completions):
        letters = set(self.params.kind_params.letters)
        return Judgement({completion.sample_id: self._label(completion, letters) for completion in completions})

    def _label(self, completion, letters):
        return [StepLabel(bool(letters & set(step)), "letters", 1.0) for step in completion.steps]


class StringMatch(Verifier):
    """The same letters in the same order."""

    version = "string_match 1"

    def extract(self, completion, is_truncated=False):
        start = completion.rfind("Answer: ") + len("Answer: ")
        text = completion[start:]
        return ExtractedAnswer(text, start, len(completion), "answer line") if "Answer: " in completion else None

    def equal(self, first, second):
        return first == second


ENGINES.register("backwards", BackwardsKind, BackwardsParams)
JUDGES.register("letter_count", LetterCountJudge, LetterCountParams)
VERIFIERS.register("string_match", StringMatch)
GOLD_RULES.register("string_match", GoldRules)
'''

WORDS = ["stone", "river", "cloud", "grain", "plant", "table", "light", "mouse", "bread", "candle"]

RECIPE = {
    "plugins": ["plugins.backwards"],
    "problems": {
        "reader": "files",
        "files": {"paths": ["words.jsonl"], "source": "made"},
        "task": "string_match",
        "filters": {"drop_sources": [], "drop_non_text": False},
        "splits": {"validation": 0.0, "test": 0.0},
    },
    "seed_model": {"kind": "none"},
    "sample": {
        "engine": {"kind": "backwards", "backwards": {"slip_every": 2}},
        "prompt": {"chat": False, "template": "Spell backwards: {problem}"},
        "num_samples": 4,
        "max_tokens": 20,
    },
    "judge": {"kind": "letter_count", "letter_count": {"letters": "aeiou"}},
    "select": {
        "max_correct": None,
        "max_incorrect": None,
        "require_both": False,
        "balance": False,
        "deduplicate": False,
    },
    "dataset": {"kl_block_size": 4},
    "train": {"method": "none"},
    "evaluate": {"split": None},
    "rounds": {"M1": {"policy": "M0"}},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("plugins") / "clone"
    clone(target, "smoke")
    (target / "plugins/backwards.py").write_text(PLUGIN, encoding="utf-8")
    (target / "params.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    rows = [{"problem": word, "answer": word[::-1], "solution": f"Answer: {word[::-1]}"} for word in WORDS]
    (target / "words.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run(target, "dvc", "repro", "dataset@M1")
    return target


def test_kinds_from_outside_make_a_dataset(place: Path) -> None:
    outcomes = pl.read_parquet(place / "data/outcomes/M1/*.parquet")
    assert outcomes.height == 4 * len(WORDS)
    assert set(outcomes["is_correct"].to_list()) == {True, False}
    assert outcomes["verifier"].unique().to_list() == ["string_match 1"]
    labels = pl.read_parquet(place / "data/labels/M1/*.parquet")
    assert set(labels["label"].to_list()) <= {True, False}
    rows = pl.read_parquet(place / "data/datasets/M1/step_kto.parquet")
    assert rows.height == outcomes.height
    resolved = yaml.safe_load((place / "reports/params/M1.yaml").read_text(encoding="utf-8"))
    assert resolved["sample"]["engine"]["backwards"] == {"slip_every": 2}
    assert resolved["judge"]["letter_count"] == {"letters": "aeiou"}


def test_a_changed_plugin_runs_what_looks_its_kinds_up(place: Path) -> None:
    plugin = place / "plugins/backwards.py"
    text = plugin.read_text(encoding="utf-8")
    plugin.write_text(text.replace("The same letters", "Equal letters"), encoding="utf-8")
    assert ran(run(place, "dvc", "repro", "dataset@M1")) == ["code"], "a docstring"
    plugin.write_text(text.replace("string_match 1", "string_match 2"), encoding="utf-8")
    again = ran(run(place, "dvc", "repro", "dataset@M1"))
    assert {"code", "outcome@M1"} <= set(again)
    assert "seed_model" not in again


def test_a_wrong_key_of_a_kind_from_outside_is_refused(place: Path) -> None:
    recipe = yaml.safe_load((place / "params.yaml").read_text(encoding="utf-8"))
    recipe["judge"]["letter_count"] = {"leters": "aeiou"}
    (place / "other.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"judge\.letter_count\.letters: missing key"):
        run(place, "python", "-m", "tools.cli", "params", "check", "other.yaml")
