"""The token ids of samples, checked against their texts."""

from __future__ import annotations

import logging
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

from stages.common.engines import Completion
from stages.common.errors import describe_error
from stages.common.policies import Policy
from stages.common.sampled_logps import keep_sampled_logps
from stages.common.token_ids import decode_ids, hash_tokenizer, spells_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


class SampledTokens:
    """Columns `completion_ids` and `tokenizer` for samples of `policy`."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._counts: Counter[str] = Counter()
        self._logps: dict[str, float] = {}

    @cached_property
    def _tokenizer(self) -> tuple[PreTrainedTokenizerBase, str] | None:
        """The policy's tokenizer and its hash; None where it cannot be loaded: the ids' meaning is then not known."""
        try:
            tokenizer = self._policy.load_tokenizer()
        except (OSError, ValueError) as error:
            logger.warning(
                "%s: no tokenizer, so token ids are left out: %s", self._policy.source, describe_error(error)
            )
            return None
        return tokenizer, hash_tokenizer(tokenizer)

    def read(self, sample_id: str, completion: Completion, text: str) -> dict[str, Any]:
        """Both columns of a sample with this text; null where the engine gave no ids, or ids that spell another."""
        ids = completion.token_ids
        if ids is None:
            reason = "not given by the engine"
        elif self._tokenizer is None:
            reason = "tokenizer not known"
        elif max(ids, default=0) >= len(self._tokenizer[0]) or not spells_text(
            decode_ids(self._tokenizer[0], ids), text
        ):
            reason = "spell another text"
        else:
            self._counts["kept"] += 1
            if completion.logprobs is not None:
                self._logps[sample_id] = sum(completion.logprobs)
            return {"completion_ids": list(ids), "tokenizer": self._tokenizer[1]}
        self._counts[reason] += 1
        return {"completion_ids": None, "tokenizer": None}

    def keep_logps(self) -> None:
        """Keep the sampler's log-probs of all samples with ids, for stage train."""
        keep_sampled_logps(self._policy.hash, self._logps)

    def report(self) -> dict[str, int]:
        """Samples by what became of their ids: `kept`, or the reason why they have none."""
        return dict(sorted(self._counts.items()))
