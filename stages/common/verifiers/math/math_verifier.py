"""The verifier of task ``math``: rules in this process, algebra in processes that can be killed."""

from __future__ import annotations

import ast
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from stages.common.gold_answers.choices import complete_choice
from stages.common.verifiers.math.compare.decision import FormulaPair, PreparedInput, prepare_input
from stages.common.verifiers.math.compare.units import TABLE
from stages.common.verifiers.math.extract.final_answer import extract_answer
from stages.common.verifiers.math.process.process_pool import PendingDecision, ProcessPool
from stages.common.verifiers.verifier import Decision, ExtractedAnswer, Verdict, Verifier, VerifierInput

ALGEBRA = "stages.common.verifiers.math.compare.algebra:load_algebra"

_GOLD_MODULES = ("answer_key.py", "boxes.py", "choices.py", "no_answers.py")
"""Modules of the gold answers that verdicts depend on."""

_MAX_WAITING = 1 << 14
"""Verdicts held back while an earlier one is not there: memory does not grow with the number of inputs."""

_POLL_INTERVAL = 64
"""Inputs after which decisions of the processes are taken."""

_MAX_REMEMBERED = 1 << 15
"""Comparisons kept for pairs of formulas that come again."""


@cache
def compute_version() -> str:
    """Return the packages that decide with versions, and a hash of the rules' code without comments and docstrings."""
    from stages.common.tables import content_hash

    folder = Path(__file__).parent
    modules = [Path(__file__), *sorted(folder.glob("compare/*.py")), *sorted(folder.glob("extract/*.py"))]
    common = folder.parents[1]
    modules += [
        common / "thinking.py",
        *(common / "gold_answers" / name for name in _GOLD_MODULES),
    ]
    packages = ("mpmath", "sympy")
    texts = [_strip_comments(path.read_text(encoding="utf-8")) for path in modules]
    tables = [path.read_text(encoding="utf-8") for path in (TABLE, common / "gold_answers" / "no_answers.json")]
    rules = content_hash([*texts, *tables], digits=8)
    return " ".join([*(f"{name} {metadata.version(name)}" for name in packages), f"rules {rules}"])


def _strip_comments(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not _is_text(one)]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


class _Waiting(NamedTuple):
    """An input, the seconds its preparation took, and what decides it."""

    prepared: PreparedInput
    seconds: float
    decision: Decision | PendingDecision


class MathVerifier(Verifier):
    """Compares answers by rules, and by the values of formulas where no rule decides."""

    def __init__(self, num_workers: int = 1, timeout_s: float = 5.0, accepts_guesses: bool = False) -> None:
        super().__init__(num_workers, timeout_s, accepts_guesses)
        self.version = compute_version()
        self.pool = ProcessPool(ALGEBRA, num_workers, timeout_s)
        self._comparisons: OrderedDict[FormulaPair, PendingDecision] = OrderedDict()

    def extract(self, completion: str, is_truncated: bool = False) -> ExtractedAnswer | None:
        """Return the final answer of a completion, see `extract_answer`."""
        return extract_answer(completion, is_truncated)

    def equal(self, first: str, second: str) -> bool | None:
        """Return whether two answers are equal; None: unknown."""
        return self.equal_many([(first, second)])[0]

    def complete_answer(self, problem: str, answer: str) -> str:
        r"""Return ``(B) \frac12`` for the answers ``B`` and ``\frac12`` of a problem whose option B is this."""
        return complete_choice(problem, answer)

    def equal_many(self, pairs: Iterable[tuple[str, str]]) -> list[bool | None]:
        """Return `equal` for each pair, in order."""
        # The second is read as a completion: in a box, the answer is all that is found there.
        boxed = (VerifierInput(first, f"\\boxed{{{second}}}") for first, second in pairs)
        return [verdict.is_correct for verdict in self.verify_many(boxed)]

    def verify(self, gold: str, completion: str, is_truncated: bool = False) -> Verdict:
        """Return the verdict on one completion or answer."""
        (verdict,) = self.verify_many([VerifierInput(gold, completion, is_truncated)])
        return verdict

    def verify_many(self, inputs: Iterable[VerifierInput]) -> Iterator[Verdict]:
        """Yield the verdict on each of `inputs`, in order. Equal pairs of formulas are compared once."""
        waiting: deque[_Waiting] = deque()
        for number, one in enumerate(inputs):
            if number % _POLL_INTERVAL == 0:
                self.pool.poll()
            waiting.append(self._start(one))
            while waiting and (_is_decided(waiting[0]) or len(waiting) >= _MAX_WAITING):
                yield self._finish(waiting.popleft())
        while waiting:
            yield self._finish(waiting.popleft())

    def close(self) -> None:
        """End the processes."""
        self.pool.close()

    def _start(self, one: VerifierInput) -> _Waiting:
        started = time.process_time()
        prepared = prepare_input(one.as_text(), self.accepts_guesses)
        decision = self._compare(prepared.decision) if isinstance(prepared.decision, FormulaPair) else prepared.decision
        return _Waiting(prepared, time.process_time() - started, decision)

    def _compare(self, pair: FormulaPair) -> PendingDecision:
        if pair not in self._comparisons:
            self._comparisons[pair] = self.pool.submit(*pair)
            if len(self._comparisons) > _MAX_REMEMBERED:
                self._comparisons.popitem(last=False)
        return self._comparisons[pair]

    def _finish(self, one: _Waiting) -> Verdict:
        prepared, seconds, decision = one
        if isinstance(decision, PendingDecision):
            pending, decision = decision, self.pool.wait(decision)
            seconds += pending.seconds
        return Verdict(*decision, prepared.gold, prepared.answer, prepared.extraction_rule, seconds, self.version)


def _is_decided(one: _Waiting) -> bool:
    return not isinstance(one.decision, PendingDecision) or one.decision.decision is not None
