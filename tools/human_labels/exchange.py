"""Human labels in the files of other tools: an export that checks what it wrote, and an import that names bad rows."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stages.common.errors import UserError, describe_error
from stages.common.human_labels import HumanLabel, append_human_labels, check_human_label, hash_step_text
from stages.common.provenance import compute_sha256
from stages.common.raw_rows import RawRow, parse_line, read_file
from tools.human_labels.annotations import Annotation, ForeignAnnotation, LabelFormat
from tools.human_labels.formats import FORMATS
from tools.human_labels.sample_tables import SampleKey, SampleTables

TIME_NOT_KNOWN = "1970-01-01T00:00:00Z"
"""Time of a label whose file does not say when it was given."""

NOT_KNOWN = "0" * 8
"""Version of a guideline that is not known."""


def export_labels(
    tables: SampleTables, labels_path: Path, format_name: str, out: Path, lossy: bool = False
) -> Iterator[str]:
    """Write the labels that count to `out` in a format of `FORMATS`; yield a line that says how many.

    What was written is read again. Where it does not give the same labels, `UserError` says how many are not the same,
    and nothing is written. Labels of another text than their step has are left out and counted. `lossy` writes the
    format's own keys alone, and the line says what they leave out.
    """
    label_format = FORMATS[format_name]
    labels, of_other_texts = tables.read_labels(labels_path)
    annotations = tables.annotate(labels)
    index = {
        it.completion.sample_id: SampleKey(
            it.labels[0].round, it.completion.problem_id, tuple(map(hash_step_text, it.completion.steps))
        )
        for it in annotations
    }
    num_found = sum(len(it.labels) for it in annotations)
    losses = Counter({"sample": len(labels) - num_found})
    for annotation in annotations:
        losses.update(_count_losses(label_format, annotation, index, with_own=not lossy))
    lost = _format_losses(losses)
    if lost and not lossy:
        raise UserError(
            f"{out}: {format_name} cannot hold all of {len(labels):,} labels; it would leave out: {lost}; "
            "use --lossy to leave that out, or choose another format"
        )
    rows = label_format.write_rows(annotations, with_own=not lossy)
    if label_format.suffix == ".json":
        text = json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
    else:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    num_written = num_found - losses["label"]
    yield f"{out}: {len(rows):,} rows with {num_written:,} labels{f'; left out: {lost}' if lost else ''}"
    if of_other_texts:
        yield of_other_texts


def import_labels(
    tables: SampleTables, files: Sequence[Path], format_name: str, labels_path: Path, lossy: bool = False
) -> Iterator[str]:
    """Append the labels of `files` to `labels_path`; yield a line for each bad row, and one with counts.

    Labels that are there already are not appended again. Raises `UserError` where a file holds labels that no human
    label can hold, unless `lossy`, and at the end where rows were bad: the others are imported nevertheless.
    """
    read: list[tuple[str, str, ForeignAnnotation]] = []
    errors: list[str] = []
    for path in files:
        version = compute_sha256(path)[:8] if path.is_file() else NOT_KNOWN
        for row in _read_rows(path):
            try:
                if row.error is not None or not isinstance(row.value, dict):
                    raise ValueError(row.error or f"expected an object, found {type(row.value).__name__}")
                read += [(row.location, version, it) for it in FORMATS[format_name].read_row(row.value)]
            except ValueError as error:
                errors.append(f"{row.location}: {describe_error(error)}")
    num_left_out = sum(it.num_left_out for _, _, it in read)
    if num_left_out and not lossy:
        raise UserError(
            f"{', '.join(map(str, files))}: {num_left_out:,} labels are of steps that are in no completion "
            "(alternatives); use --lossy to leave them out"
        )
    index = tables.index({it.sample_id for _, _, it in read})
    labels: list[HumanLabel] = []
    for location, version, foreign in read:
        try:
            labels += to_human_labels(foreign, index.get(foreign.sample_id), format_name, version)
        except ValueError as error:
            errors.append(f"{location}: {describe_error(error)}")
    lines = set(labels_path.read_text(encoding="utf-8").splitlines()) if labels_path.is_file() else set()
    new = [label for label in dict.fromkeys(labels) if _format_line(label) not in lines]
    append_human_labels(labels_path, new)
    yield from errors
    people = len({label.annotator for label in labels})
    left_out = f"; {num_left_out:,} of alternative steps left out" if num_left_out else ""
    yield f"{labels_path}: {len(new):,} of {len(labels):,} labels by {people} people are new{left_out}"
    if errors:
        raise UserError(f"{len(errors):,} rows could not be imported; correct or remove them, and import again")


def to_human_labels(
    foreign: ForeignAnnotation, sample: SampleKey | None, format_name: str, version: str
) -> list[HumanLabel]:
    """Human labels of what a row says; `sample` is where its id is found, None where it is in no table.

    Each is of the text that the row holds of its step, else of the table's. A solution that is in none keeps the id
    that its format gives it, and the format's name as its round. Raises `ValueError` for a label or step that there is
    not.
    """
    if foreign.own:
        return foreign.own
    hashes = dict(enumerate(sample.text_hashes if sample else ()))
    hashes |= {step: hash_step_text(text) for step, text in enumerate(foreign.steps)}
    num_steps = len(foreign.steps) if sample is None else len(sample.text_hashes)
    if sample is None and "problem_id" not in foreign.facts:
        raise ValueError(f"no sample {foreign.sample_id[:80]!r} in the tables of this project; export its labels first")
    shared: dict[str, Any] = {
        "round": format_name,
        "kind": "imported",
        "mode": "per_step",
        "queue": "browsing",
        "is_blind": True,
        "seconds": 0.0,
        "page_version": version,
        "guideline_version": NOT_KNOWN,
        "judge_label": "none",
        "judge": "none",
        **foreign.facts,
        "sample_id": foreign.sample_id,
        "time": _to_utc(foreign.facts.get("time") or TIME_NOT_KNOWN),
    }
    if sample is not None:
        shared |= {"round": sample.round, "problem_id": sample.problem_id}
    if beyond := [step for step in foreign.values if not 0 <= step < num_steps]:
        raise ValueError(f"step: expected 0 to {num_steps - 1}, found {beyond[0]}")
    return [
        check_human_label({**shared, "step": step, "text_hash": hashes[step], "label": label}, f"step {step}")
        for step, label in sorted(foreign.values.items())
    ]


def _count_losses(
    label_format: LabelFormat, annotation: Annotation, index: dict[str, SampleKey], with_own: bool
) -> Counter[str]:
    """Labels of `annotation` by the key that is not the same after an export and an import; `label` if none is left."""
    rows = label_format.write_rows([annotation], with_own)
    again = {}
    for row in json.loads(json.dumps(rows)):
        for foreign in label_format.read_row(row):
            labels = to_human_labels(foreign, index.get(foreign.sample_id), "none", NOT_KNOWN)
            again.update({label.step: label for label in labels})
    losses: Counter[str] = Counter()
    for label in annotation.labels:
        read = again.get(label.step)
        if read is None:
            losses["label"] += 1
        else:
            losses.update(key for key in HumanLabel.model_fields if getattr(read, key) != getattr(label, key))
    return losses


def _format_losses(losses: Counter[str]) -> str:
    whole = {"sample": "labels of samples in no table", "label": "labels that it cannot say"}
    texts = [f"{losses[key]:,} {text}" for key, text in whole.items() if losses[key]]
    keys = [f"{key} of {losses[key]:,}" for key in HumanLabel.model_fields if losses[key] and key not in whole]
    return ", ".join(texts + keys)


def _format_line(label: HumanLabel) -> str:
    return json.dumps(label.model_dump(), ensure_ascii=True)


def _read_rows(path: Path) -> Iterator[RawRow]:
    if path.name != "user_state.json":
        yield from read_file(path)
        return
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path")
    value, error = parse_line(path.read_bytes())  # Potato writes one object over many lines
    yield RawRow(path.name, 0, str(path), value, error)


def _to_utc(time: str) -> str:
    """PRM800K's times have no zone; they are taken as UTC."""
    return time if time.endswith(("Z", "+00:00")) else f"{time}Z"
