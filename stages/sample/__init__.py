"""Samples: K completions per problem from a policy, by any kind of engine."""

from stages.sample.from_engine import open_engine
from stages.sample.sampling import SampleBatch, choose_problems, draw_samples, hash_sampling, sample_problems

__all__ = ["SampleBatch", "choose_problems", "draw_samples", "hash_sampling", "open_engine", "sample_problems"]
