"""What generation costs: tokens in, out and cached, money where prices are known."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from stages.common.engines.request import Failure, Response
from stages.common.params.engine import PriceParams

_UNITS = (("G", 10**9), ("M", 10**6), ("k", 10**3))


@dataclass
class LlmUsage:
    """Sums over responses. Tokens that a server does not report count as 0."""

    completions: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    in_batches: LlmUsage | None = None
    """Those of a provider's batches among them."""
    failures: Counter[str] = field(default_factory=Counter)
    """Requests that failed finally, by kind."""

    def add(self, response: Response) -> None:
        """Count one more response."""
        if isinstance(response, Failure):
            self.failures[response.kind] += 1
            return
        if response.is_batch:
            self.in_batches = self.in_batches or LlmUsage()
            self.in_batches.add(replace(response, is_batch=False))
        self.completions += 1
        self.prompt_tokens += response.prompt_tokens or 0
        self.completion_tokens += response.completion_tokens or 0
        self.cached_tokens += response.cached_tokens or 0

    def compute_cost(self, prices: PriceParams) -> float:
        """The cost at `prices`, in their currency, with the discount on what came in batches."""
        discount = prices.batch_discount * self.in_batches.compute_cost(prices) if self.in_batches else 0.0
        cached = min(self.cached_tokens, self.prompt_tokens)
        uncached = self.prompt_tokens - cached
        cost = uncached * prices.prompt + cached * prices.cached + self.completion_tokens * prices.completion
        return cost / 1_000_000 - discount

    def report(self, prices: PriceParams | None = None) -> dict[str, Any]:
        """For a stage's report: counts, and the cost (null without `prices`).

        Tokens that a server had cached are left out: they are of the run, as `measure_cache_hits` is.
        """
        return {
            "completions": self.completions,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "failures": dict(sorted(self.failures.items())),
            "cost": None if prices is None else round(self.compute_cost(prices), 6),
            "currency": None if prices is None else prices.currency,
        }

    def measure_cache_hits(self) -> float | None:
        """The fraction of prompt tokens that the engine had cached; None without tokens."""
        return round(self.cached_tokens / self.prompt_tokens, 4) if self.prompt_tokens else None

    def format_line(self, prices: PriceParams | None = None) -> str:
        """For progress: ``in 1.2M (31% cached) out 0.4M, 3.21 USD, failed: 7 timeout``."""
        cached = f" ({self.cached_tokens / self.prompt_tokens:.0%} cached)" if self.cached_tokens else ""
        items = [f"in {_format_count(self.prompt_tokens)}{cached} out {_format_count(self.completion_tokens)}"]
        if prices is not None:
            items.append(f"{self.compute_cost(prices):.2f} {prices.currency}")
        if self.failures:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in Counter(dict(self.failures)).most_common())
            items.append(f"failed: {kinds}")
        return ", ".join(items)


def _format_count(count: int) -> str:
    return next((f"{count / size:.1f}{unit}" for unit, size in _UNITS if count >= size), str(count))
