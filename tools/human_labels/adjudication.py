"""Steps on which people differ, and the label that settles each."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from stages.common.errors import UserError
from stages.common.human_labels import HumanLabel, append_human_labels, check_human_label, read_human_labels
from stages.common.resolved_labels import PEOPLE_DISAGREE, resolve_labels
from tools.audit.step_hashes import keep_current_labels
from tools.human_labels.sample_tables import SampleTables, describe_left_out

MAX_STEP_CHARS = 300
"""Characters of a step that are listed."""

NO_PAGE = "0" * 8
"""Version of the page where a label was given on the command line."""


def list_disagreements(tables: SampleTables, labels: list[HumanLabel]) -> Iterator[str]:
    """Each step whose label people do not agree on and nobody settled: where it is, who said what, and its text."""
    num_labels = len(labels)
    labels = keep_current_labels(tables.root, tables.table_sets, labels)
    steps = find_disagreements(labels)
    completions = tables.read_completions(label for of_step in steps.values() for label in of_step)
    for (sample_id, step), of_step in steps.items():
        opinions = ", ".join(f"{label.annotator} {label.label}" for label in of_step)
        completion = completions.get((of_step[0].round, sample_id))
        is_known = completion is not None and step < len(completion.steps)
        text = " ".join(completion.steps[step].split()) if completion and is_known else "text not in the tables"
        yield f"{of_step[0].round} {sample_id} {step}: {opinions}: {text[:MAX_STEP_CHARS]}"
    settled = len({(label.sample_id, label.step) for label in labels if label.kind == "adjudicated"})
    yield f"{len(steps):,} steps to adjudicate; {settled:,} settled"
    if left_out := describe_left_out(num_labels - len(labels)):
        yield left_out


def find_disagreements(labels: list[HumanLabel]) -> dict[tuple[str, int], list[HumanLabel]]:
    """The labels of each step that is not settled, by sample_id and step, sorted."""
    resolved = resolve_labels(labels)
    found: dict[tuple[str, int], list[HumanLabel]] = defaultdict(list)
    for label in sorted(labels, key=lambda it: (it.sample_id, it.step, it.annotator)):
        key = (label.sample_id, label.step)
        if label.kind != "gold" and resolved[key].unknown_reason == PEOPLE_DISAGREE:
            found[key].append(label)
    return found


def adjudicate(path: Path, sample_id: str, step: int, label: str, adjudicator: str) -> str:
    """Append the label of `adjudicator` that settles a step; return a line that says so.

    `sample_id` may be a beginning that no other labelled sample has. It wins over what people said, and over an earlier
    adjudication. It is of the text that was labelled last, and labels of another text have no part in it. Raises
    `UserError` for a step that nobody labelled.
    """
    labels = read_human_labels(path)
    samples = sorted({it.sample_id for it in labels if it.sample_id.startswith(sample_id)})
    if len(samples) != 1:
        raise UserError(f"{path}: expected one labelled sample that begins with {sample_id!r}, found {len(samples)}")
    of_step = [it for it in labels if (it.sample_id, it.step) == (samples[0], step) and it.kind != "gold"]
    if not of_step:
        raise UserError(f"{path}: nobody labelled step {step} of sample {samples[0]}")
    last = of_step[-1]
    of_step = [it for it in of_step if it.text_hash == last.text_hash]
    settled = {
        "annotator": adjudicator,
        "label": label,
        "kind": "adjudicated",
        "mode": "per_step",
        "is_blind": True,  # the list shows what people said, not the judge's label
        "seconds": 0.0,
        "time": datetime.now(UTC).isoformat(),
        "page_version": NO_PAGE,
    }
    append_human_labels(path, [check_human_label(last.model_dump() | settled, "adjudicated label")])
    opinions = ", ".join(f"{it.annotator} {it.label}" for it in of_step)
    return f"{samples[0]}, step {step}: {label} by {adjudicator}; before: {opinions}"
