"""A model as second verifier: asked about verdicts that the rules leave unknown, never about one by values."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import polars as pl

from stages.common.engines import (
    Completion,
    Engine,
    GenerationRequest,
    ModelId,
    Runner,
    identify_model,
    make_runner,
)
from stages.common.params.outcome import ModelVerifierParams
from stages.common.tables import OUTCOME, VERIFIER_RESPONSE, content_hash
from stages.common.verifiers import BY_SHAPE, GUESS, UNSTABLE_REASONS
from stages.outcome.model_prompts import PROMPT_SHAPES

PREFLIGHT_REQUESTS = 8
"""Requests that must succeed before any other is sent."""

_NO_QUESTION = ("gold ", GUESS[1], *UNSTABLE_REASONS)
"""How reasons of the rules begin after which no model is asked: no gold answer, no single answer, no stable verdict."""

_INSTRUCTS = re.compile(
    r"\b(?:answers?|(?:in)?correct|right|wrong|is equal|are equal|equivalent|match(?:es)?|same as|verdict"
    r"|judg(?:e|ing|ement|ment)|grad(?:e|er|ing)|evaluat\w*|instruct\w*|ignore|disregard|output|reply|respond|response|system|user"
    r"|assistant|prompt|reference|gold|because|since|therefore|thus|hence|explain\w*|trust|accept\w*|scor(?:e|ing)|must"
    r"|should|please|note|thought|solution:|step \d)(?!\w)",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"<[|/a-zA-Z]|\[/?[A-Z]{3,}|\x60{3}|\{\{|https?:|[\n\r\u2028]|\"|verdict")
_ALTERNATIVES = re.compile(r"\b(?:or|either|maybe|perhaps|possibly|alternatively|and also)\b|;", re.IGNORECASE)


def find_refusal(gold: str, answer: str, max_chars: int) -> str | None:
    """Return why no model is asked about `answer`, None if one is.

    What attacks on verifiers have in common is refused by rule: an answer that is long, that explains or instructs,
    that holds markup, or that repeats the gold answer beside others.
    """
    if len(answer) > max_chars:
        return f"longer than {max_chars} characters"
    if _MARKUP.search(answer):
        return "it holds markup or several lines"
    if _INSTRUCTS.search(answer):
        return "it explains or instructs"
    short_gold, short_answer = (re.sub(r"\s+", "", text) for text in (gold, answer))
    if short_gold and short_gold in short_answer:
        rest = short_answer.replace(short_gold, "", 1)
        if short_gold in rest or _ALTERNATIVES.search(answer) or len(rest) > len(short_gold) + 40:
            return "it repeats the gold answer beside others"
    return None


class ModelQuestion(NamedTuple):
    """One question of a model: a row, and whether gold answer and answer change places in it."""

    sample_id: str
    problem_id: str
    is_swapped: bool
    request: GenerationRequest


def identify_verifier(params: ModelVerifierParams) -> str:
    """Name of a model verifier in column ``verifier``: the model, and a hash of its prompt and params."""
    own = params.model_dump(mode="json", include={"prompt", "max_tokens", "max_answer_chars"})
    own |= params.model_dump(mode="json", include={"temperature", "asks_by_shape"}, exclude_defaults=True)
    if params.engine.extra_body:
        own["extra_body"] = params.engine.extra_body
    name = identify_model(params.engine, ModelId(params.model, params.revision))
    return f"model {name} {content_hash(own, PROMPT_SHAPES[params.prompt].template, digits=8)}"


def _is_open(is_correct: bool | None, reason: str, params: ModelVerifierParams) -> bool:
    """Return whether a model may say more than the rules, which decided nothing or by shape alone."""
    return is_correct is None or (params.asks_by_shape and is_correct is False and reason.endswith(BY_SHAPE))


def list_questions(
    outcomes: pl.DataFrame, problems: pl.DataFrame, params: ModelVerifierParams
) -> Iterator[ModelQuestion]:
    """Yield the questions on `outcomes` (OUTCOME rows of the rules): each twice, with the answers in both orders.

    They are about unknown verdicts and, with `asks_by_shape`, about False by shape.
    """
    shape = PROMPT_SHAPES[params.prompt]
    model = identify_model(params.engine, ModelId(params.model, params.revision))
    golds = problems.select("problem_id", "problem", gold="answer")
    is_open = pl.struct("is_correct", "reason").map_elements(
        lambda row: _is_open(row["is_correct"], row["reason"], params), return_dtype=pl.Boolean
    )
    unknown = outcomes.filter(is_open & pl.col("answer").is_not_null())
    columns = ("sample_id", "problem_id", "answer", "reason", "problem", "gold")
    for sample_id, problem_id, answer, reason, problem, gold in (
        unknown.join(golds, on="problem_id", maintain_order="left").select(columns).iter_rows()
    ):
        if reason.startswith(_NO_QUESTION) or find_refusal(gold, answer, params.max_answer_chars):
            continue
        for is_swapped in (False, True):
            first, second = (answer, gold) if is_swapped else (gold, answer)
            prompt = shape.render(problem, first, second)
            request = GenerationRequest(
                model,
                [{"role": "user", "content": prompt}],
                params.temperature,
                params.max_tokens,
                seed=0,
                schema=shape.schema,
                extra_body=params.engine.extra_body,
            )
            yield ModelQuestion(sample_id, problem_id, is_swapped, request)


def apply_responses(outcomes: pl.DataFrame, responses: pl.DataFrame, params: ModelVerifierParams) -> pl.DataFrame:
    """Return `outcomes` of the rules with the model's verdicts where both of its responses agree.

    Any other verdict stays: one that the rules give by values, whatever the responses say, and one by shape where they
    do not agree. `responses` has VERIFIER_RESPONSE rows.
    """
    read = PROMPT_SHAPES[params.prompt].read
    by_sample: dict[str, list[bool | None]] = {}
    for sample_id, text, finish_reason in responses.select("sample_id", "text", "finish_reason").iter_rows():
        by_sample.setdefault(sample_id, []).append(read(text) if text is not None and finish_reason == "stop" else None)
    name = identify_verifier(params)
    rows = []
    for row in outcomes.iter_rows(named=True):
        verdicts = by_sample.get(row["sample_id"])
        if verdicts is not None and _is_open(row["is_correct"], row["reason"], params):
            is_agreed = len(verdicts) == 2 and verdicts[0] is verdicts[1] is not None
            word = {True: "correct", False: "incorrect"}[verdicts[0] is True] if is_agreed else "unknown"
            row["reason"] += f"; a model says {word}"
            row |= {"is_correct": verdicts[0], "verifier": name} if is_agreed else {}
        rows.append(row)
    return pl.DataFrame(rows, schema=OUTCOME.schema)


class ModelVerifier:
    """Asks the model through `runner`."""

    def __init__(self, params: ModelVerifierParams, runner: Runner) -> None:
        self._params, self._runner = params, runner
        self._counts: Counter[str] = Counter()
        self._is_tested = False

    @classmethod
    @contextmanager
    def open(cls, params: ModelVerifierParams, desc: str, engine: Engine | None = None) -> Iterator[Self]:
        """With the engine that `params` describe, or with `engine`."""
        model = ModelId(params.model, params.revision)
        name = identify_model(params.engine, model)
        with make_runner("outcome", name, params.engine, model, desc, engine) as runner:
            yield cls(params, runner)

    def ask(self, outcomes: pl.DataFrame, problems: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return `outcomes` with the model's verdicts, and VERIFIER_RESPONSE rows.

        Raises `EngineError`; responses are kept.
        """
        questions = list(list_questions(outcomes, problems, self._params))
        requests = (question.request for question in questions)
        self._runner.run(requests, len(questions), 0 if self._is_tested else PREFLIGHT_REQUESTS)
        self._is_tested = self._is_tested or bool(questions)
        responses = pl.DataFrame([self._make_row(one) for one in questions], schema=VERIFIER_RESPONSE.schema)
        responses = responses.sort(VERIFIER_RESPONSE.key)
        answered = apply_responses(outcomes, responses, self._params)
        given = answered.filter(pl.col("verifier") == identify_verifier(self._params))["is_correct"].to_list()
        self._counts.update(questions=len(questions) // 2, correct=given.count(True), incorrect=given.count(False))
        self._counts.update(left_unknown=answered["is_correct"].null_count())
        return answered, responses

    def report(self) -> dict[str, Any]:
        """Counts of samples and the usage, for the stage's report."""
        return {"verifier": identify_verifier(self._params), **self._counts, "llm_usage": self._runner.report_usage()}

    def _make_row(self, question: ModelQuestion) -> dict[str, Any]:
        response = self._runner.get(question.request)
        copied = ("text", "finish_reason", "model", "prompt_tokens", "completion_tokens")
        is_complete = isinstance(response, Completion)
        return {
            "sample_id": question.sample_id,
            "problem_id": question.problem_id,
            "is_swapped": question.is_swapped,
            "request_hash": question.request.key,
            **{name: getattr(response, name) if is_complete else None for name in copied},
        }
