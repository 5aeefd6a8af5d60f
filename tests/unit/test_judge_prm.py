"""The process reward model: scores as in a direct pass, batches, kills, solutions that do not fit, thresholds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages.common.journal import ROOT
from stages.common.params.block import ParamsError, validate
from stages.common.params.judge import JudgeParams, PrmParams
from stages.common.tables import LABEL, PROBLEM, SAMPLE, STEP, read_table, write_table
from stages.evaluate.evaluation_params import name_judge
from stages.judge import Labels, judge_samples, open_judge
from stages.judge.calibration import calibrate_judges
from stages.judge.calibration.labelled_solutions import LabelledSolution, build_tables
from stages.judge.prm import label_score
from stages.judge.prm.input_layout import EncodedSteps, InputLayout
from tests.support.journals import describe_left_aside, read_journal, rewrite_journal
from tests.support.llm_params import JUDGE
from tests.support.tiny_policy import byte_level_bpe, documents

TRL: dict[str, Any] = {
    "model": "prm",
    "revision": None,
    "layout": "token_classification",
    "problem": "{problem}",
    "step": "{step}",
    "separator": "\n",
    "step_separator": "",
    "correct_token": None,
    "incorrect_token": None,
    "correct_threshold": 0.6,
    "incorrect_threshold": 0.4,
    "max_tokens": None,
    "dtype": "float32",
    "batch_size": 4,
}

SHEPHERD: dict[str, Any] = {
    **TRL,
    "layout": "step_tag",
    "problem": "{problem} ",
    "step": "Step {number}: {step}",
    "separator": " ки",
    "step_separator": "\n",
    "correct_token": "Ġ+",
    "incorrect_token": "Ġ-",
}

LAYOUTS = pytest.mark.parametrize("own", [TRL, SHEPHERD], ids=["token_classification", "step_tag"])

CONTEXT = 192
"""Tokens that the models read."""


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    said = [f"{prompt} Step 1: {text} ки\nStep 2: 1 - 1 = 0 ки" for prompt, text, _, _ in documents()]
    return byte_level_bpe(said, 400, bos=True)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A folder with a random model of each layout."""
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForTokenClassification

    tokenizer.bos_token = "<bos>"
    root = tmp_path_factory.mktemp("prm")
    for name, kind in (("token_classification", LlamaForTokenClassification), ("step_tag", LlamaForCausalLM)):
        torch.manual_seed(1)
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=name == "step_tag",
            initializer_range=0.5,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=2,
            num_labels=2,
        )
        kind(config).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return root


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runtime = {"num_threads": 1, "num_workers": 1, "distributed": None, "device": "cpu"}
    Path("params.yaml").write_text(yaml.safe_dump({"runtime": runtime}), encoding="utf-8")


def solutions(count: int = 24) -> list[LabelledSolution]:
    return [
        LabelledSolution.from_first_error(f"s{at}", prompt.strip(), text.splitlines(), None)
        for at, (prompt, text, _, _) in enumerate(documents(count, seed=5))
    ]


def settings(models: Path, own: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**JUDGE, "kind": "prm", "llm": None, "prm": {**own, "model": str(models / own["layout"]), **changes}}


def judge(models: Path, own: dict[str, Any], asked: list[LabelledSolution], **changes: Any) -> tuple[Labels, str]:
    """The labels, and the judge's identity."""
    with open_judge(validate(JudgeParams, settings(models, own, **changes), "judge"), 1, "judge") as opened:
        return opened.label(*build_tables(asked)), opened.identity


def reasons(labels: Labels, solution: LabelledSolution) -> list[str]:
    own = labels.labels.filter(pl.col("sample_id") == solution.sample_id).sort("step")
    return own["reason"].to_list()


def direct_scores(models: Path, own: dict[str, Any], tokenizer: Any, solution: LabelledSolution) -> list[float]:
    """Scores as the layouts' authors compute them, one solution at a time."""
    from transformers import AutoModelForCausalLM, AutoModelForTokenClassification

    folder = models / own["layout"]
    if own["layout"] == "token_classification":
        ids, ends = [tokenizer.bos_token_id, *tokenizer.encode(solution.problem, add_special_tokens=False)], []
        for step in solution.steps:
            ids += tokenizer.encode(step, add_special_tokens=False) + tokenizer.encode("\n", add_special_tokens=False)
            ends.append(len(ids) - 1)
        logits = AutoModelForTokenClassification.from_pretrained(folder)(torch.tensor([ids])).logits[0]
        return [logits[end].softmax(-1)[1].item() for end in ends]
    steps = "\n".join(f"Step {number}: {step} ки" for number, step in enumerate(solution.steps, 1))
    ids = torch.tensor([tokenizer.encode(f"{solution.problem} {steps}")])
    good, bad = tokenizer.encode(" + -", add_special_tokens=False)
    logits = AutoModelForCausalLM.from_pretrained(folder)(ids).logits[0][:, [good, bad]]
    at_tags = ids[0] == tokenizer.encode(" ки")[-1]
    return [score.item() for score in logits.softmax(-1)[:, 0][at_tags]]


@LAYOUTS
def test_scores_are_those_of_a_pass_over_each_solution_alone(models: Path, own: dict[str, Any], tokenizer: Any) -> None:
    asked = solutions()
    labels, identity = judge(models, own, asked)
    LABEL.check(labels.labels)
    assert set(labels.labels["judge"]) == {identity}
    assert set(labels.labels["label"]) == {True, False, None}
    for solution in asked:
        written = [float(reason.removeprefix("score ")) for reason in reasons(labels, solution)]
        assert written == pytest.approx(direct_scores(models, own, tokenizer, solution), abs=2e-4)
    known = labels.labels.with_columns(score=pl.col("reason").str.strip_prefix("score ").cast(pl.Float64))
    expected = pl.when(pl.col("score") >= 0.6).then(True).when(pl.col("score") < 0.4).then(False)
    assert known.select(due=expected)["due"].to_list() == known["label"].to_list()
    assert labels.unknown_reasons == {"score between the thresholds": known["label"].null_count()}


@LAYOUTS
def test_the_size_of_batches_changes_no_label_and_repeats_nothing_of_the_judge(
    models: Path, own: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for batch in (1, 3, 64):
        monkeypatch.setattr("stages.judge.prm.prm_judge.ROOT", Path(f"journal-{batch}"))
        found.append(judge(models, own, solutions(), batch_size=batch))
    for labels, identity in found[1:]:
        assert identity == found[0][1]
        assert labels.labels["label"].to_list() == found[0][0].labels["label"].to_list()


def test_padding_reaches_no_score_of_a_model_that_reads_both_ways(tmp_path: Path, tokenizer: Any) -> None:
    from transformers import BertConfig, BertForTokenClassification

    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=CONTEXT, initializer_range=0.5, num_labels=2, **sizes
    )
    folder = tmp_path / "token_classification"
    BertForTokenClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    scores = []
    for batch in (1, 64):
        shutil.rmtree(ROOT, ignore_errors=True)
        labels, _ = judge(tmp_path, TRL, solutions(), batch_size=batch)
        scores.append(labels.labels["reason"].str.strip_prefix("score ").cast(pl.Float64))
    assert scores[0].to_list() == pytest.approx(scores[1].to_list(), abs=2e-4)
    assert scores[0].n_unique() > 20


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_thresholds(score: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    label = label_score(score, PrmParams(model="prm", correct_threshold=high, incorrect_threshold=low))
    assert (label.is_correct is True) is (score >= high)
    assert (label.is_correct is False) is (score < low)
    assert (label.unknown_reason is None) is (label.is_correct is not None) is (label.agreement == 1.0)
    assert label.reason == f"score {score:.4f}"


@LAYOUTS
def test_a_solution_too_long_is_unknown_and_nothing_of_it_is_scored(models: Path, own: dict[str, Any]) -> None:
    short, long = solutions(1)[0], LabelledSolution.from_first_error("long", "Add", ["1 + 1 = 2"] * 2 * CONTEXT, None)
    labels, _ = judge(models, own, [short, long])
    (reason,) = set(reasons(labels, long))
    assert reason.endswith(f"tokens, over the limit of {CONTEXT}")
    assert labels.unknown_reasons["too long for the model"] == 2 * CONTEXT
    assert all(each.startswith("score ") for each in reasons(labels, short))
    length = int(reason.split()[0])
    assert length > CONTEXT
    tight, _ = judge(models, own, [short], max_tokens=8)
    assert {each.split(" tokens, ")[1] for each in reasons(tight, short)} == {"over the limit of 8"}


@LAYOUTS
def test_texts_are_no_special_tokens_and_the_limit_is_met_exactly(
    models: Path, own: dict[str, Any], tokenizer: Any
) -> None:
    params = validate(PrmParams, {**own, "model": str(models)}, "prm")
    problem, steps = "Say <eos> {step}", ["<|user|> ки <bos>", "{number} <pad>", ""]
    found = InputLayout(params, tokenizer, 10_000).encode(problem, steps)
    assert isinstance(found, EncodedSteps)
    special = set(tokenizer.all_special_ids) | set(tokenizer.get_added_vocab().values())
    assert found.ids[0] == tokenizer.bos_token_id
    assert not special & set(found.ids[1:])
    said = tokenizer.decode(found.ids[1:])
    assert all(text in said for text in (problem, *steps))
    if own is TRL:
        assert said == f"{problem}{steps[0]}\n{steps[1]}\n\n"
    else:
        assert said == f"{problem} Step 1: {steps[0]} ки\nStep 2: {steps[1]} ки\nStep 3:  ки"
    assert len(found.positions) == len(steps)
    assert found.positions[-1] == len(found.ids) - 1
    assert InputLayout(params, tokenizer, len(found.ids)).encode(problem, steps) == found
    assert not isinstance(InputLayout(params, tokenizer, len(found.ids) - 1).encode(problem, steps), EncodedSteps)


def test_a_vocabulary_with_marked_spaces_finds_what_math_shepherds_own_code_finds() -> None:
    from tokenizers import Tokenizer, normalizers, processors
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    letters = sorted(set("Add 1 and 2.Step 1: 1 + 2 = 3 2 - 1\nки▁") - {" "})
    pieces = ["<s>", "<unk>", *letters, "ки", "▁+", "▁-"]
    merges = [("к", "и"), ("▁", "+"), ("▁", "-")]
    made = Tokenizer(BPE({piece: at for at, piece in enumerate(pieces)}, merges, unk_token="<unk>"))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", unk_token="<unk>")

    own = {
        **SHEPHERD,
        "step": "Step {number}: {step} ",
        "separator": "ки",
        "correct_token": "▁+",
        "incorrect_token": "▁-",
    }
    layout = InputLayout(validate(PrmParams, own, "prm"), tokenizer, 10_000)
    assert layout.candidates == tuple(tokenizer.encode("+ -")[1:])
    found = layout.encode("Add 1 and 2.", ["1 + 2 = 3\n", "2 - 1"])
    assert isinstance(found, EncodedSteps)
    ids = tokenizer.encode("Add 1 and 2. Step 1: 1 + 2 = 3 ки\nStep 2: 2 - 1 ки")
    assert list(found.ids) == ids
    tag = tokenizer.encode("ки")[-1]
    assert list(found.positions) == [at for at, token in enumerate(ids) if token == tag]
    held = layout.encode("Add 1 and 2.", ["ки", "1 ки 2"])
    assert isinstance(held, EncodedSteps)
    assert len(held.positions) == 2 < held.ids.count(tag)


@LAYOUTS
@given(st.data())
def test_each_step_is_scored_at_the_end_of_what_follows_it(own: dict[str, Any], tokenizer: Any, data: Any) -> None:
    text = st.text(st.characters(codec="utf-8") | st.sampled_from(" \nки<>eos"), max_size=12)
    params = validate(PrmParams, own, "prm")
    problem, steps = data.draw(text), data.draw(st.lists(text, min_size=1, max_size=5))
    found = InputLayout(params, tokenizer, 10_000).encode(problem, steps)
    assert isinstance(found, EncodedSteps)
    assert len(found.positions) == len(steps)
    for number, end in enumerate(found.positions, 1):
        texts = [params.format_step(at, step.strip()) for at, step in enumerate(steps[:number], 1)]
        said = params.format_problem(problem) + "".join(each + params.separator for each in texts)
        assert tokenizer.decode(found.ids[1 : end + 1]) == said


def test_identity_tells_model_layout_and_thresholds_but_not_batches(models: Path) -> None:
    asked = solutions(2)
    first = judge(models, TRL, asked)[1]
    assert judge(models, TRL, asked, batch_size=7)[1] == first
    others = [
        judge(models, SHEPHERD, asked)[1],
        judge(models, TRL, asked, correct_threshold=0.61)[1],
        judge(models, TRL, asked, incorrect_threshold=0.1)[1],
        judge(models, TRL, asked, step="{number}. {step}")[1],
        judge(models, TRL, asked, dtype="bfloat16")[1],
    ]
    assert len({first, *others}) == 6
    folder = models / TRL["layout"]
    (folder / "note.txt").write_text("another", encoding="utf-8")
    try:
        assert judge(models, TRL, asked)[1] != first
    finally:
        (folder / "note.txt").unlink()


def test_other_thresholds_score_nothing_again(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = solutions()
    labels, _ = judge(models, TRL, asked)
    monkeypatch.delattr("stages.judge.prm.prm_judge.TransformersScorer")
    strict, _ = judge(models, TRL, asked, correct_threshold=0.9, incorrect_threshold=0.9)
    assert strict.labels["reason"].to_list() == labels.labels["reason"].to_list()
    assert strict.labels["label"].null_count() == 0


KILLED = """
import os, signal, sys
from stages.judge.prm.scorer import TransformersScorer as Scorer
from stages.common.console import run_stage
from stages.judge.__main__ import label
left, score = int(sys.argv.pop(1)), Scorer.score
def scored(self, batch):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return score(self, batch)
Scorer.score = scored
run_stage(label)
"""


@pytest.mark.slow
@LAYOUTS
def test_a_killed_stage_goes_on_where_it_was(
    models: Path, own: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    judge_params = {**settings(models, own), "checks": {"num_completions": 0}}
    recipe = {"seed": 1, "tables": {"shard_digits": 0}, "judge": judge_params}
    recipe |= yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    outs = []
    for name, kills in (("whole", []), ("killed", [2, 1])):
        place = tmp_path / name
        place.mkdir()
        (place / "params.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        for folder, kind, table in zip(
            ("problems", "samples", "steps"), (PROBLEM, SAMPLE, STEP), build_tables(solutions()), strict=True
        ):
            write_table(place / folder, kind, table, 0)
        folders = [f"--{each}={each}" for each in ("problems", "samples", "steps", "out")]
        arguments = ["--recipe=params.yaml", "--report=report.json", *folders]
        environment = {**os.environ, "PYTHONPATH": str(request.config.rootpath)}
        for batches in kills:
            command = [sys.executable, "-c", KILLED, str(batches), *arguments]
            ended = subprocess.run(command, cwd=place, env=environment, check=False)
            assert ended.returncode == -signal.SIGKILL
            assert not (place / "out").exists()
        assert stored_batches(place) == sum(kills)
        subprocess.run([sys.executable, "-m", "stages.judge", *arguments], cwd=place, env=environment, check=True)
        assert stored_batches(place) == 6, "24 solutions, 4 at a time, none twice"
        outs.append({path.relative_to(place): path.read_bytes() for path in sorted((place / "out").rglob("*.parquet"))})
        report = json.loads((place / "report.json").read_text(encoding="utf-8"))
        assert report["judge"] == "prm"
        assert report["steps"] == read_table(place / "out", LABEL, 0).height
    assert outs[0] == outs[1]


def stored_batches(place: Path) -> int:
    return sum(len(path.read_bytes().splitlines()) for path in place.glob("work/journal/judge/prm-*"))


def test_an_evaluation_names_the_model_that_judges(models: Path) -> None:
    params = validate(JudgeParams, settings(models, TRL), "judge")
    assert name_judge(params) == str(models / "token_classification")
    asked = build_tables(solutions(3))
    costs: dict[str, Any] = {}
    judged = judge_samples(*asked, params, 1, "evaluate", costs).labels
    assert judged["reason"].str.starts_with("score ").all()
    assert costs == {}


def test_calibrate_takes_it_by_recipe(models: Path) -> None:
    rows = [
        {"id": each.key, "generator": "g", "problem": each.problem, "steps": each.steps, "label": -1}
        for each in solutions(6)
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = {"seed": 1, "judge": settings(models, TRL, correct_threshold=0.0, incorrect_threshold=0.0)}
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    lines = calibrate_judges([Path("rows.jsonl")], recipes=[Path("recipe.yaml")])
    line = next(line for line in lines if line.startswith("recipe.yaml"))
    assert line.split()[1:] == ["6", "-", "-", "100.0", "[100.0,", "100.0]", "-", "-", "0.0", "-", "-"]


@pytest.mark.parametrize(
    ("own", "changes", "fault"),
    [
        (TRL, {"revision": "main"}, "revision"),
        (TRL, {"correct_token": "+"}, "correct_token, incorrect_token: for layout step_tag"),
        (SHEPHERD, {"incorrect_token": None}, "correct_token, incorrect_token: layout step_tag needs two"),
        (SHEPHERD, {"incorrect_token": "Ġ+"}, "correct_token, incorrect_token: layout step_tag needs two"),
        (TRL, {"incorrect_threshold": 0.7}, "incorrect_threshold: above correct_threshold"),
        (TRL, {"step": "{number}"}, r"step: expected \{step\} once"),
        (TRL, {"problem": ""}, r"problem: expected \{problem\} once"),
        (TRL, {"correct_threshold": 1.5}, "correct_threshold"),
    ],
)
def test_settings_that_do_not_fit_together(own: dict[str, Any], changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ParamsError, match=rf"prm.*{fault}"):
        validate(PrmParams, {**own, **changes}, "prm")


def test_the_kind_needs_its_block_and_has_one_vote(models: Path) -> None:
    with pytest.raises(ParamsError, match="prm: null"):
        validate(JudgeParams, {**settings(models, TRL), "prm": None}, "judge")
    with pytest.raises(ParamsError, match="num_votes: a process reward model"):
        validate(JudgeParams, {**settings(models, TRL), "num_votes": 3}, "judge")


@pytest.mark.parametrize(
    ("own", "changes", "fault"),
    [
        (SHEPHERD, {"correct_token": "+ +"}, r"judge\.prm\.correct_token: '\+ \+' is not in the model's vocabulary"),
        (SHEPHERD, {"separator": "ки", "step": "{step} "}, r"judge\.prm\.separator: 'ки' is not a token of its own"),
        (TRL, {"model": "nowhere"}, r"judge\.prm\.model: nowhere: no folder"),
        (TRL, {"revision": 40 * "a"}, r"judge\.prm\.revision: .* is a folder"),
    ],
)
def test_what_the_model_does_not_have(models: Path, own: dict[str, Any], changes: dict[str, Any], fault: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=fault):
        judge(models, own, solutions(1), **changes)


def test_a_model_without_a_head_for_the_layout_or_without_safetensors(models: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no weights for token_classification: score"):
        judge(models, TRL, solutions(1), model=str(models / "step_tag"))
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in (models / "step_tag").iterdir():
        if path.suffix == ".safetensors":
            torch.save({}, bare / "pytorch_model.bin")
        else:
            (bare / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match=r"cannot load .*bare: .*safetensors"):
        judge(models, SHEPHERD, solutions(1), model=str(bare))
    assert not any(path.read_bytes() for path in (ROOT / "judge").iterdir()), "nothing was scored"


@pytest.mark.parametrize(
    "change",
    [
        lambda scores: scores[1:],
        lambda scores: {"scores": scores},
        lambda scores: list(map(str, scores)),
        lambda _: 0.5,
    ],
    ids=["a step less", "an object", "texts", "a number"],
)
def test_scores_of_another_form_are_made_again(models: Path, caplog: pytest.LogCaptureFixture, change: Any) -> None:
    labels, _ = judge(models, TRL, solutions(3))
    (path,) = (ROOT / "judge").glob("prm-*")
    scores = read_journal(path)
    count = rewrite_journal(path, change)
    assert judge(models, TRL, solutions(3))[0].labels.equals(labels.labels)
    assert read_journal(path) == scores
    assert describe_left_aside(count) in caplog.text
