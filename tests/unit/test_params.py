"""Settings: what is refused and how it is said, overrides, rounds, and every recipe in the tree."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.common.params.__main__ import resolve_all
from stages.common.params.block import KindParams, ParamsBlock, ParamsError, load, load_seed, read_yaml, validate
from stages.common.params.params_listing import show_params
from stages.common.params.recipe import ROUND_BLOCKS, merge, order_rounds, read_recipe, resolve
from stages.common.params.runtime import load_runtime
from stages.common.params.seed_model import SeedModelParams
from stages.common.params.train import TrainParams
from stages.common.plugins import load_plugins
from stages.common.registry import Registry
from tests.support.llm_params import JUDGE, LLM_JUDGE, openai

RECIPE = read_yaml(Path("params.yaml"))
RECIPES = [Path("params.yaml"), *sorted(Path("recipes").glob("*.yaml"))]


def changed(path: str, value: Any) -> dict[str, Any]:
    """The recipe in force with the key at dotted `path` set, or removed where `value` is `...`."""
    settings = copy.deepcopy(RECIPE)
    *parts, last = path.split(".")
    block = settings
    for part in parts:
        block = block.setdefault(part, {})
    if value is ...:
        del block[last]
    else:
        block[last] = value
    return settings


def faults(tmp_path: Path, settings: Any) -> list[str]:
    """The lines with which a recipe is refused, without the file's name."""
    file = tmp_path / "params.yaml"
    file.write_text(settings if isinstance(settings, str) else yaml.safe_dump(settings), encoding="utf-8")
    with pytest.raises(ParamsError) as caught:
        read_recipe(file)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines), lines
    return [line.removeprefix(f"{file}: ") for line in lines]


@pytest.mark.parametrize("path", RECIPES, ids=str)
def test_every_recipe_is_valid_and_resolves(path: Path) -> None:
    recipe = read_recipe(path)
    settings = read_yaml(path)
    for name in order_rounds(recipe.rounds):
        resolved = resolve(settings, name)
        assert set(resolved) == {"seed", "plugins", "tables", "policy", *ROUND_BLOCKS}
        # A round's file is read back by the stages: writing it must change nothing.
        assert yaml.safe_load(yaml.safe_dump(resolved)) == resolved


@pytest.mark.parametrize("path", [p for p in RECIPES if p.name.startswith("llama")], ids=str)
def test_the_papers_settings(path: Path) -> None:
    recipe = read_recipe(path)
    train, dataset, evaluate, select = recipe.train, recipe.dataset, recipe.evaluate, recipe.select
    assert (train.beta, train.learning_rate, train.warmup_steps) == (0.1, 1e-6, 100)
    assert (train.lr_scheduler_type, train.max_grad_norm, train.dtype) == ("cosine", 1.0, "bfloat16")
    assert train.launch is not None
    rows = train.batch_size * train.gradient_accumulation_steps * train.launch.num_processes
    assert rows * 512 == 2**20, "about 1M tokens a batch"
    assert (select.max_correct, select.max_incorrect, select.balance) == (2, 2, True)
    assert recipe.judge.scope == "selected", "only what is kept is judged"
    assert dataset.kl_block_size == train.batch_size, "completions are rotated within the trainer's batch"
    assert (evaluate.num_majority_samples, evaluate.temperature) == (8, 0.7)
    assert list(recipe.rounds) == ["M1", "M2", "M3"]
    assert {"orca_math", "synthetic_math"} <= set(recipe.problems.filters.drop_sources)
    assert recipe.judge.llm is not None
    assert recipe.judge.llm.model == "meta-llama/Llama-3.1-70B-Instruct"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("train.betta", 1.0, "train.betta: unknown key; did you mean beta?"),
        ("problems.filters.drop_proof", True, "problems.filters.drop_proof: unknown key; did you mean drop_proofs?"),
        (
            "seed_model.toy_arithmetic.hiden",
            8,
            "seed_model.toy_arithmetic.hiden: unknown key; did you mean hidden_size?",
        ),
        ("trane", {}, "trane: unknown key; did you mean train?"),
        (
            "split.zzz",
            1,
            "split.zzz: unknown key; known here: ['shape', 'paragraphs_after_heading', 'max_steps', 'thinking', 'llm']",
        ),
        ("seed_model.kind", ..., "seed_model.kind: missing key"),
        ("judge", ..., "judge.kind: missing key"),
        ("sample.prompt.chat", "yes", "sample.prompt.chat: Input should be a valid boolean, found 'yes'"),
        ("train.beta", "5", "train.beta: Input should be a valid number, found '5'"),
        ("train.beta", 0, "train.beta: Input should be greater than 0, found 0"),
        ("train.num_epochs", 1.5, "train.num_epochs: Input should be a valid integer, found 1.5"),
        ("train.gradient_checkpointing", 1, "train.gradient_checkpointing: Input should be a valid boolean, found 1"),
        (
            "train.method",
            "ppo",
            "train.method: Input should be 'step_kto', 'kto', 'rft', 'dpo', 'ipo', 'irpo', 'simpo', 'step_dpo' or "
            "'none', found 'ppo'",
        ),
        ("rounds.M1.train", {"betta": 1.0}, "rounds.M1.train.betta: unknown key; did you mean beta?"),
        ("rounds.M1.polcy", "M0", "rounds.M1.polcy: unknown key; did you mean policy?"),
        ("rounds.M1.policy", ..., "rounds.M1.policy: missing key"),
        ("rounds.M1.report", {"title": "x"}, "rounds.M1.report: unknown key"),
        ("rounds.M0", {"policy": "M0"}, "rounds.M0: a round's name is"),
        (
            "rounds.M1.evaluate.benchmarks.mine",
            {"file": {"path": "mine.jsonl", "sha256": "0" * 64}},
            "rounds.M1.evaluate.benchmarks.mine: problems are held against the benchmarks that all rounds share;",
        ),
        ("rounds.a.b", 1, "rounds.a.b: unknown key"),
        ("rounds.M1.policy", "M9", "rounds.M1.policy: 'M9' is neither M0 nor a round"),
        ("problems.reader", "files", "reader files needs the block files"),
        ("seed", "one", "seed: Input should be a valid integer, found 'one'"),
    ],
)
def test_a_fault_is_said_with_its_path(tmp_path: Path, path: str, value: Any, said: str) -> None:
    assert any(said in line for line in faults(tmp_path, changed(path, value)))


def test_all_faults_are_said_at_once_each_on_a_short_line(tmp_path: Path) -> None:
    settings = changed("train.betta", 1.0)
    settings["judge"]["num_votes"] = 0
    settings["rounds"]["M2"] = {"policy": "M1", "split": {"max_steps": "many"}}
    lines = faults(tmp_path, settings)
    assert [line.split(":")[0] for line in lines] == ["judge.num_votes", "train.betta"]
    assert all(len(line) < 200 for line in lines)


@pytest.mark.parametrize("text", ["", "just text", "- a list", "{unclosed", "a: &x [*x", "\x00", "seed: 1\nseed"])
def test_a_file_that_is_no_mapping_is_one_line(tmp_path: Path, text: str) -> None:
    assert len(faults(tmp_path, text)) == 1


def test_missing_files_and_undecodable_bytes(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="No such file"):
        read_recipe(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"seed: \xff\n")
    with pytest.raises(ParamsError, match=r"latin\.yaml"):
        read_yaml(tmp_path / "latin.yaml")


def test_blocks_are_read_one_by_one() -> None:
    path = Path("params.yaml")
    assert load(TrainParams, path, "train").method == "step_kto"
    assert load_seed(path) == 1
    assert load_runtime(path).num_threads >= 1
    with pytest.raises(ParamsError, match=r"params\.yaml: seed_modl\.kind: missing key"):
        load(SeedModelParams, path, "seed_modl")


@pytest.mark.parametrize("seed", ["one", True, None, 1.0])
def test_a_seed_is_an_integer(tmp_path: Path, seed: Any) -> None:
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({"seed": seed}), encoding="utf-8")
    with pytest.raises(ParamsError, match="seed: expected an integer"):
        load_seed(tmp_path / "p.yaml")


def test_rounds_come_after_the_policy_they_start_from() -> None:
    rounds = {"M3": {"policy": "M2"}, "K1": {"policy": "M0"}, "M2": {"policy": "M1"}, "M1": {"policy": "M0"}}
    assert order_rounds(rounds) == ["K1", "M1", "M2", "M3"]
    assert order_rounds({}) == []


def test_circles_and_rounds_from_nowhere_are_refused() -> None:
    with pytest.raises(ParamsError) as caught:
        order_rounds({"A": {"policy": "B"}, "B": {"policy": "A"}, "M1": {"policy": "M0"}, "C": {"policy": "C"}})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "rounds.A.policy", "rounds.B.policy", "rounds.C.policy",
    ]  # fmt: skip


def test_an_override_changes_its_key_and_no_other() -> None:
    settings = changed("rounds.M2", {"policy": "M1", "train": {"beta": 0.5}, "sample": {"prompt": {"chat": True}}})
    resolved = resolve(settings, "M2")
    assert resolved["train"] == {**resolve(RECIPE, "M1")["train"], "beta": 0.5}
    assert resolved["sample"]["prompt"] == {**resolve(RECIPE, "M1")["sample"]["prompt"], "chat": True}
    assert resolved["policy"] == "M1"
    assert resolve(settings, "M1") == resolve(RECIPE, "M1")


def test_an_override_may_fill_or_empty_a_block() -> None:
    llm = LLM_JUDGE
    filled = changed("rounds.M2", {"policy": "M1", "judge": {"kind": "llm", "llm": llm}})
    in_force = resolve(filled, "M2")["judge"]["llm"]
    assert merge(in_force, llm) == in_force, "all that it says, and defaults"
    filled["judge"] = resolve(filled, "M2")["judge"]
    filled["rounds"]["M1"] = {"policy": "M0", "judge": {"kind": "toy_arithmetic", "llm": None}}
    assert resolve(filled, "M1")["judge"]["llm"] is None


@pytest.mark.parametrize(
    ("judge", "fault"),
    [
        ({"kind": "llm"}, "llm: null"),
        ({**JUDGE, "second_judge": LLM_JUDGE}, "second_judge: the same model as llm"),
        ({**JUDGE, "num_votes": 3}, "num_votes: at temperature 0 all votes are the same"),
        ({**JUDGE, "llm": {**LLM_JUDGE, "mock": None}}, "mock: expected a block for an engine of kind mock"),
        ({**JUDGE, "llm": {**LLM_JUDGE, "engine": openai()}}, "mock: expected a block for an engine of kind mock"),
    ],
)
def test_a_judge_whose_settings_do_not_fit_together(judge: dict[str, Any], fault: str) -> None:
    with pytest.raises(ParamsError, match=rf"rounds\.M1\.judge.*{fault}"):
        resolve(changed("rounds.M1", {"policy": "M0", "judge": judge}), "M1")


def test_a_round_that_is_not_there_or_no_mapping() -> None:
    with pytest.raises(ParamsError, match=r"rounds\.M9: no such round; there are M1"):
        resolve(RECIPE, "M9")
    with pytest.raises(ParamsError, match=r"rounds\.M1: expected a mapping"):
        resolve(changed("rounds.M1", "M0"), "M1")


trees = st.recursive(
    st.sampled_from([0, 1, None, "x", [1], [2, 3]]),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
mappings = st.dictionaries(st.sampled_from("abc"), trees, max_size=3)


@settings(max_examples=60)
@given(mappings, mappings)
def test_merging(shared: dict[str, Any], override: dict[str, Any]) -> None:
    before = copy.deepcopy((shared, override))
    merged = merge(shared, override)
    assert (shared, override) == before, "neither argument is changed"
    assert set(merged) == {*shared, *override}
    assert merge(shared, {}) == shared
    assert merge({}, override) == override
    assert merge(merged, override) == merged
    assert all(merged[key] == shared[key] for key in shared.keys() - override.keys())
    assert all(
        merged[key] == override[key] for key in override if not isinstance(override[key], dict) or key not in shared
    )


def test_the_command(tmp_path: Path) -> None:
    def call(*arguments: str, place: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", *arguments]
        path = {"PYTHONPATH": str(Path.cwd()), "PATH": ""}
        return subprocess.run(command, cwd=place, env=path, text=True, capture_output=True, check=False)

    (tmp_path / "params.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    assert "valid; rounds M1, M2, M3" in call("tools.cli", "params", "check", place=tmp_path).stdout
    assert call("stages.common.params", "--recipe", "params.yaml", "--out", "out", place=tmp_path).returncode == 0
    assert read_yaml(tmp_path / "out/M2.yaml") == resolve(RECIPE, "M2")
    assert read_yaml(tmp_path / "out/M0.yaml") == resolve(RECIPE, "M0")
    assert read_yaml(tmp_path / "out/M0.yaml")["rounds"] == RECIPE["rounds"]
    assert "# Hex digits of problem_id" in call("tools.cli", "params", "show", place=tmp_path).stdout
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(changed("train.betta", 1)), encoding="utf-8")
    refused = call("stages.common.params", "--recipe", "params.yaml", "--out", "out", place=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr == "error: params.yaml: train.betta: unknown key; did you mean beta?\n"


class WordCountParams(ParamsBlock):
    """Params of a kind from outside."""

    min_words: int = 3
    """Fewest words of a correct step."""


class ColourParams(KindParams):
    """A block whose seam has two kinds of its own."""

    seam = "colour"
    built_in = ("red", "blue")

    kind: str = "red"


class Painting(ParamsBlock):
    """A block with such a block inside."""

    colour: ColourParams


def test_a_kind_from_outside_brings_its_block() -> None:
    colours: Registry[type] = Registry("colour", {"red": "builtins:int", "blue": "builtins:int"})
    colours.register("word_count", str, WordCountParams)
    colours.register("plain", bytes)

    def made(**colour: Any) -> ColourParams:
        return validate(Painting, {"colour": colour}, "painting").colour

    assert made().kind_params is None
    assert made(kind="word_count", word_count={"min_words": 5}).kind_params == WordCountParams(min_words=5)
    filled = made(kind="word_count")
    assert filled.kind_params.min_words == 3
    assert filled.model_dump(mode="json") == {"kind": "word_count", "word_count": {"min_words": 3}}
    assert made(kind="plain").model_dump() == {"kind": "plain"}
    for colour, line in (
        ({"kind": "word_count", "word_count": {"min_word": 5}}, "painting.colour.word_count.min_word: unknown key"),
        (
            {"kind": "word_count", "word_count": {"min_words": "5"}},
            "painting.colour.word_count.min_words: Input should",
        ),
        ({"kind": "red", "word_cnt": {}}, "painting.colour.word_cnt: unknown key"),
        ({"kind": "plain", "plain": {}}, "painting.colour.plain: unknown key"),
        ({"kind": "word_cout"}, "painting.colour: kind: no colour of kind 'word_cout'; did you mean word_count?"),
        ({"kind": "q"}, "kind: no colour of kind 'q'; expected one of blue, plain, red, word_count"),
    ):
        with pytest.raises(ParamsError) as caught:
            made(**colour)
        assert line in str(caught.value)


def test_plugins_are_imported_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_kinds_for_a_test.py").write_text("import builtins\nbuiltins.kinds_were_loaded = True\n")
    (tmp_path / "broken_kinds_for_a_test.py").write_text("1 / 0\n")
    recipe = tmp_path / "params.yaml"
    recipe.write_text("plugins: [my_kinds_for_a_test]", encoding="utf-8")
    load_plugins(recipe)
    assert "my_kinds_for_a_test" in sys.modules
    recipe.write_text("plugins: [my_kinds_for_a_tst]", encoding="utf-8")
    with pytest.raises(ParamsError, match=r"params\.yaml: plugins: no module 'my_kinds_for_a_tst'"):
        load_plugins(recipe)
    recipe.write_text("plugins: my_kinds", encoding="utf-8")
    with pytest.raises(ParamsError, match="plugins: expected a list of Python modules"):
        load_plugins(recipe)
    recipe.write_text("plugins: [broken_kinds_for_a_test]", encoding="utf-8")
    with pytest.raises(ZeroDivisionError):
        load_plugins(recipe)


@pytest.mark.parametrize("path", RECIPES, ids=str)
def test_what_is_shown_is_in_force_and_explained(path: Path) -> None:
    recipe = read_recipe(path)
    shown = show_params(path)
    assert yaml.safe_load(shown) == recipe.model_dump(mode="json")
    assert max(map(len, (line for line in shown.splitlines() if line.lstrip().startswith("#")))) <= 120
    name = next(iter(recipe.rounds))
    assert yaml.safe_load(show_params(path, name)) == resolve(read_yaml(path), name)


def test_a_resolved_recipe_is_a_recipe_with_the_same_rounds() -> None:
    whole = resolve(RECIPE, "M0")
    assert "runtime" not in whole
    assert resolve(whole, "M0") == whole
    assert [resolve(whole, name) for name in RECIPE["rounds"]] == [resolve(RECIPE, name) for name in RECIPE["rounds"]]


def test_resolved_files_keep_the_order_of_rounds(tmp_path: Path) -> None:
    source = tmp_path / "params.yaml"
    rounds = {"M1": {"policy": "M0"}, "K1": {"policy": "M0"}, "A1": {"policy": "M1"}}
    source.write_text(yaml.safe_dump({**RECIPE, "rounds": rounds}, sort_keys=False), encoding="utf-8")
    resolve_all(source, tmp_path / "out")
    assert list(read_yaml(tmp_path / "out/M0.yaml")["rounds"]) == ["M1", "K1", "A1"]
