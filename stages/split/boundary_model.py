"""``split.shape: model``: a language model names the lines at which steps begin; it never writes any of the text."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Self

from stages.common.engines import (
    Completion,
    Engine,
    GenerationRequest,
    ModelId,
    Response,
    Runner,
    identify_model,
    make_runner,
)
from stages.common.params.split import SplitParams
from stages.common.tables import seed_from
from stages.split.boundary_prompt import describe_schema, read_boundaries, render_prompt
from stages.split.spans import Division, divide_by_layout, list_beginnings

PREFLIGHT_REQUESTS = 8
"""Requests that must succeed, at least half of them with a usable reply, before any other is sent."""

TOO_LONG = "longer than max_chars"
NO_REPLY = "no reply"


class BoundaryModel:
    """Asks the model of `split.llm`, named `model` in requests, through `runner`."""

    def __init__(self, params: SplitParams, model: str, runner: Runner) -> None:
        assert params.llm is not None
        self._params, self._llm = params, params.llm
        self._model, self._runner = model, runner
        self._divided: Counter[str] = Counter()
        self._invalid: Counter[str] = Counter()
        self._is_tested = False

    @classmethod
    @contextmanager
    def open(cls, params: SplitParams, desc: str, engine: Engine | None = None) -> Iterator[Self]:
        """With the engine that `params` describe, or with `engine`."""
        assert params.llm is not None
        model = ModelId.find(params.llm.model, params.llm.revision)
        name = identify_model(params.llm.engine, model)
        with make_runner("split", name, params.llm.engine, model, desc, engine) as runner:
            yield cls(params, name, runner)

    def divide(self, texts: Sequence[str]) -> dict[str, Division]:
        """The steps of each of `texts`, by the model's lines; by the rules where no attempt gave a usable reply.

        A text that no step can begin within is not asked about. Raises `EngineError`; replies are kept.
        """
        beginnings = {text: list_beginnings(text) for text in texts}
        divisions = {text: Division("model", [(0, len(text))] if text else []) for text in texts}
        pending: list[str] = []
        reasons: dict[str, str] = {}
        for text in texts:
            if len(text) > self._llm.max_chars:
                reasons[text] = TOO_LONG
            elif len(beginnings[text]) > 1:
                pending.append(text)
        for attempt in range(self._llm.max_attempts):
            found = self._ask(pending, beginnings, attempt, reasons)
            reasons |= {text: numbers for text, numbers in found.items() if isinstance(numbers, str)}
            for text, numbers in found.items():
                if not isinstance(numbers, str):
                    edges = [*(beginnings[text][number - 1] for number in numbers), len(text)]
                    divisions[text] = Division("model", list(pairwise(edges)))
                    reasons.pop(text, None)
            pending = [text for text in pending if reasons.get(text, NO_REPLY) != NO_REPLY]
        for text in reasons:
            divisions[text] = divide_by_layout(text, self._params)
        self._divided.update(reasons.values())
        self._divided["by the model"] += len(texts) - len(reasons)
        return divisions

    def report(self) -> dict[str, Any]:
        """How many texts the model divided, why it did not divide the rest, and what its replies cost."""
        left = {reason: count for reason, count in self._divided.items() if reason != "by the model"}
        return {
            "model": {
                "divided": self._divided["by the model"],
                "divided_by_rules": left,
                "invalid_replies": dict(self._invalid),
            },
            "llm_usage": {"split": {"model": self._llm.model, **self._runner.report_usage()}},
        }

    def _ask(
        self, texts: Sequence[str], beginnings: dict[str, list[int]], attempt: int, errors: dict[str, str]
    ) -> dict[str, list[int] | str]:
        """The numbers of the lines at which steps of each text begin, or why there are none."""
        errors = dict(errors)

        def make_requests() -> Iterator[GenerationRequest]:
            return (self._make_request(text, beginnings[text], attempt, errors.get(text)) for text in texts)

        def find_error(request: GenerationRequest, completion: Completion) -> str | None:
            read = read_boundaries(completion, limits[request.key])
            return f"{read}; it begins: {completion.text[:100]!r}" if isinstance(read, str) else None

        if not texts:
            return {}
        limits = {request.key: len(beginnings[text]) for text, request in zip(texts, make_requests(), strict=True)}
        # Of a few texts, an unusable reply is one more that the rules divide.
        check = find_error if len(texts) >= PREFLIGHT_REQUESTS else None
        self._runner.run(make_requests(), len(texts), 0 if self._is_tested else PREFLIGHT_REQUESTS, check)
        self._is_tested = True
        found = {}
        for text, request in zip(texts, make_requests(), strict=True):
            found[text] = self._read(self._runner.get(request), limits[request.key])
        return found

    def _read(self, response: Response, num_lines: int) -> list[int] | str:
        if not isinstance(response, Completion):
            return NO_REPLY  # the engine has made all its attempts
        read = read_boundaries(response, num_lines)
        if isinstance(read, str):
            self._invalid[read] += 1
        return read

    def _make_request(self, text: str, beginnings: list[int], attempt: int, error: str | None) -> GenerationRequest:
        return GenerationRequest(
            self._model,
            [{"role": "user", "content": render_prompt(text, beginnings, error)}],
            self._llm.temperature,
            self._llm.max_tokens,
            seed=seed_from("split", attempt) % 2**31,
            schema=describe_schema(len(beginnings)),
            extra_body=self._llm.engine.extra_body,
        )
