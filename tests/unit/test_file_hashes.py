"""Local files that a recipe names are known by their content."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.common.params.__main__ import resolve_all
from stages.common.params.block import FILE_HASHES, ParamsError, load, read_yaml
from stages.common.params.file_hashes import CACHE, FileHasher, find_changed_files, list_local_paths
from stages.common.params.judge import JudgeParams
from stages.common.params.recipe import check_recipe, read_recipe, resolve
from stages.common.provenance import compute_sha256
from tools.dvc_recovery import prepare_repro

LLM = {"engine": {"kind": "recorded", "recorded": {"path": "replies.jsonl"}}, "model": "judge", "prompt": None}
RECIPE: dict[str, Any] = {
    "problems": {
        "reader": "files",
        "files": {"paths": ["a.jsonl", "b.jsonl"]},
        "splits": {"validation": 0.1, "test": 0.1},
        "decontamination": {"files": ["held_out.jsonl"]},
    },
    "seed_model": {"kind": "folder", "folder": {"path": "model"}},
    "sample": {"engine": {"kind": "recorded", "recorded": {"path": "completions.jsonl"}}},
    "judge": {"kind": "llm", "llm": LLM, "gate": {"min_f1": 0.5, "files": ["gate.jsonl"]}},
    "outcome": {"second_verifier": {"engine": {"kind": "openai"}, "model": "verifier"}},
    "rounds": {"M1": {"policy": "M0"}, "K1": {"policy": "M0", "judge": {"gate": {"files": ["other.jsonl"]}}}},
}
PATHS = {
    "problems": {"a.jsonl", "b.jsonl", "held_out.jsonl"},
    "seed_model": {"model"},
    "sample": {"completions.jsonl"},
    "judge": {"judge", "replies.jsonl", "gate.jsonl"},
    "outcome": {"verifier"},
}
"""What each block names; each has a stage of its own that tracks it."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe with every kind of local file, and the files; models are folders."""
    monkeypatch.chdir(tmp_path)
    for name in {"other.jsonl", *set().union(*PATHS.values())}:
        path = tmp_path / name if "." in name else tmp_path / name / "model.safetensors"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"content of {name}", encoding="utf-8")
    Path("params.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    resolve_all(Path("params.yaml"), Path("reports/params"))
    return tmp_path


def read_hashes(name: str = "M0") -> dict[str, dict[str, str | None]]:
    blocks = read_yaml(Path(f"reports/params/{name}.yaml")).items()
    return {key: block[FILE_HASHES] for key, block in blocks if isinstance(block, dict) and FILE_HASHES in block}


def test_every_local_file_has_its_hash_in_the_block_that_names_it(place: Path) -> None:
    assert {key: set(hashes) for key, hashes in read_hashes().items()} == PATHS
    assert read_hashes()["problems"]["a.jsonl"] == compute_sha256(place / "a.jsonl")
    assert set(read_hashes("M1")) == {"sample", "judge", "outcome"}
    assert set(read_hashes("K1")["judge"]) == {"judge", "replies.jsonl", "other.jsonl"}


def test_the_files_of_stage_params_are_read_as_before(place: Path) -> None:
    judge = load(JudgeParams, Path("reports/params/K1.yaml"), "judge")
    assert judge == check_recipe(RECIPE, Path("params.yaml")).judge.model_validate(resolve(RECIPE, "K1")["judge"])
    recipe = read_recipe(Path("reports/params/M0.yaml"))
    assert recipe.model_dump(exclude={"runtime"}) == read_recipe(Path("params.yaml")).model_dump(exclude={"runtime"})
    with pytest.raises(ParamsError, match=r"file_hash: unknown key"):
        check_recipe({**RECIPE, "problems": {**RECIPE["problems"], "file_hash": {}}}, Path("params.yaml"))


@pytest.mark.parametrize(("block", "name"), [(block, name) for block, names in PATHS.items() for name in sorted(names)])
def test_a_changed_file_changes_what_its_stage_tracks_and_nothing_else(place: Path, block: str, name: str) -> None:
    before = read_hashes()
    assert prepare_repro(place) == []
    path = place / name if "." in name else place / name / "model.safetensors"
    path.write_text("CONTENT of" + path.read_text(encoding="utf-8")[10:], encoding="utf-8")  # as long as before
    (line,) = prepare_repro(place)
    assert line == f"local files changed: {name}; stages that read them run again"
    assert not list(place.glob("reports/params/*.yaml")), "DVC runs stage params, whose output is missing"
    resolve_all(Path("params.yaml"), Path("reports/params"))
    after = read_hashes()
    assert {key for key in before if before[key] != after[key]} == {block}
    assert {key for key in before[block] if before[block][key] != after[block][key]} == {name}


def test_a_recipe_without_local_files_has_no_hashes(place: Path) -> None:
    text = (Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text, encoding="utf-8")
    resolve_all(Path("params.yaml"), Path("reports/params"))
    assert FILE_HASHES not in Path("reports/params/M0.yaml").read_text(encoding="utf-8")


def test_a_missing_file_is_null_and_one_of_another_machine_is_no_change(place: Path) -> None:
    (place / "a.jsonl").unlink()
    assert prepare_repro(place) == [], "as in a clone that takes the problems from the DVC remote"
    resolve_all(Path("params.yaml"), Path("reports/params"))
    assert read_hashes()["problems"]["a.jsonl"] is None
    (place / "a.jsonl").write_text("it came back", encoding="utf-8")
    assert prepare_repro(place) == ["local files changed: a.jsonl; stages that read them run again"]


def test_a_name_of_the_hub_is_no_local_file(place: Path) -> None:
    judge = {"kind": "llm", "llm": {**LLM, "model": "Qwen/QwQ-32B"}}
    recipe = {**RECIPE, "judge": judge, "rounds": {"M1": {"policy": "M0"}}}
    Path("params.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    assert ("Qwen/QwQ-32B", "local model") in set(list_local_paths(read_recipe(Path("params.yaml")).judge))
    resolve_all(Path("params.yaml"), Path("reports/params"))
    assert set(read_hashes()["judge"]) == {"replies.jsonl"}


def test_files_are_read_again_only_where_size_or_time_changed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def compute(path: Path) -> str:
        read.append(path)
        return compute_sha256(path)

    monkeypatch.setattr("stages.common.params.file_hashes.compute_sha256", compute)
    written = Path("reports/params/M0.yaml")
    assert find_changed_files(written, FileHasher()) == set()
    assert not read
    os.utime("a.jsonl", ns=(0, 0))
    assert find_changed_files(written, FileHasher()) == set()
    assert [path.name for path in read] == ["a.jsonl"]
    for damaged in ("{", json.dumps({})):
        CACHE.write_text(damaged, encoding="utf-8")
        assert find_changed_files(written, FileHasher()) == set()


def test_a_model_s_card_and_manifest_decide_nothing(place: Path) -> None:
    before = FileHasher().hash("model")
    for name in ("README.md", "manifest.json"):
        (place / "model" / name).write_text("words", encoding="utf-8")
    assert FileHasher().hash("model") == before
    (place / "model/config.json").write_text("{}", encoding="utf-8")
    assert FileHasher().hash("model") != before


def test_a_damaged_file_of_stage_params_is_left_to_dvc(place: Path) -> None:
    Path("reports/params/M0.yaml").write_text("problems: {", encoding="utf-8")
    assert prepare_repro(place) == []
