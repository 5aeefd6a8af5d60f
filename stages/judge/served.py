"""A language model as judge: its votes on steps, asked for again within a budget where a reply cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stages.common.engines import Completion, Model, Request, Result, Runner
from stages.common.params.judge import ServedJudgeParams
from stages.common.tables import content_hash, seed_from
from stages.judge.cases import Case
from stages.judge.prompt import prompt_hash, render
from stages.judge.questions import Question, questions_on
from stages.judge.reply import StepVerdict, Unusable, read_reply, reply_schema
from stages.judge.vote import Vote

PREFLIGHT = 8
"""Requests that must be answered, and at least half of them well, before all others are sent."""

Votes = dict[str, list[list[Vote]]]
"""Votes of shape ``[steps][votes]`` by sample_id."""


@dataclass(frozen=True)
class Said:
    """Votes on every step, REPLY rows of every try, and how many of those could not be used, by what was wrong."""

    votes: Votes
    replies: list[dict[str, Any]]
    unusable: Counter[str]


@dataclass(frozen=True)
class _Pending:
    """A question to be asked, and what was wrong with the reply before."""

    question: Question
    fault: Unusable | None = None


def model_identity(params: ServedJudgeParams) -> str:
    """What requests name as their model: the same wherever it is served; a fake one is nobody else."""
    name = Model(params.model, params.revision).asked_through(params.engine)
    return name if params.weak is None else f"{name} {content_hash(params.weak.model_dump())}"


def judge_identity(params: ServedJudgeParams) -> str:
    """Hash of the model, the prompt and the settings that make this judge what it is."""
    own = params.model_dump(mode="json", include={"mode", "temperature", "max_tokens", "tries", "max_characters"})
    return content_hash("served judge", model_identity(params), own, prompt_hash(params.prompt))


class ServedJudge:
    """Asks `runner` for `votes` votes a step.

    `place` numbers the judge in the rows that it keeps, `seed` starts the model's draws. `sent` holds the questions in
    work by the key of their request, for a fake that has to know what it is asked.
    """

    def __init__(
        self,
        params: ServedJudgeParams,
        votes: int,
        seed: int,
        runner: Runner,
        place: int = 0,
        sent: dict[str, Question] | None = None,
    ) -> None:
        self._params = params
        self._votes = votes
        self._seed = seed
        self._runner = runner
        self._place = place
        self._sent: dict[str, Question] = {} if sent is None else sent
        self._model = model_identity(params)
        self._flown = False

    def ask(self, cases: Sequence[Case]) -> Said:
        """Have every step of `cases` voted on.

        Raises `EngineError` where asking must stop; what was answered is kept by the runner.
        """
        said = Said({case.sample_id: [[] for _ in case.steps] for case in cases}, [], Counter())
        pending: list[_Pending] = []
        for question in questions_on(cases, self._params.mode, self._votes):
            fault = self._unfit(question.case)
            if fault is None:
                pending.append(_Pending(question))
            else:
                _cast(said.votes, question, fault)
        for attempt in range(self._params.tries):
            if not pending:
                break
            pending = self._try(pending, attempt, said)
        for item in pending:
            assert item.fault is not None
            _cast(said.votes, item.question, item.fault)
        return said

    def costs(self) -> dict[str, Any]:
        """What asking cost, as `Runner.costs` says it."""
        return {"model": self._params.model, **self._runner.costs()}

    def _unfit(self, case: Case) -> Unusable | None:
        if case.characters <= self._params.max_characters:
            return None
        fault = f"the solution and its problem have {case.characters} characters, more than the judge is shown"
        return Unusable(fault, "longer than the judge is shown")

    def _try(self, pending: list[_Pending], attempt: int, said: Said) -> list[_Pending]:
        """Ask once for all that is `pending` and enter what came in `said`; returns what has to be asked again."""
        self._sent.clear()
        preflight = 0 if self._flown else PREFLIGHT
        self._runner.ask(self._requests(pending, attempt), len(pending), preflight, self._what_is_wrong)
        self._flown = True
        again: list[_Pending] = []
        for item in pending:
            request = self._request(item, attempt)
            result = self._runner.get(request)
            read = _read(result, item.question)
            said.replies.append(self._row(item.question, attempt, request, result, read))
            if isinstance(read, list):
                _cast(said.votes, item.question, *read)
                continue
            said.unusable[read.kind] += 1
            if isinstance(result, Completion):
                again.append(_Pending(item.question, read))
            else:
                _cast(said.votes, item.question, read)  # the engine has tried as often as it may
        return again

    def _requests(self, pending: list[_Pending], attempt: int) -> Iterator[Request]:
        for item in pending:
            request = self._request(item, attempt)
            self._sent[request.key] = item.question
            yield request

    def _what_is_wrong(self, request: Request, completion: Completion) -> str | None:
        read = _read(completion, self._sent[request.key])
        return read.fault if isinstance(read, Unusable) else None

    def _request(self, item: _Pending, attempt: int) -> Request:
        params, question, case = self._params, item.question, item.question.case
        fault = item.fault.fault if item.fault else None
        prompt = render(params.prompt, case.problem, case.reference, question.shown, fault)
        return Request(
            model=self._model,
            prompt=[{"role": "user", "content": prompt}],
            temperature=params.temperature,
            max_tokens=params.max_tokens,
            # Seeds go to 32 bits, which every server takes.
            seed=seed_from("judge", self._seed, case.sample_id, question.step, question.vote, attempt) % 2**31,
            schema=reply_schema(question.numbers),
        )

    def _row(
        self, question: Question, attempt: int, request: Request, result: Result, read: list[StepVerdict] | Unusable
    ) -> dict[str, Any]:
        came = result if isinstance(result, Completion) else None
        return {
            "sample_id": question.case.sample_id,
            "problem_id": question.case.problem_id,
            "judge_index": self._place,
            "step": question.step,
            "vote": question.vote,
            "attempt": attempt,
            "request_hash": request.key,
            "text": came.text if came else None,
            "error": read.fault if isinstance(read, Unusable) else None,
            "finish_reason": came.finish_reason if came else None,
            "model": came.model if came else None,
            "prompt_tokens": came.prompt_tokens if came else None,
            "completion_tokens": came.completion_tokens if came else None,
        }


def _read(result: Result, question: Question) -> list[StepVerdict] | Unusable:
    if isinstance(result, Completion):
        return read_reply(result.text, result.finish_reason, question.numbers)
    return Unusable(f"no answer came: {result.reason}", "no answer came")


def _cast(found: Votes, question: Question, *votes: Vote) -> None:
    """Enter the votes on the steps of `question`; a single fault stands for all of them."""
    steps = [number - 1 for number in question.numbers]
    spread = votes * len(steps) if len(votes) == 1 else votes
    for step, vote in zip(steps, spread, strict=True):
        found[question.case.sample_id][step].append(vote)
