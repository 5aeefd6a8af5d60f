"""Settings of engines and judges that tests start from."""

from __future__ import annotations

from typing import Any

ENGINE: dict[str, Any] = {
    "kind": "fake",
    "served_name": None,
    "concurrency": 8,
    "deadline_s": 20.0,
    "try_s": 5.0,
    "vllm": None,
    "fake": {"latency_s": 0.0, "failing": 0.0, "cut": 0.0},
    "prices": {"prompt": 1.0, "cached": 0.5, "completion": 2.0, "currency": "USD"},
}

SERVED_JUDGE: dict[str, Any] = {
    "engine": ENGINE,
    "weak": {"wrong": 0.0, "useless": 0.0},
    "model": "m",
    "revision": None,
    "mode": "solution",
    "prompt": "solution",
    "temperature": 0.0,
    "max_tokens": 100,
    "tries": 3,
    "max_characters": 10_000,
}

JUDGE: dict[str, Any] = {
    "kind": "served",
    "served": SERVED_JUDGE,
    "second": None,
    "prm": None,
    "votes": 1,
    "min_agreement": 0.6,
    "require": None,
    "flip": 0.0,
}


def openai(**changes: Any) -> dict[str, Any]:
    """An engine that asks the servers of the environment."""
    return {**ENGINE, "kind": "openai", "fake": None, **changes}
