"""Completions in the replies of OpenAI-compatible servers. They are checked here and trusted nowhere."""

import json
from typing import Any

from stages.common.engines.request import Completion
from stages.common.engines.retry_policy import AttemptError, Cause
from stages.common.text import replace_lone_surrogates

CHECK_ADDRESS = "check that OPENAI_BASE_URL is the address of an OpenAI-compatible server; most end in /v1"

MAX_ERROR_CHARS = 10_000
"""Characters kept of an error reply."""

MIN_LOGPROB = -1e4
"""Nats; vLLM gives -9999 for a token that cannot be."""

_FINISH_REASONS = {
    "stop": "stop eos eos_token stop_sequence end_turn complete completed",
    "length": "length max_tokens max_output_tokens max_length model_length model_context_window_exceeded",
    "content_filter": "content_filter content_filtered safety recitation blocklist prohibited_content spii",
    "refusal": "refusal",
    "tool_calls": "tool_calls tool_use function_call",
    "": "abort error insufficient_system_resource",
}
"""Ours, with the words for it in any case: of OpenAI, TGI, Anthropic, Cohere, Mistral, Gemini and Bedrock.

Empty: the server has broken off, as vLLM, SGLang, OpenRouter and DeepSeek say; another attempt may end.
"""

FINISH_REASONS = {word: reason for reason, words in _FINISH_REASONS.items() for word in words.split()}
"""Our reason by a server's word in lower case."""

_THINKING_PARTS = ("thinking", "reasoning")
"""Types of parts of a message that hold thinking, under a key of the same name or under `text`."""


def read_media_type(content_type: str) -> str:
    """The media type in a Content-Type header, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def read_completion(content_type: str, body: bytes) -> Completion:
    """The completion in a reply of status 200; raise `AttemptError` for anything else."""
    media_type = read_media_type(content_type)
    if not media_type.endswith("json"):
        raise AttemptError("wrong content type", media_type[:100] or "none", Cause.MALFORMED, CHECK_ADDRESS)
    try:
        reply = json.loads(body)
        if reply.get("error") and not reply.get("choices"):
            error = reply["error"]
            message = error.get("message") if isinstance(error, dict) else error
            raise AttemptError("reply is an error", str(message)[:MAX_ERROR_CHARS], Cause.MALFORMED)
        choice = reply["choices"][0]
        text, reasoning = _read_choice(choice)
        usage = reply.get("usage") or {}
        prompt_details, details = (usage.get(f"{name}_tokens_details") or {} for name in ("prompt", "completion"))
        if reasoning is None and _read_count(details.get("reasoning_tokens")):
            reasoning = ""
        is_refusal = bool((choice.get("message") or {}).get("refusal"))
        return Completion(
            text=text,
            finish_reason="refusal" if is_refusal else _read_finish_reason(choice["finish_reason"]),
            prompt_tokens=_read_count(usage.get("prompt_tokens")),
            completion_tokens=_read_count(usage.get("completion_tokens")),
            cached_tokens=_read_count(prompt_details.get("cached_tokens")),
            model=", ".join(str(reply[key])[:200] for key in ("model", "system_fingerprint") if reply.get(key)),
            reasoning=reasoning,
            token_ids=(ids := _read_token_ids(choice)),
            logprobs=None if ids is None else _read_logprobs(choice, len(ids)),
        )
    except (ValueError, RecursionError) as error:  # also bytes that are not UTF-8
        raise AttemptError("reply is not JSON", type(error).__name__, Cause.MALFORMED, CHECK_ADDRESS) from None
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise AttemptError("reply is no completion", type(error).__name__, Cause.MALFORMED, CHECK_ADDRESS) from None


def _read_token_ids(choice: dict[str, Any]) -> tuple[int, ...] | None:
    """The sampled tokens as vLLM gives them; None for anything but ids."""
    ids = choice.get("token_ids")
    if not isinstance(ids, list) or any(_read_count(each) is None for each in ids):
        return None
    return tuple(ids)


def _read_logprobs(choice: dict[str, Any], num_tokens: int) -> tuple[float, ...] | None:
    """The log-prob of each of `num_tokens` tokens, of a chat or of a completed prompt; None for anything else."""
    value = choice.get("logprobs")
    found = value.get("content", value.get("token_logprobs")) if isinstance(value, dict) else None
    if not isinstance(found, list) or len(found) != num_tokens:
        return None
    numbers = [each.get("logprob") if isinstance(each, dict) else each for each in found]
    known = [float(each) for each in numbers if isinstance(each, float | int) and MIN_LOGPROB <= each <= 0]
    return tuple(known) if len(known) == num_tokens else None


def _read_finish_reason(value: Any) -> str:
    reason = FINISH_REASONS.get(str(value).lower())
    if reason is None:
        known = ", ".join(sorted(set(FINISH_REASONS.values()) - {""}))
        raise AttemptError(
            "unknown finish_reason", f"expected a word for {known}, found {str(value)[:50]!r}", Cause.REFUSED
        )
    if not reason:
        raise AttemptError("broken off by the server", f"finish_reason {str(value)[:50]!r}")
    return reason


def _read_choice(choice: dict[str, Any]) -> tuple[str, str | None]:
    """Text and thinking; a text that is null, as after a tool call, is empty."""
    if "message" not in choice:
        return _read_text(choice["text"]), None
    message = choice["message"]
    own = next((message[key] for key in ("reasoning", "reasoning_content") if message.get(key)), None)
    reasoning = None if own is None else _read_text(own)
    if message.get("refusal"):
        return _read_text(message["refusal"]), reasoning
    content = message.get("content") if reasoning else message["content"]
    if not isinstance(content, list):
        return _read_text(content or ""), reasoning
    texts, thoughts = [], [] if reasoning is None else [reasoning]
    for part in content:
        kind = part["type"]
        if kind == "text":
            texts.append(_read_text(part["text"]))
        elif kind in _THINKING_PARTS:
            thoughts.append(_read_thinking(part.get(kind, part.get("text"))))
        else:
            hint = "have the server reply with text alone"
            raise AttemptError("content part is no text", f"found type {str(kind)[:50]!r}", Cause.REFUSED, hint)
    return "".join(texts), "".join(thoughts) if thoughts else None


def _read_thinking(value: Any) -> str:
    """Thinking of a part: text, or a list of parts that hold text."""
    return "".join(_read_text(part["text"]) for part in value) if isinstance(value, list) else _read_text(value)


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return replace_lone_surrogates(value)


def _read_count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None
