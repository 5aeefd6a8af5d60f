"""A plugin: verifies that a completion is as long as its gold answer."""

from __future__ import annotations

from stages.common.verifiers import VERIFIERS, ExtractedAnswer, Verifier


class LengthVerifier(Verifier):
    """Of task `length`."""

    version = "length 1"

    def extract(self, completion: str, is_truncated: bool = False) -> ExtractedAnswer | None:
        return ExtractedAnswer(completion, 0, len(completion), "whole")

    def equal(self, first: str, second: str) -> bool | None:
        return len(first) == len(second)


VERIFIERS.register("length", LengthVerifier)
