"""``make bench-llm``: requests a second with our journal, tries and costs, beside a bare asyncio and openai loop.

Both ask the same server, which answers after 50 ms, the same requests, 512 at once, in turns within this one run.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from stages.common.engines import GenerationRequest, Runner
from stages.common.engines.openai_engine import OpenAIEngine
from stages.common.engines.retry_policy import RetryPolicy
from tests.support.fault_server import fault_server, stats

REQUESTS = 5_000
AT_ONCE = 512
LATENCY_S = 0.05
TURNS = 5
WANTED = 0.9
"""Share of the bare loop's rate."""

PROMPT = "Add the numbers step by step, then give the last digit in a box. " * 8


def requests(turn: int) -> Iterator[GenerationRequest]:
    for number in range(REQUESTS):
        prompt = f"{turn}: problem {number // 8}: {PROMPT}"
        yield GenerationRequest("policy", [{"role": "user", "content": prompt}], 1.0, 100, number)


def bare(url: str, turn: int) -> None:
    """No journal, no hash, no retry, no count of costs; texts are kept in memory."""
    texts: list[str | None] = []
    source = requests(turn)

    async def ask_some(client: AsyncOpenAI) -> None:
        for request in source:
            reply = await client.chat.completions.create(
                model="tiny",
                messages=request.prompt,  # type: ignore[arg-type]
                temperature=request.temperature,
                max_tokens=request.max_tokens,
                top_p=request.top_p,
                seed=request.seed,
            )
            texts.append(reply.choices[0].message.content)

    async def ask_all() -> None:
        http = DefaultAsyncHttpxClient(trust_env=False)  # 1,000 connections, by the package's own default
        async with AsyncOpenAI(api_key="none", base_url=url, http_client=http, max_retries=0) as client:
            await asyncio.gather(*(ask_some(client) for _ in range(AT_ONCE)))

    asyncio.run(ask_all())
    assert len(set(texts)) == REQUESTS


def ours(url: str, turn: int) -> None:
    """Answers on disk, read back in order."""
    os.environ["OPENAI_BASE_URL"] = url
    with tempfile.TemporaryDirectory() as folder:
        engine = OpenAIEngine("tiny", AT_ONCE, RetryPolicy(60, 30))
        with Runner(engine, Path(folder) / "journal.jsonl", "bench") as runner:
            runner.run(requests(turn), total=REQUESTS)
            assert runner.new_usage.completions == REQUESTS


def rates(ask: Callable[[str, int], None], url: str, turn: int) -> tuple[float, float]:
    """Requests a second of time, and of this process's time on a core, which neighbours on the machine change less."""
    started, started_cpu = time.perf_counter(), time.process_time()
    ask(url, turn)
    return REQUESTS / (time.perf_counter() - started), REQUESTS / (time.process_time() - started_cpu)


def main() -> None:
    os.environ.pop("OPENAI_API_KEY", None)
    seen: dict[str, list[tuple[float, float]]] = {"bare": [], "ours": []}
    with fault_server(latency=LATENCY_S) as url:
        bare(url, -1)  # what is loaded once is loaded
        ours(url, -2)
        for turn in range(TURNS):
            seen["bare"].append(rates(bare, url, 2 * turn))
            seen["ours"].append(rates(ours, url, 2 * turn + 1))
        most = stats(url)["most_at_once"]
    print(f"{REQUESTS} requests a turn, {TURNS} turns, {LATENCY_S * 1000:g} ms, {AT_ONCE} at once (most seen: {most})")
    for name, label in (("bare", "asyncio + openai"), ("ours", "stages.common.engines, journal on disk")):
        time_, core = (statistics.median(column) for column in zip(*seen[name], strict=True))
        shown = " ".join(f"{turn:.0f}" for turn, _ in seen[name])
        print(f"{label:<28} {time_:6.0f} requests/s, {core:6.0f} per core second   (turns: {shown})")
    pairs = list(zip(seen["bare"], seen["ours"], strict=True))
    share, of_core = (statistics.median(ours[at] / bare[at] for bare, ours in pairs) for at in (0, 1))
    print(f"ours / bare, median of the turns: {share:.1%} by time (wanted: {WANTED:.0%}), {of_core:.1%} by core second")
    sys.exit(share < WANTED)


if __name__ == "__main__":
    main()
