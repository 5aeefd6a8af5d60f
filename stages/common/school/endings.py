"""The questions that a story may end in: for its quantity, or for something that an error in a step may leave as it is.

Whether money is enough, how many boxes are full, who has more, the nearest ten, parity and the last digit often stay
the same where the quantity is computed with an error.
"""

import random
from typing import NamedTuple

from stages.common.school.template import Template

WEIGHTS = {"exact": 2, "parity": 1, "digit": 1, "ten": 1, "enough": 3, "at_least": 3, "pack": 4, "versus": 3}
"""How often each ending is chosen among those that suit a template."""


class Ending(NamedTuple):
    """A question in words with slots, the last step of the solution (None where there is none), and the answer."""

    question: str
    step: str | None
    answer: str
    k: int = 0
    """The number in the question."""


def list_endings(template: Template) -> list[str]:
    """The endings that suit `template`."""
    texts = {
        "exact": template.ask,
        "parity": template.count,
        "digit": template.count,
        "ten": template.ask and template.count,
        "enough": template.enough,
        "at_least": template.at_least,
        "pack": template.pack,
        "versus": template.versus,
    }
    return [ending for ending, text in texts.items() if text]


def make_ending(ending: str, template: Template, values: dict[str, int], rng: random.Random) -> Ending | None:
    """The `ending` of a story whose results are `values`, the last one its quantity; None where it does not suit."""
    total = list(values.values())[-1]
    digit = total % 10
    if ending == "exact":
        return Ending(template.ask, None, str(total))
    if ending == "parity":
        step = f"In twos this is 2 * {total // 2}{' + 1' * (total % 2)} = {total}."
        question = f"Is the number of {template.count} even or odd?"
        return Ending(question, step, "odd" if total % 2 else "even") if total > 3 else None
    if ending == "digit":
        step = f"The tens taken away leave {total} - {total - digit} = {digit}."
        return (
            Ending(f"What is the last digit of the number of {template.count}?", step, str(digit))
            if total > 9
            else None
        )
    if ending == "ten":
        ten = total - digit + 10 * (digit > 5)
        step = f"The ten above is {total} + {ten - total} = {ten}."
        if ten < total:
            step = f"The ten below is {total} - {total - ten} = {ten}."
        question = f"Rounded to the nearest ten, {template.ask[0].lower()}{template.ask[1:]}"
        return Ending(question, step, str(ten)) if total > 9 and digit not in (0, 5) else None
    if ending in ("enough", "at_least"):
        return _make_limit(template.enough if ending == "enough" else template.at_least, total, ending, rng)
    if ending == "pack":
        size = rng.randint(3, 9)
        full, rest = divmod(total, size)
        step = f"Filling one after the other gives {full} * {size}{f' + {rest}' if rest else ''} = {total}."
        return Ending(template.pack, step, str(full), size) if full > 1 else None
    first, second = values["u"], values["v"]
    step = f"The difference is {max(first, second)} - {min(first, second)} = {abs(first - second)}."
    answer = "{name}" if first > second else "{other}"
    return Ending(template.versus, step, answer) if first != second else None


def _make_limit(question: str, total: int, relation: str, rng: random.Random) -> Ending | None:
    """A yes or no question about a number near `total`: close enough that an error may change the answer."""
    is_above = rng.random() < 0.5
    gap = rng.randint(1, max(3, total // 6))
    k = total + gap if is_above else total - gap
    step = f"The difference is {max(total, k)} - {min(total, k)} = {gap}."
    return Ending(question, step, "yes" if is_above == (relation == "enough") else "no", k) if k > 1 else None
