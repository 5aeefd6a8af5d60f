"""Settings of engines and judges that tests start from."""

from __future__ import annotations

from typing import Any

ENGINE: dict[str, Any] = {
    "kind": "mock",
    "concurrency": 8,
    "request_timeout_s": 20.0,
    "attempt_timeout_s": 5.0,
    "prices": {"prompt": 1.0, "cached": 0.5, "completion": 2.0, "currency": "USD"},
}

LLM_JUDGE: dict[str, Any] = {
    "engine": ENGINE,
    "mock": {"error_rate": 0.0, "invalid_rate": 0.0},
    "model": "m",
    "revision": None,
    "mode": "completion",
    "prompt": None,
    "temperature": 0.0,
    "max_tokens": 100,
    "max_attempts": 3,
    "max_chars": 10_000,
}

JUDGE: dict[str, Any] = {
    "kind": "llm",
    "llm": LLM_JUDGE,
    "second_judge": None,
    "prm": None,
    "num_votes": 1,
    "min_agreement": 0.6,
    "gate": None,
    "label_noise": 0.0,
}


def openai(**changes: Any) -> dict[str, Any]:
    """An engine that asks the servers of the environment."""
    return {**ENGINE, "kind": "openai", **changes}
