"""One language model voting on steps; a vote with an invalid reply is requested again up to `max_attempts` times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from stages.common.engines import Completion, GenerationRequest, ModelId, Runner, identify_model
from stages.common.params.judge import LlmJudgeParams
from stages.common.tables import content_hash, seed_from
from stages.common.text import shorten_for_terminal
from stages.judge.llm.judge_prompts import hash_prompt, hash_words
from stages.judge.llm.replies import NO_THINKING, THINKING_CUT, InvalidReply, StepVote
from stages.judge.llm.reply_form import ReplyForm
from stages.judge.llm.turns import Turn, make_request, read_turn
from stages.judge.llm.votes import CollectedVotes, VoteRequest, list_vote_requests
from stages.judge.step_labels import CompletionSteps

PREFLIGHT_REQUESTS = 8
"""Requests that must succeed, at least half of them with a valid reply, before any other is sent."""

SHOWN_CHARS = 200
"""Characters shown of an invalid reply that stops the stage."""

Pending = list[tuple[VoteRequest, InvalidReply | None]]
"""Votes to request, each with the previous reply if there was one."""

_HINTS = {
    NO_THINKING: " (judge.llm.reasoning says that the model thinks: before_verdict is for one that does not, two_turns "
    "for one that thinks without marks, field for a server with a reasoning parser)",
    THINKING_CUT: " (judge.llm.reasoning_tokens is the limit)",
}
"""What a user can do about a kind of invalid reply."""

_IDENTITY = {"mode", "reasoning", "temperature", "max_tokens", "max_attempts", "max_chars"}


def identify_llm(params: LlmJudgeParams) -> str:
    """Name of the model in requests: the same on every server. A mock model has a name of its own."""
    name = identify_model(params.engine, ModelId.find(params.model, params.revision))
    return name if params.mock is None else f"{name} {content_hash(params.mock.model_dump())}"


def identify_llm_judge(params: LlmJudgeParams) -> str:
    """Hash of the model, the prompt and the params that determine its votes."""
    form = ReplyForm.find(params)
    own = params.model_dump(mode="json", include=_IDENTITY | ({"reasoning_tokens"} if form.has_thinking else set()))
    if params.engine.extra_body:
        own["extra_body"] = params.engine.extra_body
    return content_hash("llm judge", identify_llm(params), own, hash_prompt(params.template), hash_words(form))


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

    def __post_init__(self) -> None:
        self._form = ReplyForm.find(self.params)

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
        """Make one attempt at each of `pending`; return those to be tried again."""
        num_first = 0 if self._is_tested else PREFLIGHT_REQUESTS
        # Both turns of the first votes come before any other is sent.
        batches = [pending[:num_first], pending[num_first:]] if self.params.has_two_turns else [pending]
        again: Pending = []
        for batch in filter(None, batches):
            turns = self._send(batch, attempt, num_first)
            self._is_tested, num_first = True, 0
            for (vote, _), turn in zip(batch, turns, strict=True):
                assert turn.read is not None
                collected.replies.append(self._make_row(vote, attempt, turn, turn.read))
                if isinstance(turn.read, InvalidReply):
                    collected.invalid_replies[turn.read.kind] += 1
                    if isinstance(turn.response, Completion):
                        again.append((vote, turn.read))
                        continue  # otherwise the engine has made all its attempts
                collected.add(vote.completion.sample_id, vote.step, vote.vote, turn.read)
        return again

    def _send(self, pending: Pending, attempt: int, preflight: int) -> list[Turn]:
        """The last turn of an attempt at each of `pending`."""
        turns = self._run_turns(pending, [None] * len(pending), attempt, preflight)
        followed = [at for at, turn in enumerate(turns) if turn.read is None]
        first = [turns[at] for at in followed]
        second = self._run_turns([pending[at] for at in followed], first, attempt, preflight) if followed else []
        for at, turn in zip(followed, second, strict=True):
            turns[at] = turns[at].follow(turn)
        return turns

    def _run_turns(self, pending: Pending, first: Sequence[Turn | None], attempt: int, preflight: int) -> list[Turn]:
        """One turn of each of `pending`, after its `first` one if there is one."""

        def make_requests() -> Iterator[tuple[VoteRequest, GenerationRequest]]:
            for (vote, previous), before in zip(pending, first, strict=True):
                yield vote, make_request(self.params, model, self._choose_seed(vote, attempt), vote, previous, before)

        def note_requests() -> Iterator[GenerationRequest]:
            for vote, request in make_requests():
                self.sent[request.key] = vote
                yield request

        model = identify_llm(self.params)
        self.sent.clear()
        self.runner.run(note_requests(), len(pending), preflight, self._find_error)
        return [read_turn(request, self.runner.get(request), vote, self._form) for vote, request in make_requests()]

    def _choose_seed(self, vote: VoteRequest, attempt: int) -> int:
        # 31 bits, which every server takes.
        return seed_from("judge", self.seed, vote.completion.sample_id, vote.step, vote.vote, attempt) % 2**31

    def _find_error(self, request: GenerationRequest, completion: Completion) -> str | None:
        read = read_turn(request, completion, self.sent[request.key], self._form).read
        if not isinstance(read, InvalidReply):
            return None
        shown = completion.text or completion.reasoning or ""
        hint = _HINTS.get(read.kind, "")
        return f"{read.error}{hint}; it begins: {shorten_for_terminal(shown, SHOWN_CHARS) or '(empty)'}"

    def _make_row(
        self, vote: VoteRequest, attempt: int, turn: Turn, read: list[StepVote] | InvalidReply
    ) -> dict[str, Any]:
        last = turn.response if isinstance(turn.response, Completion) else None
        return {
            "sample_id": vote.completion.sample_id,
            "problem_id": vote.completion.problem_id,
            "judge_index": self.judge_index,
            "step": vote.step,
            "vote": vote.vote,
            "attempt": attempt,
            "request_hash": turn.request.key,
            "text": turn.text,
            "reasoning": turn.reasoning,
            "error": read.error if isinstance(read, InvalidReply) else None,
            "finish_reason": last and last.finish_reason,
            "model": last and last.model,
            **{name: turn.count_tokens(name) for name in ("prompt_tokens", "completion_tokens")},
        }
