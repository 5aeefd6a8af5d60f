"""The grading process: reads pairs of formulas, compares them with math-verify, writes verdicts.

Run as a file of its own by stages.outcome.worker, so that it starts without the rest of the project. One line of JSON
in, ``[gold, answer, seconds]``; one line out, ``[value, reason]``. It sets its own limits on memory and processor time.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import time
from dataclasses import replace
from typing import IO, Any

MEMORY = 1 << 30
"""Address space, in bytes; SymPy itself takes some 100 MB."""

GRACE = 2
"""Seconds of processor time above the limit of a pair after which the kernel ends this process."""


class Algebra:
    """math-verify, loaded when the first pair comes."""

    def __init__(self) -> None:
        import logging

        logging.disable(logging.CRITICAL)
        import math_verify
        import math_verify.parser
        import sympy

        def refuse(*_: object, **__: object) -> None:
            raise ValueError("text is never evaluated here")

        # The only way from text to evaluated Python in math-verify; nothing is sent there, and nothing could go.
        math_verify.parser.parse_expr = refuse
        self._sympy = sympy
        plain = math_verify.LatexExtractionConfig()
        # Units are taken off before; math-verify takes ab in 2ab for one.
        normalization = replace(plain.normalization_config, units=False)
        self._configuration = [replace(plain, normalization_config=normalization)]
        self._parse = math_verify.parse
        self._verify = math_verify.verify

    def read(self, formula: str) -> list[Any]:
        """What `formula` says, as SymPy objects; empty where it says nothing that can be parsed."""
        parsed: list[Any] = self._parse(
            f"${formula}$",
            extraction_config=self._configuration,
            fallback_mode="no_fallback",
            parsing_timeout=None,
            raise_on_error=False,
        )
        return parsed

    def compare(self, gold: str, answer: str) -> tuple[bool | None, str]:
        """Whether two formulas are equal, and why; None where `gold` cannot be read."""
        first, second = self.read(gold), self.read(answer)
        if not first:
            return None, "gold cannot be parsed"
        if not second:
            return False, "answer cannot be parsed"
        equal = self._verify(first, second, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True)
        if equal and not self._trust(first[0], second[0]):
            return False, "math-verify, overruled: the equations differ"
        if not equal and self._same_variable(first[0], second[0]):
            return True, "algebra: the difference is 0"
        return bool(equal), "math-verify"

    def _same_variable(self, gold: Any, answer: Any) -> bool:
        """Whether a single variable is what the other formula comes to: math-verify compares it by its name only."""
        sympy = self._sympy
        pair = (gold, answer)
        if not all(isinstance(one, sympy.Expr) for one in pair) or not any(one.is_Symbol for one in pair):
            return False
        return bool(gold.free_symbols & answer.free_symbols and sympy.simplify(gold - answer) == 0)

    def _trust(self, gold: Any, answer: Any) -> bool:
        """Whether math-verify's yes holds: it finds two equations without solutions equal."""
        sympy = self._sympy
        pair = (gold, answer)
        if not all(isinstance(one, sympy.Eq) for one in pair) or gold == answer:
            return True
        if all(one.lhs.is_Symbol for one in pair):
            return True
        first, second = (sympy.simplify(one.lhs - one.rhs) for one in pair)
        if not first.free_symbols or not second.free_symbols:
            return False
        ratio = sympy.simplify(first / second)
        return bool(ratio.is_number and ratio != 0)


def _limit_processor(seconds: float) -> None:
    """End this process when it spends `seconds` and some grace more, though its parent may be gone."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    ceiling = int(used.ru_utime + used.ru_stime + seconds) + GRACE
    resource.setrlimit(resource.RLIMIT_CPU, (ceiling, resource.RLIM_INFINITY))


def _verdict(algebra: Algebra, gold: str, answer: str) -> tuple[bool | None, str]:
    try:
        return algebra.compare(gold, answer)
    except MemoryError:
        return None, "out of memory"
    except RecursionError:
        return None, "nested too deeply"
    except Exception as error:  # noqa: BLE001 - whatever a model's text makes a parser raise is that pair's "cannot tell"
        return None, f"algebra failed: {type(error).__name__}"


def serve(pairs: IO[bytes], verdicts: IO[bytes]) -> None:
    """Answer `pairs` until they end; first writes an empty line to say that it is ready."""
    algebra = Algebra()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    verdicts.write(b"\n")
    verdicts.flush()
    for line in pairs:
        gold, answer, seconds = json.loads(line)
        _limit_processor(seconds)
        began = time.perf_counter()
        value, reason = _verdict(algebra, gold, answer)
        verdicts.write(json.dumps([value, reason, time.perf_counter() - began]).encode("ascii") + b"\n")
        verdicts.flush()


def main() -> None:
    parent = int(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
    if os.getppid() != parent:
        return
    pairs, verdicts = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # Parsers print what they think of a formula; none of it may get between the verdicts.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    serve(pairs, verdicts)


if __name__ == "__main__":
    main()
