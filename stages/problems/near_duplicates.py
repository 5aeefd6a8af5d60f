"""Near-duplicates: MinHash and locality-sensitive hashing propose pairs, the exact Jaccard similarity decides."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from stages.common.progress import progress
from stages.problems.word_tokens import tokenize_words

Hashes = npt.NDArray[np.uint64]

_PERMUTATIONS = 128
_RECALL = 0.99
"""Chance at least with which a pair right at the threshold is proposed; a more similar one has a higher chance."""
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def _make_constants(name: str, count: int) -> Hashes:
    """Fixed odd numbers, the same with every version of numpy."""
    return np.frombuffer(hashlib.shake_256(name.encode("ascii")).digest(8 * count), dtype="<u8") | np.uint64(1)


_FACTORS, _OFFSETS = _make_constants("factors", _PERMUTATIONS), _make_constants("offsets", _PERMUTATIONS)


@lru_cache(maxsize=2**18)
def _hash_word(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8"), digest_size=8).digest(), "little")


def hash_shingles(text: str, ngram: int) -> Hashes:
    """Sorted hashes of the n-grams of words in `text`; a text of fewer words is one n-gram."""
    hashes = np.array([_hash_word(word) for word in tokenize_words(text)], dtype=np.uint64)
    size = max(1, min(ngram, len(hashes)))
    mixed = np.zeros(max(0, len(hashes) - size + 1), dtype=np.uint64)
    for place in range(size):
        mixed = (mixed * _MULTIPLIER) ^ (mixed >> np.uint64(29)) ^ hashes[place : place + len(mixed)]
    return np.unique(mixed * _MULTIPLIER)


def compute_jaccard(left: Hashes, right: Hashes) -> float:
    """Jaccard similarity of two sets of n-grams; 0 where both are empty."""
    shared = len(np.intersect1d(left, right, assume_unique=True))
    every = len(left) + len(right) - shared
    return shared / every if every else 0.0


def _find_numbers(text: str) -> list[str]:
    return [word for word in tokenize_words(text) if word.isdigit()]


def _choose_band_size(threshold: float) -> int:
    """Rows per band: the most that still propose a pair at the threshold with the chance `_RECALL`."""
    fitting = [r for r in range(1, 33) if 1 - (1 - threshold**r) ** (_PERMUTATIONS // r) >= _RECALL]
    return max(fitting, default=1)


def _compute_band_keys(texts: Sequence[str], ngram: int, rows: int) -> npt.NDArray[np.uint64]:
    """Keys of shape (texts, bands): texts that share the key of a band are proposed as a pair."""
    bands = _PERMUTATIONS // rows
    keys = np.empty((len(texts), bands), dtype=np.uint64)
    for index, text in enumerate(progress(texts, "near-duplicates", total=len(texts))):
        grams = hash_shingles(text, ngram)
        if not len(grams):
            grams = np.array([index], dtype=np.uint64)  # without words a text resembles none
        lowest = (_FACTORS[:, None] * grams[None, :] + _OFFSETS[:, None]).min(axis=1) >> np.uint64(16)
        key = np.zeros(bands, dtype=np.uint64)
        for row in range(rows):
            key = (key * _MULTIPLIER) ^ (key >> np.uint64(29)) ^ lowest[row : bands * rows : rows]
        keys[index] = key
    return keys


def _iterate_shared_keys(keys: npt.NDArray[np.uint64]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Per text that shares keys with another: its index and those keys as (band, key), in the order of texts."""
    shared = np.zeros(keys.shape, dtype=bool)
    for band in range(keys.shape[1]):
        _, inverse, counts = np.unique(keys[:, band], return_inverse=True, return_counts=True)
        shared[:, band] = counts[inverse] > 1
    for index in np.flatnonzero(shared.any(axis=1)):
        yield int(index), [(int(band), int(keys[index, band])) for band in np.flatnonzero(shared[index])]


def find_near_duplicates(
    texts: Sequence[str], ngram: int, threshold: float, answers: Sequence[str]
) -> dict[int, tuple[int, float]]:
    """Texts to drop: index to (index of the earlier text that is kept, their Jaccard similarity >= `threshold`).

    Problems that differ in their numbers and in their `answers`, one for each text, are no duplicates, however similar:
    one template makes many problems. Every text is compared with the kept ones before it, so which texts are dropped
    depends on their order alone: give them in an order of their own (by id). Time grows with the number of texts, not
    of pairs.
    """
    dropped: dict[int, tuple[int, float]] = {}
    buckets: dict[tuple[int, int], list[int]] = {}

    @lru_cache(maxsize=2**14)
    def grams(index: int) -> Hashes:
        return hash_shingles(texts[index], ngram)

    for index, places in _iterate_shared_keys(_compute_band_keys(texts, ngram, _choose_band_size(threshold))):
        kept = sorted({other for place in places for other in buckets.get(place, ())})
        possible = (
            other
            for other in kept
            if answers[other] == answers[index] or _find_numbers(texts[other]) == _find_numbers(texts[index])
        )
        alike = ((other, compute_jaccard(grams(other), grams(index))) for other in possible)
        match = next((pair for pair in alike if pair[1] >= threshold), None)
        if match is not None:
            dropped[index] = match
            continue
        for place in places:
            buckets.setdefault(place, []).append(index)
    return dropped
