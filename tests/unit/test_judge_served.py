"""A language model as judge: replies, votes, tries, and what is kept of them. A fake model says what it is told to."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.engines import EngineError, GenerationRequest, Runner
from stages.common.engines.mock_engine import MockEngine
from stages.common.errors import UserError
from stages.common.params.judge import JudgeParams, LlmJudgeParams
from stages.common.tables import REPLY
from stages.judge import open_judge
from stages.judge.llm.judge_prompts import PROMPT_FOLDER, hash_prompt, render_prompt, render_second_turn
from stages.judge.llm.replies import InvalidReply, StepVote, read_reply, separate_thinking
from stages.judge.llm.reply_form import ReplyForm
from stages.judge.llm.voter import PREFLIGHT_REQUESTS, LlmVoter, identify_llm, identify_llm_judge
from stages.judge.llm.votes import ALL_STEPS, combine_labels, count_votes
from stages.judge.step_labels import CompletionSteps, StepLabel
from tests.support.journals import OTHER_COMPLETIONS, describe_left_aside, rewrite_journal
from tests.support.llm_params import ENGINE, LLM_JUDGE, openai
from tests.support.tiny_policy import write_policy

DATA = Path(__file__).parents[1] / "data"
REPLIES = [json.loads(line) for line in (DATA / "judge_replies.jsonl").read_text(encoding="utf-8").splitlines()]
MODES = ("completion", "step", "critique")
REASONING = ("none", "verdict_first", "before_verdict", "tags", "field", "two_turns")
YES, NO, LOST = StepVote(True, "yes"), StepVote(False, "no"), InvalidReply("it was not JSON", "not JSON")
OPEN = StepVote(None, "after the first error")


@pytest.mark.parametrize("case", REPLIES, ids=lambda case: case["source"])
def test_replies(case: dict[str, Any]) -> None:
    form = ReplyForm(case.get("mode", "completion"), case.get("reasoning", "before_verdict"))
    text, finish = case["text"] * case.get("repeat", 1), case.get("finish_reason", "stop")
    read = read_reply(text, finish, case["steps"], form, case.get("thinking"))
    if "is_correct" in case:
        assert isinstance(read, list), read
        assert [vote.is_correct for vote in read] == case["is_correct"]
        pl.Series([vote.rationale for vote in read]).to_frame().write_json()
    else:
        assert isinstance(read, InvalidReply)
        assert case.get("error", "") in read.error
        assert read.kind == case.get("kind", read.kind)
        assert len(read.error) < 200
    thinking, rest = separate_thinking(text, finish, form, case.get("thinking"))
    assert read_reply(rest, finish, case["steps"], form, thinking) == read, "what is kept is read as what came"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["correct", "incorrect", "verdicts", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["verdicts", "step", "verdict", "rationale", "analysis", "first_error", "other"]), inner
        )
    ),
    max_leaves=12,
)
_FORMS = st.builds(ReplyForm, st.sampled_from(MODES), st.sampled_from(REASONING))
_FINISH = st.sampled_from(["stop", "length", "refusal", "content_filter", "eos", ""])
_PIECES = ["<think>", "</think>", "```json\n", "\n```", "{", "}", '"', "[THINK]", "[/THINK]", "prose", "\n", "\ud800"]


def write_good_reply(form: ReplyForm, num_steps: int) -> str:
    if form.is_critique:
        return json.dumps(form.order_keys({"first_error": num_steps}, "x"))
    numbers = range(1, num_steps + 1)
    return json.dumps({"verdicts": [{"step": n, **form.order_keys({"verdict": "correct"}, "x")} for n in numbers]})


@given(
    st.one_of(st.text(max_size=80), _JSON.map(json.dumps), st.lists(st.sampled_from(_PIECES), max_size=9).map("".join)),
    _FINISH,
    st.integers(1, 3),
    _FORMS,
    st.none() | st.text(max_size=9),
)
def test_a_reply_gives_a_vote_for_each_step_or_an_error(
    text: str, finish: str, steps: int, form: ReplyForm, thinking: str | None
) -> None:
    read = read_reply(text, finish, range(1, steps + 1), form, thinking)
    assert isinstance(read, InvalidReply) or (len(read) == steps and finish == "stop")
    kept = separate_thinking(text, finish, form, thinking)
    assert separate_thinking(kept[1], finish, form, kept[0]) == kept
    assert read_reply(kept[1], finish, range(1, steps + 1), form, kept[0]) == read


@given(
    _FORMS,
    st.integers(1, 3),
    st.sampled_from(["", "<think>1</think>"]),
    st.sampled_from(["{}", "```json\n{}\n```", "```\n{}\n```", " {}\n"]),
    st.lists(st.sampled_from([*_PIECES, "", " "]), max_size=2).map("".join),
    st.lists(st.sampled_from([*_PIECES, "", " "]), max_size=2).map("".join),
)
def test_three_forms_are_accepted_and_no_other(
    form: ReplyForm, steps: int, thinking: str, fence: str, before: str, after: str
) -> None:
    text = thinking + before + fence.replace("{}", write_good_reply(form, steps)) + after
    read = read_reply(text, "stop", range(1, steps + 1), form)
    body = text.rpartition("</think>")[2].rpartition("[/THINK]")[2]
    is_bare = body.strip().removeprefix("```json\n").removeprefix("```\n").removesuffix("\n```")
    is_closed = "<think>" not in body and "[THINK]" not in body
    if isinstance(read, list):
        assert is_bare.strip().startswith("{")
        assert is_bare.strip().endswith("}")
        assert is_closed
    elif not before.strip() and not after.strip() and (thinking or not form.has_thinking):
        raise AssertionError(read.error)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reasoning", REASONING)
def test_the_schema_and_the_prompt_have_the_same_keys(mode: Any, reasoning: Any) -> None:
    form = ReplyForm(mode, reasoning)
    schema, words = form.make_schema([1, 2, 3]), form.describe([1, 2, 3])
    if not form.is_critique:
        verdicts = schema["properties"]["verdicts"]
        assert (verdicts["minItems"], verdicts["maxItems"]) == (3, 3)
        schema = verdicts["items"]
    keys = list(schema["properties"])
    assert keys == schema["required"]
    assert [line.split('"')[1] for line in words.splitlines() if line.startswith('- "')] == keys
    answer = "first_error" if form.is_critique else "verdict"
    text = {"none": [], "verdict_first": ["rationale"]}.get(reasoning, ["analysis"])
    expected = [answer, *text] if reasoning == "verdict_first" else [*text, answer]
    assert keys == ([] if form.is_critique else ["step"]) + expected
    assert all(value["maxLength"] > 0 for key, value in schema["properties"].items() if key in text)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reasoning", REASONING)
def test_no_prompt_holds_what_could_be_copied_as_a_reply(mode: Any, reasoning: Any) -> None:
    form, steps = ReplyForm(mode, reasoning), ["1 + 1 = 2", "2 + 2 = 5"]
    prompt = render_prompt(mode, "What is 2 + 2?", "4", steps, form, [2])
    assert "{" not in prompt + render_second_turn(form, [2])
    assert ('"verdict' in prompt or '"first_error' in prompt) is (reasoning != "two_turns")


@pytest.mark.parametrize(
    ("votes", "label", "agreement"),
    [
        ([YES], True, 1.0),
        ([NO], False, 1.0),
        ([YES, YES, NO], True, 2 / 3),
        ([YES, NO], None, 0.0),
        ([YES, LOST], None, 0.0),
        ([NO, NO, LOST], False, 2 / 3),
        ([LOST, LOST], None, 0.0),
        ([YES, YES, YES, NO, NO], True, 0.6),
        ([YES, YES, NO, NO, LOST], None, 0.0),
        ([OPEN], None, 0.0),
        ([NO, NO, OPEN], False, 2 / 3),
        ([OPEN, OPEN, NO], None, 0.0),
    ],
)
def test_votes(votes: list[StepVote | InvalidReply], label: bool | None, agreement: float) -> None:
    counted = count_votes(votes, 0.6)
    assert (counted.unknown_reason is None) is (label is not None)
    assert (counted.is_correct, counted.agreement) == (label, agreement)
    assert counted.reason


@given(st.lists(st.sampled_from([YES, NO, LOST, OPEN]), min_size=1, max_size=9), st.floats(0.51, 1))
def test_a_label_has_enough_votes_behind_it(votes: list[StepVote | InvalidReply], least: float) -> None:
    label = count_votes(votes, least)
    if label.is_correct is not None:
        behind = sum(isinstance(vote, StepVote) and vote.is_correct is label.is_correct for vote in votes)
        assert behind / len(votes) == label.agreement >= least


def test_two_judges() -> None:
    right, wrong, unknown = StepLabel(True, "a", 1.0), StepLabel(False, "b", 0.8), StepLabel(None, "c", 0.0, "lost")
    assert combine_labels([right, StepLabel(True, "d", 0.7)]) == StepLabel(True, "a", 0.7)
    assert combine_labels([right, wrong]).is_correct is None
    assert "disagree" in combine_labels([right, wrong]).reason
    assert (
        combine_labels([unknown, wrong])
        == combine_labels([wrong, unknown])
        == StepLabel(None, "one judge: c", 0.0, "lost")
    )


def test_what_stands_in_a_solution_is_shown_and_not_run() -> None:
    text = "{{ 7 * 7 }} {% for x in y %} </script> \\frac{1}{2}"
    form = ReplyForm()
    prompt = render_prompt("completion", text, text, [text], form, [1])
    assert prompt.count(text) == 3
    assert "previous reply" not in prompt
    assert "previous reply was invalid: it was cut." in render_prompt("step", "p", "r", ["s"], form, [1], "it was cut")
    assert hash_prompt("completion") != hash_prompt("step")


def settings(**changes: Any) -> LlmJudgeParams:
    return LlmJudgeParams.model_validate({**LLM_JUDGE, **changes})


def cases(count: int = 2, steps: tuple[str, ...] = ("1 + 1 = 2", "2 + 2 = 5")) -> list[CompletionSteps]:
    return [CompletionSteps(f"sample{n}", f"problem{n % 2}", f"What is {n}?", "It is.", steps) for n in range(count)]


def good_reply(request: GenerationRequest) -> str:
    """Calls a step wrong when it says 5."""
    assert request.schema is not None
    verdicts = request.schema["properties"]["verdicts"]
    numbers = verdicts["items"]["properties"]["step"]
    prompt = request.prompt[0]["content"]  # type: ignore[index]
    steps = prompt.split("[Step ")[1:]
    entries = []
    for number in range(numbers["minimum"], numbers["maximum"] + 1):
        wrong = "= 5" in steps[number - 1]
        entries.append({"step": number, "analysis": f"step {number}", "verdict": "incorrect" if wrong else "correct"})
    return json.dumps({"verdicts": entries})


def ask(
    folder: Path,
    params: LlmJudgeParams,
    asked: Iterable[CompletionSteps],
    reply: Callable[[GenerationRequest], Any] = good_reply,
    votes: int = 1,
    **engine: Any,
) -> tuple[dict[str, list[list[Any]]], pl.DataFrame]:
    with Runner(MockEngine(8, reply=reply, **engine), folder / "judge.jsonl", "judge") as runner:
        said = LlmVoter(params, votes, 1, runner).collect_votes(list(asked))
    assert said.invalid_replies.total() == sum(row["error"] is not None for row in said.replies)
    return said.votes, REPLY.check(pl.DataFrame(said.replies, schema=REPLY.schema))


@pytest.mark.parametrize("mode", ["completion", "step"])
def test_every_step_gets_its_votes(tmp_path: Path, mode: str) -> None:
    found, replies = ask(tmp_path, settings(mode=mode), cases(), votes=3)
    assert {sample: [[vote.is_correct for vote in step] for step in steps] for sample, steps in found.items()} == {
        f"sample{n}": [[True] * 3, [False] * 3] for n in range(2)
    }
    assert replies.height == (6 if mode == "completion" else 12)
    assert set(replies["step"]) == ({ALL_STEPS} if mode == "completion" else {0, 1})
    assert replies["request_hash"].n_unique() == replies.height, "votes differ in their seeds"


def test_a_reply_of_no_use_is_asked_for_again_and_kept(tmp_path: Path) -> None:
    def second_time(request: GenerationRequest) -> str:
        again = "previous reply was invalid: it was not JSON" in request.prompt[0]["content"]  # type: ignore[index]
        return good_reply(request) if again else "Well, all steps look fine."

    def first_few(request: GenerationRequest) -> str:
        return good_reply(request) if "What is 0?" not in str(request.prompt) else second_time(request)

    found, replies = ask(tmp_path, settings(), cases(), first_few)
    assert [[vote.is_correct for vote in step] for step in found["sample0"]] == [[True], [False]]
    kept = replies.filter(pl.col("sample_id") == "sample0").sort("attempt")
    assert kept["text"].to_list()[0] == "Well, all steps look fine."
    assert kept["error"].to_list() == ["it was not JSON", None]
    assert replies.filter(pl.col("sample_id") == "sample1").height == 1


def test_tries_are_bounded(tmp_path: Path) -> None:
    def never(request: GenerationRequest) -> str:
        return "no" if "What is 0?" in str(request.prompt) else good_reply(request)

    found, replies = ask(tmp_path, settings(max_attempts=2), cases(9), never)
    assert replies.filter(pl.col("sample_id") == "sample0").height == 2
    assert found["sample0"] == [[LOST], [LOST]]
    assert count_votes(found["sample0"][0], 0.6).is_correct is None


def test_answers_are_not_asked_for_twice(tmp_path: Path) -> None:
    counted: list[str] = []

    def count(request: GenerationRequest) -> str:
        counted.append(request.key)
        return good_reply(request)

    first = ask(tmp_path, settings(), cases(20), count)
    second = ask(tmp_path, settings(), cases(21), count)
    assert len(counted) == len(set(counted)) == 21
    assert second[1].filter(pl.col("sample_id") != "sample20").equals(first[1])


def test_useless_replies_stop_before_the_rest_is_asked(tmp_path: Path) -> None:
    counted: list[str] = []

    def useless(request: GenerationRequest) -> str:
        counted.append(request.key)
        return "I like maths."

    with pytest.raises(EngineError, match="not JSON"):
        ask(tmp_path, settings(), cases(100), useless)
    assert len(counted) == PREFLIGHT_REQUESTS


def test_the_message_shows_what_came_and_where_all_of_it_lies(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as stopped:
        ask(tmp_path, settings(), cases(9), lambda _: "I like\x1b[31m maths. " + "x" * 500)
    message = str(stopped.value)
    assert "it was not JSON; it begins: I like\\x1b[31m maths. xxx" in message
    assert "x" * 200 not in message
    assert str(tmp_path / "judge.jsonl") in message


@pytest.mark.parametrize("reasoning", ["tags", "field"])
def test_a_model_that_does_not_think_as_the_recipe_says_stops_with_the_cure(tmp_path: Path, reasoning: str) -> None:
    with pytest.raises(EngineError, match=r"no thinking came before the verdicts \(judge\.llm\.reasoning says"):
        ask(tmp_path, settings(reasoning=reasoning), cases(9), lambda _: write_good_reply(ReplyForm(), 2))


def test_thinking_is_free_and_limited(tmp_path: Path) -> None:
    seen: dict[str, list[GenerationRequest]] = {}
    for reasoning in REASONING:

        def reply(request: GenerationRequest, reasoning: str = reasoning) -> str:
            seen.setdefault(reasoning, []).append(request)
            return "no"

        with contextlib.suppress(EngineError):
            ask(tmp_path / reasoning, settings(reasoning=reasoning, reasoning_tokens=900), cases(1), reply)
    limits = {reasoning: requests[0].max_tokens for reasoning, requests in seen.items()}
    assert limits == dict.fromkeys(REASONING, 100) | {"tags": 1000, "field": 1000, "two_turns": 900}
    assert [reasoning for reasoning in REASONING if seen[reasoning][0].schema is None] == ["tags", "two_turns"]
    assert [reasoning for reasoning in REASONING if seen[reasoning][0].schema_after_reasoning] == ["field"]


def test_a_vote_of_two_turns_is_one_conversation(tmp_path: Path) -> None:
    seen: list[GenerationRequest] = []

    def reply(request: GenerationRequest) -> Any:
        seen.append(request)
        if len(request.prompt) == 1:
            return ("Apart.", "Step 1 holds. Step 2 does not.")
        again = "it was not JSON" in request.prompt[2]["content"]  # type: ignore[index]
        return good_reply(request) if again or "What is 0?" not in str(request.prompt) else "As I said."

    found, replies = ask(tmp_path, settings(reasoning="two_turns", max_tokens=50), cases(20), reply)
    assert [[vote.is_correct for vote in step] for step in found["sample0"]] == [[True], [False]]
    retried = sum("What is 0?" in str(request.prompt) for request in seen)
    assert (len(seen), retried) == (42, 4), "an attempt repeats both turns"
    first, second = (next(r for r in seen if len(r.prompt) == length) for length in (1, 3))
    assert "previous reply" not in str(first.prompt)
    thoughts = "<think>\nApart.\n</think>\n\nStep 1 holds. Step 2 does not."
    assert second.prompt[1] == {"role": "assistant", "content": thoughts}  # type: ignore[index]
    assert second.schema is not None
    assert set(replies["reasoning"]) == {thoughts}
    assert seen[0].max_tokens == 8192
    assert second.max_tokens == 50
    assert [len(request.prompt) for request in seen[: 2 * PREFLIGHT_REQUESTS]] == [1] * 8 + [3] * 8, "the pre-flight"


def test_a_second_turn_that_is_cut_is_no_cut_thinking(tmp_path: Path) -> None:
    class Cut(MockEngine):
        def _respond(self, request: GenerationRequest) -> Any:
            response = super()._respond(request)
            is_cut = "What is 0?" in str(request.prompt) and len(request.prompt) == 3
            return replace(response, text='{"verd', finish_reason="length") if is_cut else response  # type: ignore[type-var]

    engine = Cut(8, reply=lambda r: "Step 1 holds." if len(r.prompt) == 1 else good_reply(r))
    with Runner(engine, tmp_path / "judge.jsonl", "judge") as runner:
        collected = LlmVoter(settings(reasoning="two_turns"), 1, 1, runner).collect_votes(cases(9))
    assert collected.invalid_replies == {"cut by length": 3}
    kept = [row for row in collected.replies if row["sample_id"] == "sample0"]
    assert {(row["text"], row["reasoning"]) for row in kept} == {('{"verd', "Step 1 holds.")}


def test_a_first_turn_that_is_cut_gets_no_second(tmp_path: Path) -> None:
    seen: list[GenerationRequest] = []

    class Cut(MockEngine):
        def _respond(self, request: GenerationRequest) -> Any:
            seen.append(request)
            response = super()._respond(request)
            is_cut = "What is 0?" in str(request.prompt) and len(request.prompt) == 1
            return replace(response, finish_reason="length") if is_cut else response  # type: ignore[type-var]

    engine = Cut(8, reply=lambda r: "Step 1 holds." if len(r.prompt) == 1 else good_reply(r))
    with Runner(engine, tmp_path / "judge.jsonl", "judge") as runner:
        said = LlmVoter(settings(reasoning="two_turns"), 1, 1, runner).collect_votes(cases(9))
    assert said.invalid_replies == {"thinking cut": 3}
    assert sum(len(request.prompt) == 3 for request in seen) == 8
    [[vote], _] = said.votes["sample0"]
    assert isinstance(vote, InvalidReply)
    kept = [row for row in said.replies if row["sample_id"] == "sample0"]
    assert {(row["text"], row["reasoning"], row["finish_reason"]) for row in kept} == {("", "Step 1 holds.", "length")}
    assert any("think more briefly" in str(request.prompt) for request in seen)


def test_what_is_too_long_is_unknown_and_sent_nowhere(tmp_path: Path) -> None:
    found, replies = ask(tmp_path, settings(max_chars=50), [*cases(1), *cases(1, ("x" * 60,))][1:])
    assert replies.is_empty()
    [[vote]] = found["sample0"]
    assert isinstance(vote, InvalidReply)
    assert "characters" in vote.error


def test_a_sample_without_steps_costs_nothing(tmp_path: Path) -> None:
    found, replies = ask(tmp_path, settings(), cases(1, ()))
    assert (found, replies.height) == ({"sample0": []}, 0)


def test_another_prompt_or_model_is_another_judge_and_another_engine_is_not() -> None:
    base = identify_llm_judge(settings())
    assert identify_llm_judge(settings(model="n")) != base
    assert identify_llm_judge(settings(mode="step")) != base
    assert identify_llm_judge(settings(temperature=1.0)) != base
    assert identify_llm_judge(settings(prompt="step")) != base
    assert len({identify_llm_judge(settings(reasoning=reasoning)) for reasoning in REASONING}) == len(REASONING)
    assert identify_llm_judge(settings(reasoning_tokens=9)) == base, "no thinking is limited"
    assert identify_llm_judge(settings(reasoning="tags", reasoning_tokens=9)) != identify_llm_judge(
        settings(reasoning="tags")
    )
    assert identify_llm_judge(settings(mock={"error_rate": 0.5, "invalid_rate": 0.0})) != base
    assert identify_llm_judge(settings(engine={**ENGINE, "concurrency": 9, "prices": None})) == base
    real = settings(engine=openai(), mock=None)
    assert identify_llm_judge(
        settings(engine=openai(served_model_name="n", concurrency=9), mock=None)
    ) == identify_llm_judge(real)
    assert identify_llm(real) != identify_llm(settings()), "what a fake says is never taken for the model's word"


def test_a_prompt_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UserError, match="no template brief; expected one of completion, critique, step"):
        identify_llm_judge(settings(prompt="brief"))


def test_the_prompts_are_shown_as_they_are() -> None:
    shown = Path("docs/judge.md").read_text(encoding="utf-8")
    files = sorted(PROMPT_FOLDER.glob("*.jinja"))
    assert files
    for file in files:
        assert f"`{file.name}`:\n\n```jinja\n{file.read_text(encoding='utf-8').rstrip()}\n```\n" in shown, file.name


@pytest.mark.slow
def test_a_judge_runs_on_transformers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_policy(tmp_path / "model")
    Path("params.yaml").write_text("runtime: {device: cpu}\n", encoding="utf-8")
    engine = {"kind": "transformers"}
    params = settings(engine=engine, mock=None, model=str(tmp_path / "model"), max_tokens=4, temperature=1.0)
    judge = JudgeParams(kind="llm", llm=params)
    with open_judge(judge, 1, "judge") as opened, pytest.raises(EngineError, match="replies are unusable"):
        opened.label_steps(cases(8))
    (journal,) = (tmp_path / "work/journal/judge").iterdir()
    assert len(journal.read_bytes().splitlines()) > 0


@pytest.mark.parametrize("change", OTHER_COMPLETIONS.values(), ids=OTHER_COMPLETIONS)
def test_replies_of_another_form_are_asked_for_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Any
) -> None:
    votes, replies = ask(tmp_path, settings(), cases(), votes=2)
    count = rewrite_journal(tmp_path / "judge.jsonl", change)
    again, same = ask(tmp_path, settings(), cases(), votes=2)
    assert (again, same.to_dicts()) == (votes, replies.to_dicts())
    assert describe_left_aside(count) in caplog.text
