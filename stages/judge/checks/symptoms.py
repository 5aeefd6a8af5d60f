"""Measures of what a degenerate judge says: each is a rate, 0 to 1, over a number of labels or replies."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stages.judge.label_stats import divide
from stages.judge.step_labels import StepLabel

MIN_COUNT = 30
"""Labels or replies below which nothing is measured: too few to tell."""

MIN_COPY_CHARS = 8
"""Shortest rationale that counts as copied: "correct" stands in every prompt."""


@dataclass(frozen=True)
class Symptom:
    """One measure. It is found where `value` reaches `threshold`."""

    name: str
    """Its key in `judge.checks`."""
    value: float | None
    """None where it was not measured: `count` is too small, or it does not apply."""
    count: int
    threshold: float | None
    """None where it is not looked for."""
    description: str
    """What was found, as a clause, if it was."""
    is_explained: bool = False
    """Whether something else than the judge explains the value."""

    @property
    def is_found(self) -> bool:
        """Whether the judge shows this symptom."""
        is_reached = self.value is not None and self.threshold is not None and self.value >= self.threshold
        return is_reached and not self.is_explained

    def report(self) -> dict[str, Any]:
        """For the stage's report."""
        own = asdict(self)
        del own["name"], own["description"]
        return {**own, "is_found": self.is_found}

    def __str__(self) -> str:
        assert self.value is not None
        return f"{self.description} ({self.value:.1%} of {self.count}; judge.checks.{self.name} is {self.threshold:g})"


def compute_rate(hits: Sequence[bool]) -> tuple[float | None, int]:
    """The fraction of true ones among `hits`, None where they are fewer than `MIN_COUNT`; and their number."""
    return (divide(sum(hits), len(hits)) if len(hits) >= MIN_COUNT else None), len(hits)


def find_main_label(labels: Sequence[bool]) -> bool | None:
    """The more frequent of the two; None without labels."""
    return 2 * sum(labels) >= len(labels) if labels else None


def compute_repeated(labels: Sequence[StepLabel]) -> tuple[float | None, int]:
    """How often the most frequent rationale of a verdict is given, for the verdict with which it is given less often.

    None where few steps are incorrect: "the equation holds" may be all that there is to say of a correct one.
    """
    texts = {
        is_correct: [
            _normalize(label.reason) for label in labels if label.is_correct is is_correct and label.reason.strip()
        ]
        for is_correct in (False, True)
    }
    if len(texts[False]) < MIN_COUNT:
        return None, len(texts[False])
    counted = [of_label for of_label in texts.values() if len(of_label) >= MIN_COUNT]
    rates = [Counter(of_label).most_common(1)[0][1] / len(of_label) for of_label in counted]
    return round(min(rates), 6), sum(map(len, counted))


def list_copied(steps: Iterable[tuple[str, StepLabel]], templates: Sequence[str]) -> list[bool]:
    """For each rationale: whether it stands in one of the prompts' `templates`, or is the whole step it is about."""
    prompts = [_normalize(re.sub(r"\{[{%].*?[}%]\}", " ", template, flags=re.DOTALL)) for template in templates]
    copied = []
    for step, label in steps:
        text = _normalize(label.reason)
        if label.is_correct is not None and text:
            is_quote = len(text) >= MIN_COPY_CHARS and any(text in prompt for prompt in prompts)
            copied.append(is_quote or text == _normalize(step))
    return copied


def list_identical(rows: Iterable[dict[str, Any]], judge_indexes: Iterable[int]) -> list[bool]:
    """For each prompt with several valid replies by one of the models: whether they are the same, letter by letter.

    `rows` are REPLY rows.
    """
    texts = defaultdict(list)
    for row in rows:
        if row["error"] is None and row["judge_index"] in judge_indexes:
            texts[row["sample_id"], row["judge_index"], row["step"]].append((row.get("reasoning"), row["text"]))
    return [len(set(of_prompt)) == 1 for of_prompt in texts.values() if len(of_prompt) > 1]


def _normalize(text: str) -> str:
    return " ".join(text.casefold().split()).strip("\"'.")
