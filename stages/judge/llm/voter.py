"""One language model voting on steps; a vote with an invalid reply is requested again up to `max_attempts` times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from stages.common.engines import Completion, GenerationRequest, ModelId, Response, Runner, identify_model
from stages.common.params.judge import LlmJudgeParams
from stages.common.tables import content_hash, seed_from
from stages.judge.llm.judge_prompts import hash_prompt, render_prompt
from stages.judge.llm.replies import InvalidReply, StepVote, make_reply_schema, read_reply
from stages.judge.llm.votes import CollectedVotes, VoteRequest, list_vote_requests
from stages.judge.step_labels import CompletionSteps

PREFLIGHT_REQUESTS = 8
"""Requests that must succeed, at least half of them with a valid reply, before any other is sent."""

Pending = list[tuple[VoteRequest, InvalidReply | None]]
"""Votes to request, each with the previous reply if there was one."""


def identify_llm(params: LlmJudgeParams) -> str:
    """Name of the model in requests: the same on every server. A mock model has a name of its own."""
    name = identify_model(params.engine, ModelId.find(params.model, params.revision))
    return name if params.mock is None else f"{name} {content_hash(params.mock.model_dump())}"


def identify_llm_judge(params: LlmJudgeParams) -> str:
    """Hash of the model, the prompt and the params that determine its votes."""
    own = params.model_dump(mode="json", include={"mode", "temperature", "max_tokens", "max_attempts", "max_chars"})
    if params.engine.extra_body:
        own["extra_body"] = params.engine.extra_body
    return content_hash("llm judge", identify_llm(params), own, hash_prompt(params.template))


@dataclass
class LlmVoter:
    """Requests `num_votes` votes per step through `runner`; `seed` determines the model's draws."""

    params: LlmJudgeParams
    num_votes: int
    seed: int
    runner: Runner
    judge_index: int = 0
    """Number of the judge in REPLY rows."""
    sent: dict[str, VoteRequest] = field(default_factory=dict)
    """The vote of each request in flight by its key, for a mock engine that has to know what it replies to."""
    _is_tested: bool = False

    def collect_votes(self, completions: Sequence[CompletionSteps]) -> CollectedVotes:
        """Votes on every step of `completions`. Raises `EngineError` where no request can succeed; replies are kept."""
        num_steps = {each.sample_id: len(each.steps) for each in completions}
        collected = CollectedVotes.prepare(num_steps, self.num_votes)
        pending: Pending = []
        for vote in list_vote_requests(completions, self.params.mode, self.num_votes):
            error = self._check_length(vote.completion)
            if error is None:
                pending.append((vote, None))
            else:
                collected.add(vote.completion.sample_id, vote.step, vote.vote, error)
        for attempt in range(self.params.max_attempts):
            if pending:
                pending = self._attempt(pending, attempt, collected)
        for vote, error in pending:
            assert error is not None
            collected.add(vote.completion.sample_id, vote.step, vote.vote, error)
        return collected

    def report_usage(self) -> dict[str, Any]:
        """Tokens and cost, as `Runner` reports them."""
        return {"model": self.params.model, **self.runner.report_usage()}

    def _check_length(self, completion: CompletionSteps) -> InvalidReply | None:
        if completion.num_chars <= self.params.max_chars:
            return None
        error = f"problem and completion have {completion.num_chars} characters, above max_chars"
        return InvalidReply(error, "longer than max_chars")

    def _attempt(self, pending: Pending, attempt: int, collected: CollectedVotes) -> Pending:
        """Send one request for each of `pending`; return those to be sent again."""
        self.sent.clear()
        preflight = 0 if self._is_tested else PREFLIGHT_REQUESTS
        self.runner.run(self._make_requests(pending, attempt), len(pending), preflight, self._find_error)
        self._is_tested = True
        again: Pending = []
        for vote, previous in pending:
            request = self._make_request(vote, previous, attempt)
            response = self.runner.get(request)
            read = _read_response(response, vote)
            collected.replies.append(self._make_row(vote, attempt, request, response, read))
            if isinstance(read, InvalidReply):
                collected.invalid_replies[read.kind] += 1
                if isinstance(response, Completion):
                    again.append((vote, read))
                    continue  # otherwise the engine has made all its attempts
            collected.add(vote.completion.sample_id, vote.step, vote.vote, read)
        return again

    def _make_requests(self, pending: Pending, attempt: int) -> Iterator[GenerationRequest]:
        for vote, previous in pending:
            request = self._make_request(vote, previous, attempt)
            self.sent[request.key] = vote
            yield request

    def _find_error(self, request: GenerationRequest, completion: Completion) -> str | None:
        read = _read_response(completion, self.sent[request.key])
        return read.error if isinstance(read, InvalidReply) else None

    def _make_request(self, vote: VoteRequest, previous: InvalidReply | None, attempt: int) -> GenerationRequest:
        params, completion = self.params, vote.completion
        error = previous.error if previous else None
        prompt = render_prompt(params.template, completion.problem, completion.reference, vote.shown_steps, error)
        return GenerationRequest(
            model=identify_llm(params),
            prompt=[{"role": "user", "content": prompt}],
            temperature=params.temperature,
            max_tokens=params.max_tokens,
            # 31 bits, which every server takes.
            seed=seed_from("judge", self.seed, completion.sample_id, vote.step, vote.vote, attempt) % 2**31,
            schema=make_reply_schema(vote.numbers),
            extra_body=params.engine.extra_body,
        )

    def _make_row(
        self,
        vote: VoteRequest,
        attempt: int,
        request: GenerationRequest,
        response: Response,
        read: list[StepVote] | InvalidReply,
    ) -> dict[str, Any]:
        copied = ("text", "finish_reason", "model", "prompt_tokens", "completion_tokens")
        is_complete = isinstance(response, Completion)
        return {
            "sample_id": vote.completion.sample_id,
            "problem_id": vote.completion.problem_id,
            "judge_index": self.judge_index,
            "step": vote.step,
            "vote": vote.vote,
            "attempt": attempt,
            "request_hash": request.key,
            "error": read.error if isinstance(read, InvalidReply) else None,
            **{name: getattr(response, name) if is_complete else None for name in copied},
        }


def _read_response(response: Response, vote: VoteRequest) -> list[StepVote] | InvalidReply:
    if isinstance(response, Completion):
        return read_reply(response.text, response.finish_reason, vote.numbers)
    return InvalidReply(f"no response: {response.reason}", "no response")
