"""Fuzzing of extraction and grading: `make fuzz`. Any exception is a fault, and so is a verdict that never comes."""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from stages.common.verifiers import verify_answer
from stages.common.verifiers.math.extract.final_answer import MAX_ANSWER_CHARS, extract_answer

LIMIT = 1.0
HUNG = 30.0
"""Seconds for one pair after which grading hangs, however busy the machine."""

PIECES = [
    *("\\boxed{", "\\fbox{", "\\frac{", "\\sqrt{", "\\sqrt[", "\\text{", "\\left(", "\\right)", "\\begin{pmatrix}"),
    *("\\end{pmatrix}", "\\\\", "\\{", "\\}", "{", "}", "(", ")", "[", "]", "|", "$", "$$", "\\(", "\\)", "\\[", "\\]"),
    *(
        "^",
        "_",
        "!",
        "%",
        "\\%",
        "\\$",
        "^\\circ",
        "\\pm ",
        "\\mp ",
        "\\infty",
        "\\cup ",
        "\\in ",
        "\\overline{",
        "...",
    ),
    *("+", "-", "*", "/", "=", "<", "\\le ", ",", ";", ":", ".", " ", "\n", "\n\n", "&", "'", '"', "`", "__", "\0"),
    *("0", "1", "9", "25", "1,000", "10^{9}", "0.5", "1e5", "x", "y", "i", "e", "\\pi", "\\sin ", "\\log_", "\\sum_"),
    *("answer is ", "Answer: ", "#### ", "**", " and ", " or ", "I hope it is correct", "cm", "\\text{ cm}", "even"),
    *(
        "<think>",
        "</think>",
        "<|im_end|>",
        "</s>",
        "答案是",
        "故选",
        "Ответ: ",
        "So the total is ",
        ", so ",
        " not ",
        "not (",
        "3π",
    ),
    *(
        " 1 250",
        " 3 1/2",
        "Step 2:",
        "| ",
        "\\begin{align*}",
        "\\end{align*}",
        "&=",
        "<answer>",
        "Option B",
        "which ",
        " of ",
    ),
    *("(A)", "no solution", "10:30", " am", "_{2}", "mod ", "import os", "é", "½", "√", "²", "−", "\u202e", "\ud800"),
]
TEXTS = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
    st.text(max_size=60),
    st.builds(str.__add__, st.sampled_from(PIECES), st.text(max_size=10)),
)


@settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(TEXTS, TEXTS, st.booleans())
def check(gold: str, text: str, is_truncated: bool) -> None:
    """Extraction finds what lies in the text, and grading gives a verdict."""
    found = extract_answer(text, is_truncated)
    if found is not None:
        assert 0 <= found.start < found.end <= len(text)
        assert 0 < len(found.text) <= MAX_ANSWER_CHARS
    faulthandler.dump_traceback_later(HUNG, exit=True)
    verdict = verify_answer(gold, text, timeout_s=LIMIT)
    assert verdict.is_correct in (True, False, None)
    assert verdict.reason
    faulthandler.cancel_dump_traceback_later()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=60.0)
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="rounds are drawn from it and its successors"
    )
    arguments = parser.parse_args()
    verify_answer("x", "x+1-1")  # what loads late is loaded
    end = time.monotonic() + arguments.seconds
    rounds = 0
    while time.monotonic() < end:
        seed(arguments.seed + rounds)(check)()
        rounds += 1
    sys.stdout.write(f"{rounds} rounds of up to 400 pairs, from seed {arguments.seed}: no fault\n")


if __name__ == "__main__":
    main()
