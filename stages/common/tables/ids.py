"""Content hashes: the same content has the same id in every run and on every machine."""

import hashlib
import json
import unicodedata
from typing import Any

ID_DIGITS = 32
"""Hex digits kept of SHA-256: 128 bits, so that a billion ids collide with a chance below 1e-20."""


def content_hash(*parts: Any, digits: int = ID_DIGITS) -> str:
    """Hash of JSON-like `parts`; floats by their shortest repr, dict keys sorted, no dependence on key order.

    Raises `TypeError` for a part that JSON cannot hold and `ValueError` for NaN or infinity.
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:digits]


def normalise_text(text: str) -> str:
    """Unicode NFC, with each run of white space replaced by one space; equal results are the same problem text."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def make_problem_id(problem: str, answer: str) -> str:
    """Id of a problem: its normalised text and its normalised gold answer."""
    return content_hash("problem", normalise_text(problem), normalise_text(answer))


def hash_sampling_params(params: dict[str, Any]) -> str:
    """Hash of the params that determine a sample (temperature, length, prompt), without the number of samples."""
    return content_hash("settings", params)


def make_sample_id(problem: str, policy: str, sampling_hash: str, index: int, completion: str) -> str:
    """Id of a sample: problem id, policy manifest hash, sampling params hash, 0-based index, and completion."""
    return content_hash("sample", problem, policy, sampling_hash, index, completion)


def seed_from(*parts: Any) -> int:
    """A seed in [0, 2**63) that depends on `parts` alone."""
    return int(content_hash("seed", *parts, digits=16), 16) >> 1


def hash_to_unit(*parts: Any) -> float:
    """A number in [0, 1) that depends on `parts` alone."""
    return int(content_hash(*parts, digits=12), 16) / 16**12
