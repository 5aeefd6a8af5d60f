"""Params of a process reward model as judge."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from stages.common.params.block import ModelName, ParamsBlock
from stages.common.params.engine import VllmParams


class PrmChatParams(ParamsBlock):
    """The conversation in which a model reads problem and steps, by the chat template of its tokenizer."""

    system: str | None = None
    """System prompt; null: none but what the template adds by itself."""
    steps: Literal["assistant", "user", "turns"] = "assistant"
    """Where the steps are. `assistant`, `user`: in one message of that role, after the user's problem. `turns`: each in
    a message of the user, the first one behind the problem, and `separator` as the assistant's reply to it; the score
    is then read where that reply begins."""
    before_steps: str = ""
    """Text before the first step, in its message."""


LAYOUT_DEFAULTS: dict[str, dict[str, Any]] = {
    "qwen_math_prm": {
        "chat": {"system": r"Please reason step by step, and put your final answer within \boxed{}."},
        "separator": "<extra_0>",
    },
    "skywork_prm": {"problem": "{problem}\n"},
}
"""Params that a layout has unless the recipe says otherwise: those of the code that its model was published with."""


class PrmParams(ParamsBlock):
    """A process reward model. Its score of a step is the probability, 0 to 1, that the step is correct."""

    model: ModelName
    """A Hub repo or a folder; weights in safetensors, no code of its own."""
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    """Commit of a Hub model; null for a folder, which is identified by the hash of its files."""
    layout: Literal["token_classification", "step_tag", "qwen_math_prm", "skywork_prm"] = "token_classification"
    """`token_classification` (TRL): class 1 at the separator's last token. `step_tag` (Math-Shepherd): a language
    model's choice between two tokens after the tag. `qwen_math_prm` (Qwen2.5-Math-PRM): class 1 of a head of two layers
    at the tag. `skywork_prm` (Skywork-o1-Open-PRM): the sigmoid of a value head at the separator's last token."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """What runs the model: transformers in the stage's process, or a vLLM server started for the stage, for layout
    `qwen_math_prm`. Their scores differ in the last decimals, so each is a judge of its own."""
    vllm: VllmParams = VllmParams()
    """For engine vllm."""
    chat: PrmChatParams | None = None
    """null: the model reads plain text."""
    problem: str = "{problem}"
    """Text before the steps, or of the user's message, with `{problem}` in place of the problem."""
    step: str = "{step}"
    """Text of a step, with `{step}`, and `{number}`, from 1, if the steps are numbered."""
    separator: str = Field(default="\n", min_length=1)
    """Text after each step: TRL's separator, or the tag, which may be a special token."""
    step_separator: str = ""
    """Text before each step but the first: a line feed for Math-Shepherd, nothing for TRL."""
    correct_token: str | None = None
    """Token that calls a step correct, as the vocabulary spells it (`▁+`, with `▁` for a space); for `step_tag`."""
    incorrect_token: str | None = None
    """Token that calls a step incorrect; for `step_tag`."""
    correct_threshold: float = Field(default=0.5, ge=0, le=1)
    """Lowest score of a correct step."""
    incorrect_threshold: float = Field(default=0.5, ge=0, le=1)
    """Steps with a lower score are incorrect, steps between the thresholds unknown."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Limit on problem and steps together; steps of longer completions are unknown. null: the model's own limit."""
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """Type of the weights in memory; another type is another judge."""
    batch_size: int = Field(default=16, ge=1)
    """Completions scored at once."""

    def format_problem(self, problem: str) -> str:
        """The text before the steps."""
        before, _, after = self.problem.partition("{problem}")
        return before + problem + after

    def format_step(self, number: int, step: str) -> str:
        """The text of step `number`, counted from 1; braces in the step itself are kept as they are."""
        before, _, after = self.step.replace("{number}", str(number)).partition("{step}")
        return (self.step_separator if number > 1 else "") + before + step + after

    @model_validator(mode="before")
    @classmethod
    def _fill_layout(cls, value: Any) -> Any:
        return {**LAYOUT_DEFAULTS.get(str(value.get("layout")), {}), **value} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _check_layout(self) -> Self:
        for key, text in (("problem", self.problem), ("step", self.step)):
            if text.count(f"{{{key}}}") != 1:
                raise ValueError(f"{key}: expected {{{key}}} once, found {text!r}")
        tokens = [self.correct_token, self.incorrect_token]
        if self.layout == "step_tag" and (None in tokens or self.correct_token == self.incorrect_token):
            raise ValueError("correct_token, incorrect_token: layout step_tag needs two different tokens")
        if self.layout != "step_tag" and tokens != [None, None]:
            raise ValueError("correct_token, incorrect_token: for layout step_tag only; set them to null")
        if self.chat is not None and self.layout not in ("step_tag", "qwen_math_prm"):
            raise ValueError(f"chat: for the layouts step_tag and qwen_math_prm, found {self.layout}; set it to null")
        if self.chat is not None and self.chat.steps == "turns" and (self.layout != "step_tag" or self.step_separator):
            raise ValueError("chat.steps: turns needs layout step_tag and an empty step_separator")
        if self.engine == "vllm" and self.layout != "qwen_math_prm":
            raise ValueError(f"engine: vllm runs layout qwen_math_prm only, found {self.layout}; set transformers")
        if self.vllm.dtype is not None:
            raise ValueError("vllm.dtype: the type of the weights is judge.prm.dtype; set vllm.dtype to null")
        if self.incorrect_threshold > self.correct_threshold:
            raise ValueError("incorrect_threshold: above correct_threshold, so that a score could mean both")
        return self
