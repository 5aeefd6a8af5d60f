"""Every format of a round: what its rows are, that `datasets` reads them, and that trainers take them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pytest

from stages.common.errors import UserError
from stages.common.human_labels import append_human_labels, hash_steps
from stages.common.params.judge import JudgeScope
from stages.common.provenance import compute_sha256
from stages.judge.llm import hash_prompt
from tests.support import tiny_policy
from tests.support.human_labels import human_label
from tests.support.publish_place import THOUGHT, make_place
from tools.publish import Commit, RefusedError, write_dataset
from tools.publish.exported_round import ExportedRound, read_round
from tools.publish.formats import FORMATS, export_format, list_formats
from tools.publish.parquet_files import describe_type, make_feature
from tools.publish.private_data import make_pseudonyms, require_nothing_private
from tools.publish.release_manifest import read_release_manifest

COMMIT = Commit("c0ffee" * 6 + "c0ff", "2026-01-02", "https://example.org/project.git")
NAMES = [form.name for form in list_formats()]


@pytest.fixture(scope="module", params=["text", "chat"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    chat = request.param == "chat"
    return make_place(tmp_path_factory.mktemp("place"), chat=chat, digits=int(chat))


@pytest.fixture(scope="module")
def of(place: Path) -> ExportedRound:
    return read_round("M1", place)


@pytest.fixture(scope="module")
def folder(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    write_dataset(["M1"], "org/sums", COMMIT, out, place)
    return out


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    return pl.read_parquet(folder / f"data/M1/{name}/*.parquet").to_dicts()


def plain(said: Any) -> str:
    """The text of a completion, or of a chat's one message."""
    return said if isinstance(said, str) else said[0]["content"]


def prompt_text(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else prompt[-1]["content"]


def by_sample(of: ExportedRound) -> dict[str, dict[str, Any]]:
    return {row["sample_id"]: row for row in of.rows.to_dicts()}


def test_kto_and_step_kto_are_the_data_set_in_its_order(of: ExportedRound, folder: Path) -> None:
    kto, step_kto = rows_of(folder, "kto"), rows_of(folder, "step_kto")
    assert [row["sample_id"] for row in kto] == of.rows["sample_id"].to_list()
    assert [plain(row["completion"]) for row in kto] == of.rows["completion"].to_list()
    assert [row["label"] for row in kto] == of.rows["label"].to_list()
    assert [row["steps"] for row in step_kto] == of.rows["steps"].to_list()
    assert [{**row, "steps": None} for row in step_kto] == [{**row, "steps": None} for row in kto]


def test_stepwise_ends_before_the_first_unknown_step(of: ExportedRound, folder: Path) -> None:
    rows = rows_of(folder, "stepwise")
    known = by_sample(of)
    assert any(len(row["completions"]) < len(known[row["sample_id"]]["steps"]) for row in rows)
    for row in rows:
        whole = known[row["sample_id"]]
        assert row["prompt"] == prompt_text(whole["prompt"])
        assert whole["completion"].startswith("".join(row["completions"]))
        labels = [step["label"] for step in whole["steps"]]
        until = labels.index(None) if None in labels else len(labels)
        assert row["labels"] == labels[:until] != []
        assert len(row["completions"]) == until
    assert {s["sample_id"] for s in known.values() if s["steps"][0]["label"] is not None} == {
        row["sample_id"] for row in rows
    }


def ids_of(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The samples of each pair, in order: pairs are published as they are trained."""
    return [(row["chosen_sample_id"], row["rejected_sample_id"]) for row in rows]


def test_step_dpo_pairs_share_a_right_beginning(of: ExportedRound, folder: Path) -> None:
    rows = rows_of(folder, "step_dpo")
    assert len(rows) > 5
    known = by_sample(of)
    for row in rows:
        chosen, rejected = known[row["chosen_sample_id"]], known[row["rejected_sample_id"]]
        assert chosen["problem_id"] == rejected["problem_id"] == row["problem_id"]
        beginning = row["beginning"]
        steps = rejected["steps"]
        assert rejected["completion"][: steps[row["rejected_step"]]["start"]] == beginning
        assert all(step["label"] for step in steps[: row["rejected_step"]])
        assert steps[row["rejected_step"]]["label"] is False
        at = row["chosen_step"]
        assert chosen["completion"][: chosen["steps"][at]["start"]] == beginning
        assert chosen["steps"][at]["label"] is True
        right = chosen["completion"][len(beginning) : chosen["steps"][at]["end"]]
        wrong = rejected["completion"][len(beginning) : steps[row["rejected_step"]]["end"]]
        before = beginning if of.is_chat else ""
        assert (plain(row["chosen"]), plain(row["rejected"])) == (before + right, before + wrong)
        assert prompt_text(row["prompt"]) == prompt_text(rejected["prompt"]) + ("" if of.is_chat else beginning)
    assert ids_of(rows) == ids_of(pl.read_parquet(of.dataset.folder / "step_pairs.parquet").to_dicts())


def test_pairs_are_right_and_wrong_solutions_of_one_problem(of: ExportedRound, folder: Path) -> None:
    rows = rows_of(folder, "pairs")
    known = by_sample(of)
    for row in rows:
        chosen, rejected = known[row["chosen_sample_id"]], known[row["rejected_sample_id"]]
        assert (chosen["label"], rejected["label"]) == (True, False)
        assert chosen["problem_id"] == rejected["problem_id"] == row["problem_id"]
        assert (plain(row["chosen"]), plain(row["rejected"])) == (chosen["completion"], rejected["completion"])
    assert ids_of(rows) == ids_of(pl.read_parquet(of.dataset.folder / "pairs.parquet").to_dicts())
    assert len(rows) > 5


def test_rft_is_what_is_right(of: ExportedRound, folder: Path) -> None:
    right = of.rows.filter("label")
    assert [row["sample_id"] for row in rows_of(folder, "rft")] == right["sample_id"].to_list()


def test_labels_hold_every_sample_with_its_lineage(of: ExportedRound, folder: Path) -> None:
    rows = rows_of(folder, "labels")
    samples = pl.read_parquet(of.locate("samples") / "*.parquet")
    assert sorted(row["sample_id"] for row in rows) == sorted(samples["sample_id"])
    place = {identity: at for at, identity in enumerate(of.rows["sample_id"])}
    assert len(place) < len(rows), "repeated texts are not kept"
    for row in rows:
        assert row["row"] == place.get(row["sample_id"])
        assert "".join(row["completion"][step["start"] : step["end"]] for step in row["steps"]) == row["completion"]
        assert row["first_error"] == next((s["step"] for s in row["steps"] if s["label"] is False), None)
        assert (row["origin"], row["judge"] if "judge" in row else row["steps"][0]["judge"]) == ("sums train", "judge")
        assert row["is_correct"] == (row["final_answer"] == row["gold_answer"])


def test_labels_count_the_votes_in_the_replies_beside_them(of: ExportedRound, folder: Path) -> None:
    replies: dict[tuple[str, int, int], dict[str, Any]] = {}
    for row in sorted(rows_of(folder, "replies"), key=lambda row: row["attempt"]):
        assert row["round"] == "M1"
        replies[row["sample_id"], row["step"], row["vote"]] = row  # the last try counts
    split = 0
    for row in rows_of(folder, "labels"):
        assert row["judge_models"] == ["m"]
        assert row["judge_prompts"] == [hash_prompt("step")]
        for step in row["steps"]:
            said = [replies[row["sample_id"], step["step"], vote]["text"] or "" for vote in range(step["num_votes"])]
            right, wrong = (sum(f'"{word}"' in text for text in said) for word in ("correct", "incorrect"))
            votes = (step["votes_correct"], step["votes_incorrect"], step["votes_invalid"])
            assert votes == (right, wrong, step["num_votes"] - right - wrong)
            assert votes == {True: (3, 0, 0), False: (0, 3, 0), None: (1, 1, 1)}[step["label"]]
            split += step["label"] is None
    assert split > 3
    assert any(row["attempt"] == 1 for row in replies.values())


def test_every_published_row_leads_to_its_raw_replies(of: ExportedRound, folder: Path) -> None:
    written = pl.read_parquet(of.locate("labels") / "replies/*.parquet").sort("request_hash").to_dicts()
    published = sorted(rows_of(folder, "replies"), key=lambda row: row["request_hash"])
    assert [{"reasoning": None, **row} for row in published] == [
        {"round": "M1", **row, "reasoning": None} for row in written
    ]
    known = {row["sample_id"] for row in published}
    for form in list_formats():
        for row in rows_of(folder, form.name):
            ids = {row[name] for name in ("sample_id", "chosen_sample_id", "rejected_sample_id") if name in row}
            assert ids
            assert ids <= known


def test_thinking_is_published_on_request_alone_and_scanned(place: Path, folder: Path, tmp_path: Path) -> None:
    def holds_thinking(path: Path) -> bool:
        return path.suffix == ".parquet" and THOUGHT in str(pl.read_parquet(path).to_dicts())

    assert not any(holds_thinking(path) for path in folder.rglob("*"))
    write_dataset(["M1"], "org/sums", COMMIT, tmp_path, place, with_reasoning=True)
    rows = rows_of(tmp_path, "reasoning")
    replies = {row["request_hash"]: row for row in rows_of(tmp_path, "replies")}
    assert {row["request_hash"] for row in rows} == {key for key, row in replies.items() if row["text"] is not None}
    assert {path.parent.name for path in tmp_path.rglob("*") if holds_thinking(path)} == {"reasoning"}
    assert "M1-reasoning" in (tmp_path / "README.md").read_text(encoding="utf-8")
    path = next((tmp_path / "data/M1/reasoning").iterdir())
    pl.read_parquet(path).with_columns(reasoning=pl.lit("as ann@example.org wrote")).write_parquet(path)
    with pytest.raises(RefusedError, match="column reasoning: e-mail address"):
        require_nothing_private(tmp_path)


def test_labels_by_people_are_published_without_names_and_times(
    place: Path, of: ExportedRound, folder: Path, tmp_path: Path
) -> None:
    rows = rows_of(folder, "labels")[:2]
    hashes = hash_steps(*(pl.read_parquet(place / "data" / name / "M1/*.parquet") for name in ("samples", "steps")))
    cells: list[dict[str, Any]] = [
        {"sample_id": row["sample_id"], "problem_id": row["problem_id"], "text_hash": hashes[row["sample_id"]][0]}
        for row in rows
    ]
    path = tmp_path / "labels.jsonl"
    append_human_labels(path, [
        human_label(annotator="Ben Beispiel", label="incorrect", **cells[0]),
        human_label(annotator="Anna Beispiel", label="neutral", **cells[0]),
        human_label(annotator="Ben Beispiel", label="cannot_tell", **cells[1]),
        human_label(annotator="Cleo Beispiel", label="incorrect", kind="adjudicated", **cells[0]),
        human_label(annotator="Dora Beispiel", label="incorrect", **cells[1] | {"text_hash": "00000000"}),
        human_label(annotator="Ben Beispiel", sample_id="of another run"),
        human_label(annotator="Ben Beispiel", round="M7"),
    ])  # fmt: skip
    out = tmp_path / "out"
    manifest = write_dataset(["M1"], "org/sums", COMMIT, out, place, human_labels=path)
    published = {(row["sample_id"], row["annotator"]): row for row in rows_of(out, "human_labels")}
    assert {key: row["is_correct"] for key, row in published.items()} == {
        (cells[0]["sample_id"], "annotator 1"): False,
        (cells[0]["sample_id"], "annotator 2"): True,
        (cells[0]["sample_id"], "annotator 3"): False,
        (cells[1]["sample_id"], "annotator 1"): None,
    }
    assert "time" not in next(iter(published.values()))
    for file in out.rglob("*"):
        assert file.is_dir() or b"Beispiel" not in file.read_bytes()
        assert file.suffix != ".parquet" or "Beispiel" not in str(pl.read_parquet(file).to_dicts())
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "## Human labels" in card
    assert "annotator 1, annotator 2: agree on" in card
    assert "M1-human_labels" in (out / "croissant.json").read_text(encoding="utf-8")
    made_from = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["made_from"]
    assert made_from["human_labels"] == compute_sha256(path)
    append_human_labels(path, [human_label(annotator="Ben Beispiel", label="correct", **cells[0])])
    named = write_dataset(
        ["M1"], "org/sums", COMMIT, tmp_path / "named", place, human_labels=path, with_annotators=True
    )
    assert named.hash != manifest.hash
    assert "Ben Beispiel" in {row["annotator"] for row in rows_of(tmp_path / "named", "human_labels")}
    assert make_pseudonyms(path)["Ben Beispiel"] == "annotator 1"
    assert not (folder / "data/M1/human_labels").exists()


def test_a_rule_leaves_no_votes_and_no_replies(tmp_path: Path) -> None:
    place = make_place(tmp_path / "place", problems=3, served=False)
    write_dataset(["M1"], "org/sums", COMMIT, tmp_path / "out", place)
    assert not (tmp_path / "out/data/M1/replies").exists()
    assert "`M1-replies` (left out)" in (tmp_path / "out/README.md").read_text(encoding="utf-8")
    for row in rows_of(tmp_path / "out", "labels"):
        assert (row["judge_models"], row["judge_prompts"]) == ([], [])
        assert all(step["votes_correct"] is None and step["votes_invalid"] is None for step in row["steps"])


def test_missing_replies_are_named(tmp_path: Path) -> None:
    place = make_place(tmp_path / "place", problems=3)
    (place / "data/labels/M1/replies/all.parquet").unlink()
    with pytest.raises(UserError, match=r"replies/all\.parquet: no such shard of table reply"):
        write_dataset(["M1"], "org/sums", COMMIT, tmp_path / "out", place)


def test_the_scan_reads_the_replies(tmp_path: Path) -> None:
    place = make_place(tmp_path / "place", problems=3)
    path = place / "data/labels/M1/replies/all.parquet"
    replies = pl.read_parquet(path)
    planted = replies.with_columns(
        text=pl.when(pl.int_range(pl.len()) == 4).then(pl.lit("hf_" + "a" * 30)).otherwise("text")
    )
    planted.write_parquet(path)
    write_dataset(["M1"], "org/sums", COMMIT, tmp_path / "out", place)
    with pytest.raises(RefusedError, match=r"data/M1/replies/00000\.parquet, row 4, column text: Hugging Face token"):
        require_nothing_private(tmp_path / "out")


@pytest.mark.parametrize("name", ["stepwise", "step_dpo", "pairs"])
def test_rows_are_the_same_however_many_are_taken_at_once(
    of: ExportedRound, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_format, "MAX_ROWS", 3)
    form = next(form for form in list_formats() if form.name == name)
    parts = list(form.read_frames(of))
    assert len(parts) > 4
    columns = [column.name for column in form.list_columns(of.is_chat)]
    assert [row for part in parts for row in part.select(columns).to_dicts()] == rows_of(folder, name)


def test_samples_that_were_not_judged_have_no_steps(tmp_path: Path) -> None:
    places = {scope: make_place(tmp_path / scope, problems=6, scope=scope) for scope in get_args(JudgeScope)}
    for place in places.values():
        write_dataset(["M1"], "org/sums", COMMIT, place / "out", place)
    selected, everything = (rows_of(place / "out", "labels") for place in places.values())
    assert len(selected) == len(everything)
    dropped = [row for row in selected if row["drop_reason"] is not None]
    assert dropped, "the rule drops repeated texts"
    assert all(row["steps"] == [] and row["first_error"] is None and row["row"] is None for row in dropped)
    for row, other in zip(selected, everything, strict=True):
        assert other["steps"]
        assert row == other or row in dropped
    cards = [(place / "out/README.md").read_text(encoding="utf-8") for place in places.values()]
    assert ["only the selected samples were judged" in card for card in cards] == [True, False]
    for name in ("kto", "step_kto"):
        assert rows_of(places["selected"] / "out", name) == rows_of(places["all"] / "out", name)


def test_a_sample_without_a_verdict_is_named(tmp_path: Path) -> None:
    place = make_place(tmp_path / "place", problems=3)
    path = place / "data/outcomes/M1/all.parquet"
    pl.read_parquet(path).head(-1).write_parquet(path)
    with pytest.raises(
        ValueError, match="1 samples have no problem, no verdict, no steps or no labels, or are not in the selection"
    ):
        write_dataset(["M1"], "org/sums", COMMIT, tmp_path / "out", place)


@pytest.mark.parametrize("name", NAMES)
def test_datasets_reads_it_with_its_types(of: ExportedRound, folder: Path, tmp_path: Path, name: str) -> None:
    from datasets import load_dataset

    loaded = load_dataset(str(folder), f"M1-{name}", split="train", cache_dir=str(tmp_path))
    columns = next(form for form in list_formats() if form.name == name).list_columns(of.is_chat)
    assert loaded.features == {column.name: make_feature(column.dtype) for column in columns}
    assert loaded.to_list() == rows_of(folder, name)


def test_the_same_tree_gives_the_same_bytes(place: Path, folder: Path, tmp_path: Path) -> None:
    again = write_dataset(["M1"], "org/sums", COMMIT, tmp_path, place)
    assert read_release_manifest(folder / "manifest.json") == again


def trainer_of(name: str) -> tuple[Any, Any]:
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, SFTConfig, SFTTrainer

    return {"kto": (KTOTrainer, KTOConfig), "pairs": (DPOTrainer, DPOConfig), "rft": (SFTTrainer, SFTConfig)}[name]


@pytest.mark.parametrize("name", ["kto", "pairs", "rft"])
def test_trl_trains_a_step_on_it(folder: Path, tmp_path: Path, name: str) -> None:
    import torch
    from datasets import load_dataset

    from stages.common.policies import read_policy

    policy = read_policy(tiny_policy.write_policy(tmp_path / "policy"))
    rows = load_dataset(str(folder), f"M1-{name}", split="train", cache_dir=str(tmp_path / "cache"))
    trainer_class, config_class = trainer_of(name)
    config = config_class(
        output_dir=str(tmp_path / "run"), max_steps=1, per_device_train_batch_size=4, learning_rate=1e-2, use_cpu=True,
        bf16=False, report_to=[], save_strategy="no", disable_tqdm=True, logging_steps=1,
    )  # fmt: skip
    model = policy.load_model()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    trainer = trainer_class(model=model, args=config, train_dataset=rows, processing_class=policy.load_tokenizer())
    trainer.train()
    assert trainer.state.global_step == 1
    assert any(not torch.equal(before[key], value) for key, value in trainer.model.state_dict().items())


def test_step_kto_trains_a_step_in_our_trainer(of: ExportedRound, folder: Path, tmp_path: Path) -> None:
    """The published file put back where the training stage reads it, by the manifest of a data set."""
    from stages.common.params.runtime import RuntimeParams
    from stages.common.params.train import TrainParams
    from stages.common.provenance import hash_folder, hash_manifest
    from stages.common.tables import write_json
    from stages.train.run import train
    from stages.train.training_inputs import TrainingInputs

    published = pl.read_parquet(folder / "data/M1/step_kto/00000.parquet").head(8)
    if of.is_chat:
        texts = [json.dumps(prompt) for prompt in published["prompt"].to_list()]
        completions = [plain(said) for said in published["completion"].to_list()]
        published = published.with_columns(prompt=pl.Series(texts), completion=pl.Series(completions))
    source = tmp_path / "dataset"
    source.mkdir()
    published.write_parquet(source / "step_kto.parquet")
    published.drop("steps").write_parquet(source / "kto.parquet")
    files = hash_folder(source)
    original = json.loads((of.dataset.folder / "manifest.json").read_text(encoding="utf-8"))
    write_json(source / "manifest.json", {**original, "files": files, "hash": hash_manifest(files), "rows": 8})
    params = TrainParams(
        beta=0.5, learning_rate=1e-2, warmup_steps=0, lr_scheduler_type="constant", batch_size=4,
        gradient_accumulation_steps=2, max_length=256, dtype="float32", save_steps=50,
    )  # fmt: skip
    job = TrainingInputs(source, tiny_policy.write_policy(tmp_path / "policy"), params, 1)
    report = tmp_path / "report.json"
    runtime = RuntimeParams(num_threads=1, num_workers=1, distributed=None, device="cpu")
    train(job, runtime, tmp_path / "out", report, tmp_path / "work", tmp_path / "journal")
    written = json.loads(report.read_text(encoding="utf-8"))
    assert written["num_steps"] == 1
    assert written["labels"]["step"]["incorrect"] > 0


def test_types_are_told_in_words_and_others_are_refused() -> None:
    assert describe_type(pl.List(pl.Struct({"a": pl.Int32, "b": pl.List(pl.String)}))) == (
        "list of {a: int32, b: list of string}"
    )
    with pytest.raises(TypeError, match="Date: expected one of string"):
        make_feature(pl.Date)


PLUGIN = '''
"""The first step of every row, as an export format from outside the project."""

import polars as pl

from stages.common.tables import Column
from tools.publish.formats import FORMATS


class FirstStep:
    name = "first_step"
    purpose = "the first step of every sample"

    def list_columns(self, is_chat):
        return (Column("sample_id", pl.String, "the sample"), Column("step", pl.String, "its first step"))

    def read_frames(self, exported):
        end = pl.col("steps").list.first().struct.field("end")
        yield exported.rows.with_columns(step=pl.col("completion").str.slice(0, end))


FORMATS.register("first_step", FirstStep())
'''


def test_a_format_of_a_plugin_is_published_and_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FORMATS, "_items", {})
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "first_step_plugin.py").write_text(PLUGIN, encoding="utf-8")
    place = make_place(tmp_path / "place", problems=3)
    recipe = (place / "params.yaml").read_text(encoding="utf-8")
    (place / "params.yaml").write_text(f"plugins: [first_step_plugin]\n{recipe}", encoding="utf-8")
    write_dataset(["M1"], "org/sums", COMMIT, tmp_path / "out", place)
    assert [form.name for form in list_formats()] == [*NAMES, "first_step"]
    known = by_sample(read_round("M1", place))
    rows = rows_of(tmp_path / "out", "first_step")
    assert {row["sample_id"] for row in rows} == set(known)
    for row in rows:
        whole = known[row["sample_id"]]
        assert row["step"] == whole["completion"][: whole["steps"][0]["end"]]
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert "config_name: M1-first_step" in card
    assert "| `step` | string | its first step |" in card
    croissant = json.loads((tmp_path / "out/croissant.json").read_text(encoding="utf-8"))
    assert "M1-first_step" in [records["name"] for records in croissant["recordSet"]]
