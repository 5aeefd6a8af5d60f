"""What generation costs: tokens in, out and cached, money where prices are known, shown while it grows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

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
    failures: Counter[str] = field(default_factory=Counter)
    """Requests that failed finally, by kind."""

    def add(self, response: Response) -> None:
        """Count one more response."""
        if isinstance(response, Failure):
            self.failures[response.kind] += 1
            return
        self.completions += 1
        self.prompt_tokens += response.prompt_tokens or 0
        self.completion_tokens += response.completion_tokens or 0
        self.cached_tokens += response.cached_tokens or 0

    def compute_cost(self, prices: PriceParams) -> float:
        """The cost at `prices`, in their currency."""
        cached = min(self.cached_tokens, self.prompt_tokens)
        uncached = self.prompt_tokens - cached
        cost = uncached * prices.prompt + cached * prices.cached + self.completion_tokens * prices.completion
        return cost / 1_000_000

    def report(self, prices: PriceParams | None = None) -> dict[str, Any]:
        """For a stage's report: counts, cache hit rate (0 to 1, null without tokens), cost (null without `prices`)."""
        rate = round(self.cached_tokens / self.prompt_tokens, 4) if self.prompt_tokens else None
        return {
            "completions": self.completions,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cached_tokens": self.cached_tokens,
            "cache_hit_rate": rate,
            "failures": dict(sorted(self.failures.items())),
            "cost": None if prices is None else round(self.compute_cost(prices), 6),
            "currency": None if prices is None else prices.currency,
        }

    def format_line(self, prices: PriceParams | None = None) -> str:
        """For a progress bar: ``in 1.2M (31% cached) out 0.4M, 3.21 USD, 7 failed``."""
        cached = f" ({self.cached_tokens / self.prompt_tokens:.0%} cached)" if self.cached_tokens else ""
        items = [f"in {_format_count(self.prompt_tokens)}{cached} out {_format_count(self.completion_tokens)}"]
        if prices is not None:
            items.append(f"{self.compute_cost(prices):.2f} {prices.currency}")
        if self.failures:
            items.append(f"{self.failures.total()} failed")
        return ", ".join(items)


def _format_count(count: int) -> str:
    return next((f"{count / size:.1f}{unit}" for unit, size in _UNITS if count >= size), str(count))


class UsageBar:
    """A progress bar with the usage so far on a terminal, silent elsewhere."""

    def __init__(self, desc: str, total: int | None, usage: LlmUsage, prices: PriceParams | None) -> None:
        self._usage = usage
        self._prices = prices
        self._bar = tqdm(desc=desc, total=total, unit="requests", disable=None, mininterval=0.5, leave=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def add(self, response: Response) -> None:
        """Count one more response and show it from time to time."""
        self._usage.add(response)
        if not self._bar.disable:
            self._bar.set_postfix_str(self._usage.format_line(self._prices), refresh=False)
            self._bar.update()

    def skip(self) -> None:
        """Count one that was in the journal."""
        self._bar.update()
