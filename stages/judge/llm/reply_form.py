"""What a judge's reply has to hold, by task and by where the judge reasons: as a JSON schema, and in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stages.common.params.judge import FREE_REASONING, LlmJudgeParams, ReasoningMode, VotingMode

VERDICTS = {"correct": True, "incorrect": False}

ALL_CORRECT = -1
"""`first_error` of a completion whose steps are all correct, as in ProcessBench."""

MAX_ANALYSIS_CHARS = 2_000
"""Longest analysis of a step by the schema, where it is all the reasoning there is."""

MAX_CRITIQUE_CHARS = 8_000
"""Longest analysis of a whole completion by the schema, where it is all the reasoning there is."""

MAX_RATIONALE_CHARS = 400
"""Longest text beside a verdict by the schema, where the reasoning has come before or none is wanted."""


@dataclass(frozen=True)
class ReplyForm:
    """The form of a reply, see `LlmJudgeParams.mode` and `LlmJudgeParams.reasoning`."""

    mode: VotingMode = "completion"
    reasoning: ReasoningMode = "before_verdict"

    @classmethod
    def find(cls, params: LlmJudgeParams) -> "ReplyForm":
        """The form of the replies of a judge with `params`."""
        return cls(params.mode, params.reasoning)

    @property
    def is_critique(self) -> bool:
        """Whether a reply names the first error instead of a verdict for each step."""
        return self.mode == "critique"

    @property
    def has_thinking(self) -> bool:
        """Whether free thinking comes before the JSON."""
        return self.reasoning in FREE_REASONING

    @property
    def text_key(self) -> str | None:
        """Key of the text beside a verdict: ``analysis`` before it, ``rationale`` after it; None without any."""
        return {"none": None, "verdict_first": "rationale"}.get(self.reasoning, "analysis")

    def make_schema(self, numbers: Sequence[int]) -> dict[str, Any]:
        """JSON schema of a reply on the steps `numbers`, counted from 1."""
        if self.is_critique:
            answer = {"first_error": {"type": "integer", "enum": [ALL_CORRECT, *numbers]}}
            return _make_object(self.order_keys(answer, {"type": "string", "maxLength": self._max_chars}))
        number = {"step": {"type": "integer", "minimum": min(numbers), "maximum": max(numbers)}}
        answer = {"verdict": {"type": "string", "enum": list(VERDICTS)}}
        entry = _make_object(number | self.order_keys(answer, {"type": "string", "maxLength": self._max_chars}))
        length = {"minItems": len(numbers), "maxItems": len(numbers)}
        return _make_object({"verdicts": {"type": "array", "items": entry, **length}})

    def describe(self, numbers: Sequence[int]) -> str:
        """What the reply has to hold, for the prompt. There is nothing in it that could be copied as an answer."""
        first, last = min(numbers), max(numbers)
        if self.is_critique:
            lead = "one JSON object and nothing else"
            answer = {
                "first_error": f"the number of the first incorrect step, from {first} to {last}, or {ALL_CORRECT} if "
                "no step is incorrect"
            }
            keys = self.order_keys(answer, _CRITIQUE_TEXTS[self.reasoning])
        else:
            lead = 'one JSON object and nothing else. Its only key is "verdicts": a list with one object for ' + (
                f"each step from {first} to {last}, in order" if last > first else f"step {first}"
            )
            answer = {"verdict": 'either "correct" or "incorrect"'}
            keys = {"step": "the number of the step"} | self.order_keys(answer, _STEP_TEXTS[self.reasoning])
        meanings = ";\n".join(f'- "{key}": {meaning}' for key, meaning in keys.items())
        objects = "The object has" if self.is_critique else "Each of these objects has"
        return f"Reply with {lead}. {objects} these keys, in this order:\n{meanings}."

    @property
    def _max_chars(self) -> int:
        if self.reasoning != "before_verdict":
            return MAX_RATIONALE_CHARS
        return MAX_CRITIQUE_CHARS if self.is_critique else MAX_ANALYSIS_CHARS

    def order_keys(self, answer: dict[str, Any], text: Any) -> dict[str, Any]:
        """The answer and the text beside it, in the order of the form."""
        if self.text_key is None:
            return answer
        return answer | {self.text_key: text} if self.reasoning == "verdict_first" else {self.text_key: text} | answer


_CONCLUSION = "what your thinking has found, in a sentence or two"
_STEP_TEXTS = {
    "none": "",
    "verdict_first": "what decides the verdict, in a sentence or two",
    "before_verdict": "your own check of the step: what it claims, what you get, and whether the two agree",
    "tags": f"{_CONCLUSION}, on this step",
    "field": f"{_CONCLUSION}, on this step",
    "two_turns": "what you have found above, in a sentence or two, on this step",
}
_CRITIQUE_TEXTS = _STEP_TEXTS | {
    "verdict_first": "what is incorrect in that step, in a sentence or two",
    "before_verdict": "your own check of the steps in order, up to the first that is incorrect",
    "tags": _CONCLUSION,
    "field": _CONCLUSION,
    "two_turns": "what you have found above, in a sentence or two",
}


def _make_object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
