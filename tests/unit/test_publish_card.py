"""Cards and metadata: their figures are the data's, their commands and licences stand there, and text stays text."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from stages.common.params.block import ParamsError
from stages.common.params.seed_model import HubModelParams, SeedModelParams
from stages.judge.llm import hash_prompt
from tests.support.publish_place import make_place
from tests.support.report_fakes import write
from tools.publish import Commit, RefusedError, write_dataset, write_model
from tools.publish.card_metrics import iterate_leaves
from tools.publish.formats import list_formats
from tools.publish.licenses import find_hub_license, list_licenses
from tools.publish.markdown import MAX_BLOCK_CHARS, MAX_INLINE_CHARS, escape_markdown, format_block, format_code

COMMIT = Commit("c0ffee" * 6 + "c0ff", "2026-01-02", "https://example.org/project.git")
HOSTILE = (
    "```\n</td> <script>alert(1)</script> | [x](javascript:alert(1)) ![y](https://example.org/z) {{ 7*191 }} <!-- ~~~"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("place"), note=HOSTILE)


@pytest.fixture(scope="module")
def folder(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    write_dataset(["M1"], "org/sums", COMMIT, out, place)
    return out


def card_of(folder: Path) -> tuple[dict[str, Any], str]:
    """The metadata block and the text."""
    _, metadata, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(metadata), text


def section(text: str, title: str) -> str:
    return re.split(r"^## ", text.partition(f"## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def table(text: str) -> list[list[str]]:
    """Cells of the rows of the tables in `text`, without the heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {at + step for at, line in enumerate(lines) if set(line) <= set("|-") for step in (-1, 0)}
    return [[cell.strip() for cell in line.split("|")[1:-1]] for at, line in enumerate(lines) if at not in heads]


def test_the_metadata_names_every_configuration_and_its_files(folder: Path) -> None:
    from huggingface_hub import DatasetCard

    metadata, _ = card_of(folder)
    assert [config["config_name"] for config in metadata["configs"]] == [f"M1-{form.name}" for form in list_formats()]
    for config in metadata["configs"]:
        (files,) = config["data_files"]
        assert files["split"] == "train"
        assert list(folder.glob(files["path"]))
    assert metadata["license"] == "other"
    assert metadata["size_categories"] == ["n<1K"]
    assert DatasetCard.load(folder / "README.md").data.pretty_name == metadata["pretty_name"]


def test_figures_are_those_of_the_files(folder: Path) -> None:
    _, text = card_of(folder)
    labels = pl.read_parquet(folder / "data/M1/labels/*.parquet")
    steps = labels["steps"].explode().struct.field("label")
    outcomes = [labels["is_correct"].sum(), (~labels["is_correct"]).sum(), labels["is_correct"].null_count()]
    by_step = [steps.sum(), (~steps).sum(), steps.null_count()]
    counted = [labels["problem_id"].n_unique(), labels.height, labels["row"].count(), *outcomes, *by_step]
    assert table(section(text, "Counts by source")) == [["sums", *map(str, counted)]]

    kto = pl.read_parquet(folder / "data/M1/step_kto/*.parquet")
    kept = kto["steps"].explode().struct.field("label")
    assert table(section(text, "Label balance")) == [
        ["outcome", "before", *map(str, outcomes)],
        ["outcome", "after", str(kto["label"].sum()), str((~kto["label"]).sum()), "0"],
        ["step", "before", *map(str, by_step)],
        ["step", "after", str(kept.sum()), str((~kept).sum()), str(kept.null_count())],
    ]
    rows = {row[0].strip("`"): int(row[1]) for row in table(text.partition("## ")[0])}
    for form in list_formats():
        assert rows[f"M1-{form.name}"] == pl.read_parquet(folder / f"data/M1/{form.name}/*.parquet").height


def test_the_training_order_is_counted(folder: Path, place: Path) -> None:
    _, text = card_of(folder)
    kto = pl.read_parquet(folder / "data/M1/kto/*.parquet")
    blocks = [kto[start : start + 4] for start in range(0, kto.height, 4)]
    both = sum(block["label"].n_unique() == 2 for block in blocks)
    twice = sum(block["problem_id"].n_unique() < block.height for block in blocks)
    held = f"{both} of them with both labels, {twice} with two samples of one problem"
    assert f"Training order of M1: {len(blocks)} blocks of 4 rows, {held}." in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/ana/models/judge-7b", "judge-7b"),
        ("../shared/x.jsonl", "x.jsonl"),
        ("~/m/judge", "judge"),
        ("org/name", "org/name"),
        ("1/2", "1/2"),
        ("/2", "/2"),
        ("a text with /home/ana/x in it", "a text with /home/ana/x in it"),
    ],
)
def test_a_card_shows_no_path_of_this_machine(text: str, shown: str) -> None:
    assert dict(iterate_leaves({"a": {"b": text}})) == {"a b": shown}


def test_what_has_not_run_on_the_commit_is_not_on_the_card(place: Path, tmp_path: Path) -> None:
    outdated = frozenset({"evaluate@M1", "evaluate_seed", "train@M1"})
    write_dataset(["M1"], "org/sums", replace(COMMIT, outdated=outdated), tmp_path, place)
    _, text = card_of(tmp_path)
    assert [row[3] for row in table(section(text, "Rounds"))] == ["–", "–"]
    assert {row[1] for row in table(section(text, "Cost")) if row[0] == "M1"}.isdisjoint({"train", "evaluate"})


def test_rounds_drops_costs_and_the_judge_are_those_of_the_reports(folder: Path) -> None:
    _, text = card_of(folder)
    rounds = table(section(text, "Rounds"))
    assert [row[0] for row in rounds] == ["M0", "M1"]
    assert rounds[1][3].startswith("82.4% (78.9%")
    drops = {(row[0], row[1]): row[2] for row in table(section(text, "Dropped rows"))}
    assert drops["problems", "source orca\\_math"] == "31"
    assert ("select", "same completion for the same problem") in drops
    assert ["M1", "sample", "315,000"] in table(section(text, "Cost"))
    judge = section(text, "Judge")
    assert "Votes per step: 3, of which 60.0% must agree" in judge
    assert "mean agreement on labelled steps: 100.0%" in judge
    assert "no calibration" in judge
    assert f"a language model that votes on each step (`m` with prompt `{hash_prompt('step')}`)" in judge


def test_calibration_decontamination_and_lopsided_labels_are_shown_where_they_were_measured(
    place: Path, tmp_path: Path
) -> None:
    reports = place / "data/reports"
    paths = (reports / "judge/M1.json", reports / "problems/all.json", reports / "dataset/M1.json")
    judge, problems, dataset = paths
    before = [path.read_text(encoding="utf-8") for path in paths]
    contamination = {"files": [{"file": "math500.jsonl", "sha256": "ab" * 32, "problems": 500}], "dropped": 7}
    try:
        checks = {"completions": 64, "found": ["labels follow position"]}
        calibration = {"gold": {"kappa": 0.81234, "steps": 1200}}
        write(judge, {**json.loads(before[0]), "calibration": calibration, "checks": checks})
        write(problems, {**json.loads(before[1]), "contamination": contamination})
        write(dataset, {**json.loads(before[2]), "warnings": ["9 correct and 0 incorrect step labels: lopsided"]})
        write_dataset(["M1"], "org/sums", COMMIT, tmp_path, place)
    finally:
        for path, text in zip(paths, before, strict=True):
            path.write_text(text, encoding="utf-8")
    _, text = card_of(tmp_path)
    assert ["calibration gold kappa", "0.8123"] in table(section(text, "Judge"))
    assert "**found, and labelled all the same:** labels follow position" in section(text, "Judge")
    assert "- 9 correct and 0 incorrect step labels: lopsided" in section(text, "Label balance")
    shown = section(text, "Decontamination")
    assert table(shown) == [["math500.jsonl", "500", f"`{'ab' * 32}`"]]
    assert "- dropped: 7" in shown


def test_every_column_is_explained(folder: Path) -> None:
    _, text = card_of(folder)
    columns = section(text, "Columns")
    for form in list_formats():
        part = columns.partition(f"### {escape_markdown(form.name)}\n")[2].partition("\n### ")[0]
        written = pl.read_parquet_schema(next(folder.glob(f"data/M1/{form.name}/*.parquet")))
        assert [row[0].strip("`") for row in table(part)] == list(written)
        assert all(row[1] and row[2] for row in table(part))


def test_commands_licences_limits_and_citation(folder: Path) -> None:
    _, text = card_of(folder)
    again = section(text, "Reproduction")
    assert "git clone https://example.org/project.git project" in again
    assert f"git checkout {COMMIT.id}" in again
    assert "dvc pull" in again
    assert "dvc repro" in again
    assert "`reports/code`" in again
    assert table(section(text, "Licenses"))[0][0] == "problems of sums from sums"
    assert "not bitwise reproducible" in section(text, "Known limits")
    assert "url = {https://huggingface.co/datasets/org/sums}" in section(text, "Citation")


def test_hostile_text_of_a_problem_stays_text(folder: Path, place: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "1337" not in text, "templates are not filled in twice"
    for token in walk(MarkdownIt("commonmark", {"html": True}).enable("table").parse(card_of(folder)[1])):
        assert "alert" not in token.content or token.type == "fence"
        assert token.type != "html_block"
        if token.type == "link_open":
            assert str(token.attrs["href"]).startswith("https://arxiv.org/")


def walk(tokens: list[Token]) -> list[Token]:
    return [inner for token in tokens for inner in (token, *walk(token.children or []))]


MARKDOWN = st.text(st.sampled_from("ab1 \n\t`*_[]()<>#|~$:!&@\\-+=.{}\"'/;\0\x1b\ud800é∑"), max_size=60) | st.text()
PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def cell_of(shown: str) -> list[Token]:
    """What a table's cell holds besides text; fails where the table is not one row of two cells."""
    tokens = PARSER.parse(f"| a | b |\n|---|---|\n| {shown} | end |\n")
    assert [token.type for token in tokens].count("td_open") == 2
    assert [token.type for token in tokens].count("tr_open") == 2
    first, last = [token for token in tokens if token.type == "inline"][-2:]
    assert last.content == "end"
    return [token for token in first.children or [] if token.type not in ("text", "text_special")]


@given(MARKDOWN)
def test_escaped_text_is_text(text: str) -> None:
    assert cell_of(escape_markdown(text)) == []


@given(MARKDOWN)
def test_code_is_code_and_nothing_else(text: str) -> None:
    found = [(token.type, token.content if token.type == "html_inline" else "") for token in cell_of(format_code(text))]
    assert found in ([], [("code_inline", "")], [("html_inline", "<code>"), ("html_inline", "</code>")])


@given(MARKDOWN)
def test_a_block_ends_where_it_should(text: str) -> None:
    types = [token.type for token in PARSER.parse(f"before\n\n{format_block(text)}\n\nafter\n")]
    paragraph = ["paragraph_open", "inline", "paragraph_close"]
    assert types == [*paragraph, "fence", *paragraph]


def test_shown_text_is_bounded() -> None:
    assert len(escape_markdown("a" * 10**6)) == MAX_INLINE_CHARS + 1
    assert len(format_block("a" * 10**6)) < MAX_BLOCK_CHARS + 100
    assert format_code(None) == "–"


def test_croissant_describes_every_configuration_and_column(folder: Path) -> None:
    metadata = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    assert metadata["url"] == "https://huggingface.co/datasets/org/sums"
    assert metadata["license"] == "https://huggingface.co/datasets/org/sums#licenses"
    assert metadata["creator"] == {
        "@type": "sc:Organization",
        "name": "org",
        "url": "https://huggingface.co/org",
    }
    sets = {file["@id"]: file for file in metadata["distribution"] if file["@type"] == "cr:FileSet"}
    assert [records["name"] for records in metadata["recordSet"]] == [f"M1-{form.name}" for form in list_formats()]
    for records in metadata["recordSet"]:
        files = sorted(folder.glob(sets[f"files-{records['name']}"]["includes"]))
        written = pl.read_parquet_schema(files[0])
        own = [field for field in records["field"] if "field" not in field.get("source", {})]
        assert [field["name"] for field in own] == list(written)
        for field in own:
            dtype = written[field["name"]]
            assert field.get("isArray", False) == isinstance(dtype, pl.List)
            inner = dtype.inner if isinstance(dtype, pl.List) else dtype
            if isinstance(inner, pl.Struct):
                assert [part["name"] for part in field["subField"]] == [part.name for part in inner.fields]
            else:
                assert field["source"]["extract"] == {"column": field["name"]}
                assert field["dataType"].startswith("sc:")


def test_the_manifest_leads_to_commit_lock_and_data_set(folder: Path, place: Path) -> None:
    from stages.common.provenance import compute_sha256

    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert {name: compute_sha256(folder / name) for name in manifest["files"]} == manifest["files"]
    assert manifest["made_from"]["commit"] == COMMIT.id
    assert (
        manifest["made_from"]["dvc_lock"]
        == compute_sha256(place / "dvc.lock")
        == manifest["files"]["provenance/dvc.lock"]
    )
    source = json.loads((place / "data/datasets/M1/manifest.json").read_text(encoding="utf-8"))
    policy = json.loads((place / "models/M0/manifest.json").read_text(encoding="utf-8"))
    judge = {"kind": "llm", "num_votes": 3, "min_agreement": 0.6, "label_noise": 0.0}
    judge |= {"models": ["m"], "prompts": [hash_prompt("step")]}
    written = manifest["rounds"]["M1"]
    assert written == {"dataset": source["hash"], "policy": policy["hash"], "judge": {**written["judge"], **judge}}


def test_several_rounds_lie_side_by_side(tmp_path: Path) -> None:
    place = make_place(tmp_path / "place", problems=4)
    recipe = yaml.safe_load((place / "params.yaml").read_text(encoding="utf-8"))
    recipe["rounds"]["K1"] = {"policy": "M0", "train": {"method": "kto"}}
    (place / "params.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    for stage in ("samples", "outcomes", "selections", "steps", "labels", "datasets"):
        (place / "data" / stage / "K1").symlink_to(place / "data" / stage / "M1")
    publication = write_dataset(["M1", "K1", "M1"], "org/sums", COMMIT, tmp_path / "out", place)
    assert publication.rounds == ("M1", "K1")
    metadata, text = card_of(tmp_path / "out")
    names = [config["config_name"] for config in metadata["configs"]]
    assert len(names) == len(set(names))
    assert {name.split("-")[0] for name in names} == {"M1", "K1"}
    assert [row[0] for row in table(section(text, "Counts by source"))] == ["sums", "sums"]


def test_a_round_or_policy_that_is_not_there_is_named(place: Path, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="no round M9; the recipe has M1"):
        write_dataset(["M9"], "org/sums", COMMIT, tmp_path, place)
    with pytest.raises(ParamsError, match="no policy M9; the recipe has M0, M1"):
        write_model("M9", "org/sums", COMMIT, tmp_path, place)


def test_a_policy_goes_out_with_weights_manifest_and_card(place: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    publication = write_model("M0", "org/model", COMMIT, tmp_path, place)
    assert publication.rounds == ("M0",)
    source = place / "models/M0"
    assert (tmp_path / "policy.json").read_bytes() == (source / "manifest.json").read_bytes()
    assert (tmp_path / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()
    assert AutoModelForCausalLM.from_pretrained(tmp_path).num_parameters() > 0
    assert AutoTokenizer.from_pretrained(tmp_path)("1 + 1")["input_ids"]
    metadata, text = card_of(tmp_path)
    assert metadata["library_name"] == "transformers"
    assert json.loads((source / "manifest.json").read_text(encoding="utf-8"))["hash"] in text
    assert f"git checkout {COMMIT.id}" in text
    assert [row[0] for row in table(section(text, "Metrics"))] == ["M0", "M1"]


def test_a_trained_policy_says_what_it_was_trained_on(place: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(place, root)
    shutil.copytree(root / "models/M0", root / "models/M1")
    labels = {
        "outcome": {"correct": 7, "incorrect": 5, "masked": 0},
        "step": {"correct": 9, "incorrect": 4, "unknown": 2},
    }
    write(root / "data/reports/train/M1.json", {"rows": 12, "tokens_seen": 300, "num_steps": 80, "labels": labels})
    write_model("M1", "org/model", COMMIT, tmp_path / "out", root)
    _, text = card_of(tmp_path / "out")
    assert "Trained by `step_kto` in round M1, from policy M0" in text
    assert "80 optimizer steps" in section(text, "Training data")
    recipe = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    recipe["seed_model"] = {"kind": "folder", "folder": {"path": "/home/ana/models/mine"}}
    (root / "params.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    write_model("M0", "org/model", COMMIT, tmp_path / "other", root)
    _, text = card_of(tmp_path / "other")
    assert "a copy of a model that was made elsewhere" in text
    assert "from scratch" not in text
    assert "/home" not in text


def test_a_policy_of_the_hub_is_not_published_again(place: Path, tmp_path: Path) -> None:
    from stages.common.policies import write_manifest

    root = tmp_path / "root"
    for name in ("params.yaml", "dvc.lock"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((place / name).read_bytes())
    (root / "models/M0").mkdir(parents=True)
    write_manifest(root / "models/M0", {}, ("meta-llama/Llama-3.1-8B", "0" * 40, {"model.safetensors": "0" * 64}))
    with pytest.raises(RefusedError, match=r"is meta-llama/Llama-3\.1-8B at 0000"):
        write_model("M0", "org/model", COMMIT, tmp_path / "out", root)


def test_a_policy_without_weights_is_not_published(place: Path, tmp_path: Path) -> None:
    from stages.common.policies import write_manifest

    root = tmp_path / "root"
    (root / "models/M0").mkdir(parents=True)
    (root / "params.yaml").write_bytes((place / "params.yaml").read_bytes())
    write_manifest(root / "models/M0", {"kind": "none"})
    with pytest.raises(RefusedError, match="has no weights"):
        write_model("M0", "org/model", COMMIT, tmp_path / "out", root)


def test_a_round_of_recorded_solutions_without_judge_and_measurement_says_so(tmp_path: Path) -> None:
    place = make_place(tmp_path / "place", problems=4)
    recipe = yaml.safe_load((place / "params.yaml").read_text(encoding="utf-8"))
    recipe["sample"]["engine"] = {"kind": "recorded", "recorded": {"path": "x.jsonl"}}
    recipe["judge"]["kind"] = "none"
    (place / "params.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    path = place / "data/labels/M1/all.parquet"
    judged = pl.read_parquet(path)
    judged.with_columns(label=pl.lit(None, pl.Boolean), first_error=pl.lit(None, pl.Int32)).write_parquet(path)
    for report in (place / "data/reports/evaluate").iterdir():
        write(report, {"metrics": {}})
    write_dataset(["M1"], "org/sums", COMMIT, tmp_path / "out", place)
    _, text = card_of(tmp_path / "out")
    assert "- The completions of M1 are recorded: they were sampled elsewhere." in text
    assert "no step has a label" in section(text, "Judge")
    assert table(section(text, "Rounds"))[1] == ["M1", "M0", "step\\_kto", *["–"] * 5]


def seed_model(kind: Any, repo: str | None = None) -> SeedModelParams:
    hub = HubModelParams(repo=repo, revision="0" * 40) if repo else None
    return SeedModelParams(kind=kind, hub=hub)


@pytest.mark.parametrize(
    ("origins", "seed", "licence", "said"),
    [
        ([("AI-MO/NuminaMath-CoT abc", "cn_k12")], seed_model("toy_arithmetic"), "apache-2.0", ["Apache-2.0"]),
        ([("file.jsonl sha256:1", "gsm8k")], seed_model("toy_arithmetic"), "mit", ["MIT"]),
        ([("f", "gsm8k"), ("AI-MO/NuminaMath-CoT@1", "x")], seed_model("toy_arithmetic"), None, ["MIT", "Apache-2.0"]),
        ([("f", "gsm8k")], seed_model("none"), None, ["MIT", "not known"]),
        ([("f", "gsm8k")], seed_model("hub", "meta-llama/Llama-3.1-8B"), None, ["MIT", "Llama Community License"]),
        ([("f", "gsm8k")], seed_model("hub", "someone/model"), None, ["MIT", "its own card"]),
        ([("f", "something")], seed_model("toy_arithmetic"), None, ["not known to this project"]),
    ],
)
def test_licences(origins: list[tuple[str, str]], seed: SeedModelParams, licence: str | None, said: list[str]) -> None:
    found = list_licenses(origins, seed)
    assert find_hub_license(found) == licence
    assert len(found) == len(said)
    assert all(any(words in one.note for one in found) for words in said)
