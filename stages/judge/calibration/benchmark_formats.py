"""Human labels of steps as benchmarks publish them: each row says by its keys which format it has.

| format | of a row | labels |
|---|---|---|
| ProcessBench (2412.06559) | id, problem, steps, label, generator | 0-based first error, -1 for none |
| PRM800K (2305.20050) | question, label.steps[].completions[].rating | -1, 0 or 1 per step, up to the first error |
| Hard2Verify (2510.13744) | unique_id, question, model_response_by_step, human_labels | 0 or 1 per step |
| PRMBench (2501.03124) | idx, modified_question, modified_process, error_steps | 1-based numbers of the wrong steps |
| stepwise supervision (TRL) | prompt, completions, labels | true, false or null per step |

The last may also hold id, generator, reference (a solution), answer (the gold one) and problem_id, which then decides
the split.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from stages.common.raw_rows import read_objects
from stages.common.tables import content_hash
from stages.judge.calibration.labelled_solutions import LabelledSolution

_RATINGS = {1: True, 0: True, -1: False, None: None}
"""PRM800K's ratings; 0 is a step that is not wrong but gets nowhere."""


def read_solutions(path: Path) -> Iterator[LabelledSolution]:
    """The solutions in `path`, a JSON array, JSON Lines or any other file that `read_objects` reads.

    Rows that their authors set aside are left out: PRM800K's screening and control questions and broken problems.
    `UserError` names the first row that has none of the formats, or a value of another type.
    """
    for location, row in read_objects(path):
        reader = next((reader for keys, reader in _READERS.items() if keys <= row.keys()), None)
        if reader is None and "annotator" in row:
            hint = "`stepkto labels export --format stepwise` adds them"
            raise UserError(f"{location}: our own human labels hold no texts; {hint}")
        if reader is None:
            known = "; or ".join(", ".join(sorted(keys)) for keys in _READERS)
            raise UserError(f"{location}: expected a row with {known}; found {', '.join(sorted(row)) or 'no key'}")
        try:
            yield from reader(row)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise UserError(f"{location}: {_describe(error)}; correct or remove this row") from error


def _read_processbench(row: dict[str, Any]) -> Iterator[LabelledSolution]:
    key, problem, steps, label = _to_id(row["id"]), _to_text(row["problem"]), _to_texts(row["steps"]), row["label"]
    if not _is_integer(label) or not -1 <= label < len(steps):
        raise ValueError(f"label: expected an integer from -1 to {len(steps) - 1}, found {label!r}")
    first_error = None if label == -1 else label
    yield LabelledSolution.from_first_error(key, problem, steps, first_error, str(row.get("generator") or ""))


def _read_prm800k(row: dict[str, Any]) -> Iterator[LabelledSolution]:
    if row.get("is_quality_control_question") or row.get("is_initial_screening_question"):
        return
    question, label = _to_object(row["question"]), _to_object(row["label"])
    if label.get("finish_reason") == "bad_problem":
        return
    steps: list[str] = []
    labels: list[bool | None] = []
    for step in _to_list(label["steps"]):
        text, is_correct = _choose_completion(_to_object(step))
        steps.append(text)
        labels.append(is_correct)
    if not steps:
        return
    problem = _to_text(question["problem"])
    reference, answer = (_to_text(question.get(f"ground_truth_{name}") or "") for name in ("solution", "answer"))
    key = content_hash("prm800k", problem, steps)
    yield LabelledSolution(key, problem, steps, labels, reference=reference, answer=answer)


def _choose_completion(step: dict[str, Any]) -> tuple[str, bool | None]:
    """The step of the trajectory that was labelled, and its label; where none was chosen, the model's own is wrong."""
    chosen, completions, human = step["chosen_completion"], _to_list(step["completions"]), step.get("human_completion")
    if chosen is None and human is not None:
        return _to_text(human["text"] if isinstance(human, dict) else human), True
    if chosen is not None and (not _is_integer(chosen) or not 0 <= chosen < len(completions)):
        raise ValueError(f"chosen_completion: expected null or less than {len(completions)}, found {chosen!r}")
    completion = _to_object(completions[chosen or 0])
    rating = completion["rating"]
    if rating is not None and (not _is_integer(rating) or rating not in _RATINGS):
        raise ValueError(f"rating: expected -1, 0, 1 or null, found {rating!r}")
    return _to_text(completion["text"]), None if completion.get("flagged") else _RATINGS[rating]


def _read_hard2verify(row: dict[str, Any]) -> Iterator[LabelledSolution]:
    if isinstance(row["model_response_by_step"], str):
        raise ValueError(
            "model_response_by_step: expected a list, found text: decrypt the file first, as its card says"
        )
    steps, labels = _to_texts(row["model_response_by_step"]), row["human_labels"]
    generator = str(row.get("model") or row.get("generator") or "")
    key = _to_id(row["unique_id"])
    yield LabelledSolution(key, _to_text(row["question"]), steps, _to_labels(labels, steps), generator)


def _read_prmbench(row: dict[str, Any]) -> Iterator[LabelledSolution]:
    """The altered solution; and once per problem, with its redundant version, the original, in which all is correct."""
    key, kind, error_steps = _to_id(row["idx"]), str(row.get("classification") or ""), row["error_steps"]
    steps = _to_texts(row["modified_process"])
    if not isinstance(error_steps, list) or not all(
        _is_integer(number) and 1 <= number <= len(steps) for number in error_steps
    ):
        raise ValueError(f"error_steps: expected numbers from 1 to {len(steps)}, found {error_steps!r}")
    labels: list[bool | None] = [number not in error_steps for number in range(1, len(steps) + 1)]
    yield LabelledSolution(f"{kind}_{key}", _to_text(row["modified_question"]), steps, labels, kind)
    if kind == "redundency":  # PRMBench's spelling
        original = _to_texts(row["original_process"])
        problem = _to_text(row["original_question"])
        yield LabelledSolution(f"correct_{key}", problem, original, [True] * len(original), "correct")


def _read_stepwise(row: dict[str, Any]) -> Iterator[LabelledSolution]:
    problem, steps = _to_text(row["prompt"]), _to_texts(row["completions"])
    key = _to_id(row["id"]) if "id" in row else content_hash("stepwise", problem, steps)
    texts = [str(row.get(name) or "") for name in ("generator", "reference", "problem_id", "answer")]
    yield LabelledSolution(key, problem, steps, _to_labels(row["labels"], steps), *texts)


_READERS: dict[frozenset[str], Callable[[dict[str, Any]], Iterator[LabelledSolution]]] = {
    frozenset({"id", "problem", "steps", "label"}): _read_processbench,
    frozenset({"question", "label"}): _read_prm800k,
    frozenset({"unique_id", "question", "model_response_by_step", "human_labels"}): _read_hard2verify,
    frozenset({"idx", "modified_question", "modified_process", "error_steps"}): _read_prmbench,
    frozenset({"prompt", "completions", "labels"}): _read_stepwise,
}
"""By the keys that a row of the format has."""


def _to_id(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise TypeError(f"id: expected text or an integer, found {value!r}")
    return str(value)


def _to_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r}")
    return value


def _to_texts(value: Any) -> list[str]:
    if not _to_list(value):
        raise ValueError("steps: expected some, found none")
    return [_to_text(text) for text in value]


def _to_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {value!r}")
    return value


def _to_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, found {value!r}")
    return value


def _to_labels(value: Any, steps: list[str]) -> list[bool | None]:
    if not isinstance(value, list) or len(value) != len(steps):
        raise ValueError(f"labels: expected {len(steps)}, one per step, found {value!r}")
    if not all(label is None or (isinstance(label, int) and label in (0, 1)) for label in value):
        raise ValueError(f"labels: expected true or 1, false or 0, or null, found {value!r}")
    return [None if label is None else bool(label) for label in value]


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _describe(error: Exception) -> str:
    return f"missing key {error}" if isinstance(error, KeyError) else str(error)[:300]
