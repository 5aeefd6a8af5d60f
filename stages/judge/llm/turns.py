"""The turns of one attempt at a vote: its requests, and what their responses give."""

from dataclasses import dataclass, replace
from typing import Any

from stages.common.engines import Completion, GenerationRequest, Response, find_engine_kind
from stages.common.params.judge import LlmJudgeParams
from stages.common.thinking import join_thinking
from stages.judge.llm.judge_prompts import render_prompt, render_second_turn
from stages.judge.llm.replies import THINKING_CUT, InvalidReply, StepVote, read_reply, separate_thinking
from stages.judge.llm.reply_form import ReplyForm
from stages.judge.llm.votes import VoteRequest


@dataclass(frozen=True)
class Turn:
    """A request with its response, read."""

    request: GenerationRequest
    response: Response
    text: str | None
    """The reply without thinking, empty where there is none; None without a response."""
    reasoning: str | None
    """Thinking before the reply; in a second turn that of the first one, too."""
    read: list[StepVote] | InvalidReply | None
    """None for a first turn that a second one is to follow."""
    first: Response | None = None
    """The first turn's response, in a second turn."""

    def count_tokens(self, name: str) -> int | None:
        """Tokens (`prompt_tokens` or `completion_tokens`) of the turns that were completed, None if not reported."""
        counts = [getattr(each, name) for each in (self.first, self.response) if isinstance(each, Completion)]
        return None if None in counts or not counts else sum(counts)

    def follow(self, second: "Turn") -> "Turn":
        """`second`, with this one before it."""
        return replace(second, first=self.response)


def make_request(
    params: LlmJudgeParams,
    model: str,
    seed: int,
    vote: VoteRequest,
    previous: InvalidReply | None,
    first: Turn | None = None,
) -> GenerationRequest:
    """The request of a vote; `previous` is the reply of the attempt before, `first` the turn that this one follows."""
    form, completion, numbers = ReplyForm.find(params), vote.completion, vote.numbers
    error = None if previous is None else previous.error
    # What was wrong with the JSON is said where JSON is requested.
    is_about_first = not params.has_two_turns or (previous is not None and previous.kind == THINKING_CUT)
    prompt = render_prompt(
        params.template,
        completion.problem,
        completion.reference,
        vote.shown_steps,
        form,
        numbers,
        error if is_about_first else None,
    )
    messages = [{"role": "user", "content": prompt}]
    extra_body = dict(params.engine.extra_body)
    limit, schema = params.max_vote_tokens, None if form.reasoning == "tags" else form.make_schema(numbers)
    if first is not None:
        assert first.reasoning is not None
        messages.append({"role": "assistant", "content": first.reasoning})
        messages.append(
            {"role": "user", "content": render_second_turn(form, numbers, None if is_about_first else error)}
        )
        limit = params.max_tokens
    elif params.has_two_turns:
        limit, schema = params.reasoning_tokens, None
    elif form.has_thinking:
        extra_body |= find_engine_kind(params.engine).limit_thinking(params.engine, params.reasoning_tokens)
    return GenerationRequest(
        model=model,
        prompt=messages,
        temperature=params.temperature,
        max_tokens=limit,
        seed=seed,
        schema=schema,
        schema_after_reasoning=form.reasoning == "field",
        extra_body=extra_body,
    )


def read_turn(request: GenerationRequest, response: Response, vote: VoteRequest, form: ReplyForm) -> Turn:
    """What `response` gives for `vote`."""
    messages: list[dict[str, Any]] = list(request.prompt) if not isinstance(request.prompt, str) else []
    before = messages[1]["content"] if len(messages) > 1 else None
    if not isinstance(response, Completion):
        error = InvalidReply(f"no response: {response.reason}", "no response")
        return Turn(request, response, None, before, error)
    finish = response.finish_reason
    if form.reasoning == "two_turns" and before is None:
        reasoning = join_thinking(response.reasoning, response.text, is_cut=finish == "length")
        is_complete = finish == "stop" and bool(reasoning.strip())
        read = None if is_complete else read_reply("", finish, vote.numbers, form, reasoning)
        return Turn(request, response, "", reasoning, read)
    given = "\n\n".join(part for part in (before, response.reasoning) if part) or response.reasoning
    thinking, text = separate_thinking(response.text, finish, form, given)
    return Turn(request, response, text, thinking, read_reply(text, finish, vote.numbers, form, thinking))
