"""Splitting: a sample becomes spans of steps that join to the sample exactly."""

from stages.split.samples import open_splitter, split_samples
from stages.split.spans import split_text

__all__ = ["open_splitter", "split_samples", "split_text"]
