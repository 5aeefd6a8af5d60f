"""Process reward models of today: tags in chat templates, special tokens as tags, heads read from safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import UserError
from stages.common.params.block import ParamsError, validate
from stages.common.params.judge import JudgeParams
from stages.common.params.prm import PrmParams
from stages.judge import open_judge
from stages.judge.calibration import calibrate_judges
from stages.judge.calibration.labelled_solutions import LabelledSolution, build_tables
from stages.judge.labelling import LabelEvidence
from stages.judge.prm.input_layout import EncodedSteps, InputLayout
from stages.judge.prm.prm_judge import hash_score_params
from stages.judge.prm.scorer import PrmSource, find_source, load_layout
from tests.support.tiny_policy import documents
from tests.support.tiny_prm import ADDED, CHATML, CONTEXT, make_chat_tokenizer, score_directly, write_reward_model
from tests.unit.test_judge_prm import SHEPHERD, TRL

LLAMA = (
    "{{ '<bos>' }}{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "<|user|>\nToday Date: {{ date_string }}\n\n<eos>"
    "{% for m in messages %}<|{{ m['role'] if m['role'] == 'assistant' else 'user' }}|>\n\n"
    "{{ m['content'] | trim }}<eos>{% endfor %}"
)
"""As Llama 3's: white space around contents is removed, two messages of one role may follow each other, a date."""

SYSTEM = r"Please reason step by step, and put your final answer within \boxed{}."

QWEN: dict[str, Any] = {"model": "prm", "layout": "qwen_math_prm", "dtype": "float32"}
"""All that a recipe says of Qwen2.5-Math-PRM, but for the type."""

SKYWORK: dict[str, Any] = {"model": "prm", "layout": "skywork_prm", "dtype": "float32"}

TAGS = {"layout": "step_tag", "correct_token": "+", "incorrect_token": "-"}

RLHFLOW: dict[str, Any] = {"model": "m", **TAGS, "problem": "{problem} ", "separator": "+", "chat": {"steps": "turns"}}

SPARE: dict[str, Any] = {
    "model": "m",
    **TAGS,
    "separator": " ки",
    "step_separator": "\n",
    "chat": {"system": "Solve.", "steps": "user", "before_steps": "Let's think step by step.\n"},
}

CHATS = pytest.mark.parametrize(
    ("own", "template"), [(QWEN, CHATML), (RLHFLOW, LLAMA), (SPARE, LLAMA)], ids=["qwen", "rlhflow", "spare"]
)

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\ue000\ue001"), max_size=12)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("heads")
    for layout in ("qwen_math_prm", "skywork_prm"):
        write_reward_model(root / layout, layout)
    return root


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runtime = {"num_threads": 1, "num_workers": 1, "distributed": None, "device": "cpu"}
    Path("params.yaml").write_text(yaml.safe_dump({"runtime": runtime}), encoding="utf-8")


def lay_out(own: dict[str, Any], template: str = CHATML, max_tokens: int = 10_000) -> tuple[InputLayout, Any]:
    tokenizer = make_chat_tokenizer(template)
    return InputLayout(validate(PrmParams, own, "prm"), tokenizer, max_tokens), tokenizer


def encode(layout: InputLayout, problem: str, steps: list[str]) -> EncodedSteps:
    found = layout.encode(problem, steps)
    assert isinstance(found, EncodedSteps)
    return found


def write_conversation(own: dict[str, Any], problem: str, steps: list[str]) -> list[dict[str, str]]:
    """The messages of the code that the models were published with."""
    if own is QWEN:
        answer = "<extra_0>".join(steps) + "<extra_0>"
        roles = [("system", SYSTEM), ("user", problem), ("assistant", answer)]
    elif own is SPARE:
        answer = "Let's think step by step.\n" + "".join(f"{step} ки\n" for step in steps)
        roles = [("system", "Solve."), ("user", problem), ("user", answer)]
    else:
        texts = [f"{problem} {steps[0]}", *steps[1:]]
        roles = [(role, said) for text in texts for role, said in (("user", text), ("assistant", "+"))]
    return [{"role": role, "content": content} for role, content in roles]


def published_ids(tokenizer: Any, conversation: list[dict[str, str]]) -> list[int]:
    ids: list[int] = tokenizer.apply_chat_template(conversation, date_string="26 Jul 2024", return_dict=False)
    return ids


@CHATS
@given(st.data())
def test_the_ids_of_an_ordinary_completion_are_those_of_the_published_code(
    own: dict[str, Any], template: str, data: Any
) -> None:
    texts = TEXTS.map(lambda text: f"1{text.strip()}1".replace("<", ""))
    problem, steps = data.draw(texts), data.draw(st.lists(texts, min_size=1, max_size=5))
    layout, tokenizer = lay_out(own, template)
    found = encode(layout, problem, steps)
    ids = published_ids(tokenizer, write_conversation(own, problem, steps))
    assert list(found.ids) == ids
    if own is RLHFLOW:
        prefixes = [published_ids(tokenizer, write_conversation(own, problem, steps[:at])) for at in range(1, 9)]
        assert list(found.positions) == [len(prefix) - 3 for prefix in prefixes[: len(steps)]]
    elif own is QWEN:
        tag = tokenizer.convert_tokens_to_ids("<extra_0>")
        assert list(found.positions) == [at for at, token in enumerate(ids) if token == tag]
    else:
        tag = tokenizer.encode(" ки")[-1]
        at_tags = [at for at, token in enumerate(ids) if token == tag]
        assert set(found.positions) <= set(at_tags)
        assert len(found.positions) == len(steps)


@given(st.lists(TEXTS.map(lambda text: f"1{text.strip()}1".replace("<", "").replace("\n", "")), min_size=2, max_size=5))
def test_skyworks_input_is_that_of_the_published_code(texts: list[str]) -> None:
    problem, *steps = texts
    layout, tokenizer = lay_out(SKYWORK)
    ids, at_steps = tokenizer.encode(f"<bos>{problem}\n"), []
    for step in steps:
        ids += [*tokenizer.encode(step), tokenizer.encode("\n")[-1]]
        at_steps.append(len(ids) - 1)
    found = encode(layout, problem, steps)
    assert (list(found.ids), list(found.positions)) == (ids, at_steps)


@CHATS
@given(st.data())
def test_no_text_is_ever_read_as_a_token_of_the_tokenizer(own: dict[str, Any], template: str, data: Any) -> None:
    layout, tokenizer = lay_out(own, template)
    special = tokenizer.added_tokens_encoder
    text = st.lists(TEXTS | st.sampled_from([*special, " ки", "+", "<extra_0><extra_0>", "{step}", "\n"])).map("".join)
    problem, steps = data.draw(text), data.draw(st.lists(text, min_size=1, max_size=4))
    found = encode(layout, problem, steps)
    harmless = encode(layout, "1", ["1"] * len(steps))
    for at in special.values():
        assert found.ids.count(at) == harmless.ids.count(at), "markup and tags alone"
    assert len(found.positions) == len(steps)
    assert list(found.positions) == sorted(set(found.positions))
    bounds = [0, *(position + 1 for position in found.positions)]
    for number, step in enumerate(steps):
        assert step.strip() in tokenizer.decode(found.ids[bounds[number] : bounds[number + 1]])


@given(st.lists(TEXTS | st.sampled_from(["<extra_0>", "<eos>", "<think>", "\n"]), min_size=1, max_size=5))
def test_a_special_token_may_be_the_tag_of_a_plain_text(steps: list[str]) -> None:
    own = {"model": "m", **TAGS, "problem": "{problem}\n", "separator": "<extra_0>", "step_separator": " "}
    layout, tokenizer = lay_out(own)
    found = encode(layout, "Add <extra_0>", steps)
    assert [at for at, token in enumerate(found.ids) if token == layout.tag_id] == list(found.positions)
    assert not set(tokenizer.added_tokens_encoder.values()) & set(found.ids) - {layout.tag_id}
    said = "Add <extra_0>\n" + " ".join(f"{step.strip()}<extra_0>" for step in steps)
    assert tokenizer.decode(found.ids) == said


def test_a_template_that_writes_todays_date_gives_the_same_input_tomorrow() -> None:
    layout, tokenizer = lay_out(SPARE, LLAMA)
    assert "Today Date: 26 Jul 2024" in tokenizer.decode(encode(layout, "Add", ["1"]).ids)


@pytest.mark.parametrize("own", [QWEN, SKYWORK], ids=["qwen", "skywork"])
def test_scores_are_those_of_the_stored_weights(models: Path, own: dict[str, Any]) -> None:
    folder = models / own["layout"]
    params = validate(PrmParams, {**own, "model": str(folder)}, "prm")
    layout = load_layout(params, find_source(params))
    rows = [
        LabelledSolution.from_first_error(f"s{at}", p.strip(), t.splitlines(), None)
        for at, (p, t, _, _) in enumerate(documents(20))
    ]
    rows.append(LabelledSolution.from_first_error("tags", "Say <extra_0>", ["a <extra_0> b", "<|im_end|>", ""], None))
    rows.append(LabelledSolution.from_first_error("long", "Add", ["1 + 1 = 2"] * CONTEXT, None))
    judge = validate(JudgeParams, {"kind": "prm", "prm": {**own, "model": str(folder)}}, "judge")
    tables = build_tables(rows)
    with open_judge(judge, 1, "judge") as opened:
        labels = opened.label(*tables).labels
        recounted = opened.recount(LabelEvidence(*tables, labels, None))
    assert recounted is not None
    columns = ["sample_id", "step", "label", "reason", "agreement", "first_error"]
    assert recounted.select(columns).sort("sample_id", "step").equals(labels.select(columns).sort("sample_id", "step"))
    found = {row.sample_id: labels.filter(pl.col("sample_id") == row.sample_id).sort("step") for row in rows}
    assert found[rows[-1].sample_id]["label"].null_count() == CONTEXT
    known = []
    for row in rows[:-1]:
        encoded = encode(layout, row.problem, row.steps)
        known += score_directly(folder, list(encoded.ids), list(encoded.positions))
        scores = [float(reason.removeprefix("score ")) for reason in found[row.sample_id]["reason"]]
        assert scores == pytest.approx(known[-len(row.steps) :], abs=2e-4)
    assert max(known) - min(known) > 0.5


def test_a_recipe_names_a_published_model_in_two_lines(models: Path) -> None:
    qwen = validate(PrmParams, {"model": "m", "layout": "qwen_math_prm"}, "prm")
    assert qwen.separator == "<extra_0>"
    assert qwen.chat is not None
    assert (qwen.chat.system, qwen.chat.steps) == (SYSTEM, "assistant")
    assert validate(PrmParams, json.loads(qwen.model_dump_json()), "prm") == qwen, "the params in force are complete"
    assert validate(PrmParams, {**QWEN, "separator": "<t>", "chat": {"system": None}}, "prm").separator == "<t>"
    assert validate(PrmParams, SKYWORK, "prm").problem == "{problem}\n"
    lines = []
    for layout in (QWEN, SKYWORK):
        judge = {"kind": "prm", "prm": {**layout, "model": str(models / layout["layout"])}}
        name = f"{layout['layout']}.yaml"
        Path(name).write_text(yaml.safe_dump({"seed": 1, "judge": judge}), encoding="utf-8")
        lines.append(name)
    rows = [
        {"id": f"r{at}", "generator": "g", "problem": prompt, "steps": text.splitlines(), "label": -1}
        for at, (prompt, text, _, _) in enumerate(documents(6))
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    shown = list(calibrate_judges([Path("rows.jsonl")], recipes=[Path(name) for name in lines]))
    table = shown.index("Solutions, in percent [95% interval]") + 2
    assert [line.split()[:2] for line in shown[table : table + 2]] == [[name, "6"] for name in lines]


def test_scores_of_before_keep_their_hash_and_whatever_moves_a_bit_has_another() -> None:
    source = PrmSource("prm", None, "abc")

    def compute_hash(own: dict[str, Any], **changes: Any) -> str:
        return hash_score_params(validate(PrmParams, {**own, **changes}, "prm"), source)

    assert compute_hash(TRL) == "40ec486738cdda979c8c286f76743bd3"
    assert compute_hash(SHEPHERD) == "43d8bff225c80e7518c424be3e709fb1"
    assert compute_hash({"model": "m"}) == "16772816e00568eb8ccd4d6340edcd02"
    assert compute_hash(QWEN, batch_size=3, vllm={"tensor_parallel_size": 2}) == compute_hash(QWEN)
    others = [
        compute_hash(QWEN),
        compute_hash(QWEN, engine="vllm"),
        compute_hash(QWEN, engine="vllm", vllm={"quantization": "fp8"}),
        compute_hash(QWEN, chat=None),
        compute_hash(QWEN, chat={"system": None}),
        compute_hash(QWEN, separator="<x>"),
        compute_hash(SKYWORK),
        compute_hash(SHEPHERD, chat={"steps": "user"}),
    ]
    assert len(set(others)) == len(others)


@pytest.mark.parametrize(
    ("own", "changes", "fault"),
    [
        (TRL, {"chat": {}}, "chat: for the layouts step_tag and qwen_math_prm, found token_classification"),
        (SKYWORK, {"chat": {}}, "chat: for the layouts"),
        (QWEN, {"correct_token": "+"}, "correct_token, incorrect_token: for layout step_tag"),
        (QWEN, {"chat": {"steps": "turns"}}, "chat.steps: turns needs layout step_tag"),
        (RLHFLOW, {"step_separator": "\n"}, "chat.steps: turns needs layout step_tag and an empty step_separator"),
        (SHEPHERD, {"engine": "vllm"}, "engine: vllm runs layout qwen_math_prm only, found step_tag"),
        (QWEN, {"engine": "vllm", "vllm": {"dtype": "float32"}}, "vllm.dtype: the type of the weights is"),
        (QWEN, {"layout": "qwen"}, "layout: "),
        (QWEN, {"layout": ["qwen"]}, "layout: "),
        (QWEN, {"chat": {"role": "user"}}, "chat.role: unknown key"),
    ],
)
def test_params_that_do_not_fit_together(own: dict[str, Any], changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ParamsError, match=rf"prm.*{fault}"):
        validate(PrmParams, {**own, **changes}, "prm")


@pytest.mark.parametrize(
    ("own", "template", "fault"),
    [
        ({**QWEN, "separator": "<extra_1>"}, CHATML, "judge.prm.separator: '<extra_1>' is no special token"),
        (QWEN, CHATML + "{{ raise_exception('no such chat') }}", "judge.prm.chat: prm: chat template: no such chat"),
        (QWEN, "{{ messages[0]['content'] }}", "leaves out, repeats or moves messages of the roles system, user"),
        (QWEN, CHATML + CHATML, "leaves out, repeats or moves messages"),
        (QWEN, "{% for m in messages | reverse %}{{ m['content'] }}{% endfor %}", "leaves out, repeats or moves"),
        (QWEN, CHATML + "{{ strftime_now('%d') }}", "its chat template writes today's date"),
        ({**RLHFLOW, "separator": "+ -"}, LLAMA, r"'\+ -' is not a token of its own"),
        ({**SPARE, "separator": "1"}, LLAMA, "'1' is not a token of its own"),
        ({**QWEN, "chat": {"steps": "user"}}, "", "leaves out, repeats or moves"),
    ],
)
def test_a_tokenizer_that_does_not_fit(own: dict[str, Any], template: str, fault: str) -> None:
    with pytest.raises(UserError, match=fault) as raised:
        lay_out(own, template)
    assert "\n" not in str(raised.value)


def change_weights(folder: Path, change: Any) -> None:
    from safetensors.torch import load_file, save_file

    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors")


def change_config(folder: Path, **changes: Any) -> None:
    state = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**state, **changes}), encoding="utf-8")


def keep_only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("own", "spoil", "fault"),
    [
        (QWEN, lambda f: change_config(f, architectures=["Qwen2ForRewardModel"]), "found Qwen2ForRewardModel"),
        (QWEN, lambda f: change_config(f, model_type="llama"), "needs Qwen2ForProcessRewardModel, found "),
        (SKYWORK, lambda f: change_config(f, model_type="llama"), "skywork_prm needs a Qwen2 model, found "),
        (
            QWEN,
            lambda f: change_weights(f, lambda w: {k: v for k, v in w.items() if not k.startswith("score.2")}),
            "has no weights for qwen_math_prm: score.2.bias, score.2.weight missing",
        ),
        (
            SKYWORK,
            lambda f: change_weights(f, lambda w: {k: v for k, v in w.items() if "v_head" not in k}),
            "has no weights for skywork_prm: v_head.summary.bias, v_head.summary.weight missing",
        ),
        (
            QWEN,
            lambda f: change_weights(f, lambda w: {**w, "score.2.weight": w["score.2.weight"][:1].clone()}),
            r"score.2.weight has the shape \[1, 64\], expected \[2, 64\]",
        ),
        (QWEN, keep_only_pickle, "cannot load .*safetensors"),
        (SKYWORK, keep_only_pickle, "cannot load .*safetensors"),
    ],
)
def test_a_model_that_does_not_fit(tmp_path: Path, own: dict[str, Any], spoil: Any, fault: str) -> None:
    folder = write_reward_model(tmp_path / "model", own["layout"])
    spoil(folder)
    judge = validate(JudgeParams, {"kind": "prm", "prm": {**own, "model": str(folder)}}, "judge")
    rows = [LabelledSolution.from_first_error("s", "Add", ["1"], None)]
    with pytest.raises(UserError, match=fault) as raised, open_judge(judge, 1, "judge") as opened:
        opened.label(*build_tables(rows))
    assert "\n" not in str(raised.value)


def test_added_tokens_of_the_stand_in_are_of_both_kinds() -> None:
    state = json.loads(make_chat_tokenizer().backend_tokenizer.to_str())
    kinds = {token["content"]: token["special"] for token in state["added_tokens"]}
    assert [kinds[token] for token in (*ADDED, "<think>")] == [True, True, True, False]
