"""What asking costs: tokens in, out and cached, money where prices are known, shown while it grows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from stages.common.engines.request import Failure, Result

MILLION = 1_000_000


@dataclass(frozen=True)
class Prices:
    """Money per million tokens."""

    prompt: float
    """Tokens in that no prefix cache served."""
    cached: float
    """Tokens in that a prefix cache served."""
    completion: float
    currency: str


@dataclass
class Usage:
    """Sums over answers. Tokens that a server does not report count as 0."""

    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """Requests that failed for good, by kind."""

    def add(self, result: Result) -> None:
        """Count one more."""
        if isinstance(result, Failure):
            self.failures[result.kind] += 1
            return
        self.answers += 1
        self.prompt_tokens += result.prompt_tokens or 0
        self.completion_tokens += result.completion_tokens or 0
        self.cached_tokens += result.cached_tokens or 0

    def money(self, prices: Prices) -> float:
        """What it costs at `prices`, in their currency."""
        cached = min(self.cached_tokens, self.prompt_tokens)
        fresh = self.prompt_tokens - cached
        cost = fresh * prices.prompt + cached * prices.cached + self.completion_tokens * prices.completion
        return cost / MILLION

    def report(self, prices: Prices | None = None) -> dict[str, Any]:
        """For a stage's report: counts, cache hit rate (0 to 1, null without tokens), money (null without `prices`)."""
        rate = round(self.cached_tokens / self.prompt_tokens, 4) if self.prompt_tokens else None
        return {
            "answers": self.answers,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cached_tokens": self.cached_tokens,
            "cache_hit_rate": rate,
            "failures": dict(sorted(self.failures.items())),
            "money": None if prices is None else round(self.money(prices), 6),
            "currency": None if prices is None else prices.currency,
        }

    def line(self, prices: Prices | None = None) -> str:
        """For a progress bar: ``in 1.2M (31% cached) out 0.4M, 3.21 USD, 7 failed``."""
        cached = f" ({self.cached_tokens / self.prompt_tokens:.0%} cached)" if self.cached_tokens else ""
        parts = [f"in {_short(self.prompt_tokens)}{cached} out {_short(self.completion_tokens)}"]
        if prices is not None:
            parts.append(f"{self.money(prices):.2f} {prices.currency}")
        if self.failures:
            parts.append(f"{self.failures.total()} failed")
        return ", ".join(parts)


def _short(count: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)


class Meter:
    """A progress bar with the live cost on a terminal, silent elsewhere."""

    def __init__(self, label: str, total: int | None, usage: Usage, prices: Prices | None) -> None:
        self._usage = usage
        self._prices = prices
        self._bar = tqdm(desc=label, total=total, unit="requests", disable=None, mininterval=0.5, leave=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def saw(self, result: Result) -> None:
        """Count one more and show it now and then."""
        self._usage.add(result)
        if not self._bar.disable:
            self._bar.set_postfix_str(self._usage.line(self._prices), refresh=False)
            self._bar.update()

    def skip(self) -> None:
        """Count one that was in the journal."""
        self._bar.update()
