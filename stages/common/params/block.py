"""A block of params: strictly typed, each field with a default, unknown keys refused with the nearest name."""

import difflib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from stages.common.errors import UserError, describe_error, explain_system_error
from stages.common.registry import find_registry

RENAMED = dict(
    line.split()
    for line in """
    accumulate gradient_accumulation_steps
    batch batch_size
    block kl_block_size
    bootstrap num_bootstrap_samples
    data_parallel data_parallel_size
    day_world toy_arithmetic
    deadline_s request_timeout_s
    epochs num_epochs
    fake mock
    flip label_noise
    gpu_memory gpu_memory_utilization
    majority num_majority_samples
    max_characters max_chars
    max_right max_correct
    max_wrong max_incorrect
    options engine_args
    pass_rows micro_batch_size
    people human_labels
    problems num_problems
    records tables
    require gate
    samples num_samples
    schedule lr_scheduler_type
    second second_judge
    served llm
    served_name served_model_name
    spread distributed
    tensor_parallel tensor_parallel_size
    threads num_threads
    tracker report_to
    tries max_attempts
    try_s attempt_timeout_s
    votes num_votes
    weak mock
    workers num_workers
    """.strip().splitlines()
)
"""Keys of 0.1.0, each with its name today."""

MOVED = {
    f"dataset.{key}": f"select.{key}"
    for key in ("balance", "deduplicate", "max_correct", "max_incorrect", "require_both")
}
"""Keys of 0.1.0 that are in another block today, by their names today."""


FILE_HASHES = "file_hashes"
"""Key of a block in ``reports/params/NAME.yaml``: hashes of the local files that the block names. DVC tracks it there;
in a recipe, as which such a file can be used, it says nothing."""

LOCAL_FILE, LOCAL_MODEL = "local file", "local model"
"""Marks of fields in whose place stage `params` hashes what lies at the path."""

LocalFile = Annotated[str, LOCAL_FILE]
"""Path of a file or folder on this machine, whose content decides results."""

ModelName = Annotated[str, LOCAL_MODEL]
"""A Hub repo or a vendor's name for a model, or the path of a folder, whose content then decides results."""


class ParamsError(UserError):
    """A params file that cannot be used; the message has one line per error, each with the key's path."""


class ParamsBlock(BaseModel):
    """A block of params: immutable, no unknown keys, no silent conversion. A field's docstring is its description."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_hashes(cls, value: Any) -> Any:
        return {key: it for key, it in value.items() if key != FILE_HASHES} if isinstance(value, dict) else value


class KindParams(ParamsBlock):
    """A block that chooses one kind of a seam and holds the params of each kind under the kind's name.

    A subclass names its seam and the built-in kinds, and has one optional field per built-in kind that takes params.
    A kind registered from outside (`plugins`) adds a key of its own name, which its params class validates.
    """

    model_config = ConfigDict(extra="allow")

    seam: ClassVar[str]
    """Name of the `Registry` in which the kinds stand."""
    built_in: ClassVar[tuple[str, ...]]
    """Kinds that need no plugin."""

    kind: str

    @property
    def kind_params(self) -> Any:
        """The params of the chosen kind, None where it has none."""
        return getattr(self, self.kind, None)

    @model_validator(mode="before")
    @classmethod
    def _validate_plugin_blocks(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        registry = find_registry(cls.seam)
        classes = registry.params_classes() if registry else {}
        filled, errors = {key: it for key, it in value.items() if key != FILE_HASHES}, []
        if value.get("kind") in classes:
            filled.setdefault(value["kind"], {})
        for key in filled.keys() - cls.model_fields.keys():
            if key not in classes:
                errors.append({"type": "extra_forbidden", "loc": (key,), "input": filled[key]})
                continue
            try:
                filled[key] = classes[key].model_validate(filled[key])
            except ValidationError as error:
                errors += [
                    {
                        **{name: line[name] for name in ("type", "input", "ctx") if name in line},
                        "loc": (key, *line["loc"]),
                    }
                    for line in error.errors()
                ]
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)  # type: ignore[arg-type]
        return filled

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        registry = find_registry(self.seam)
        known = sorted({*self.built_in, *(registry.kinds() if registry else ())})
        if self.kind not in known:
            near = difflib.get_close_matches(self.kind, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
            raise ValueError(f"kind: no {self.seam} of kind {self.kind!r}; {hint}")
        return self


B = TypeVar("B", bound=BaseModel)


def read_yaml(path: Path) -> dict[str, Any]:
    """Parse a YAML mapping; raise `ParamsError` naming the file."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(explain_system_error(error) or f"{path}: {describe_error(error)}") from error
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path}: byte {error.start}: expected UTF-8; save the file in this encoding") from error
    except yaml.YAMLError as error:
        raise ParamsError(f"{path}: expected YAML; correct it: {describe_error(error)}") from error
    if not isinstance(value, dict):
        raise ParamsError(f"{path}: expected a mapping of blocks, found {type(value).__name__}")
    return value


def validate(block: type[B], value: Any, where: str) -> B:
    """Make a `block` of `value`; raise `ParamsError` with one line per error, keys prefixed by `where`."""
    try:
        return block.model_validate(value)
    except ValidationError as error:
        lines = [_describe(block, dict(line), where) for line in error.errors()]
        raise ParamsError("\n".join(lines)) from error


def load(block: type[B], path: Path, key: str) -> B:
    """Read the block under top-level `key` of the YAML file `path`; one that is not there has its defaults."""
    try:
        return validate(block, read_yaml(path).get(key, {}), key)
    except ParamsError as error:
        lines = str(error).splitlines()
        raise ParamsError(
            "\n".join(line if line.startswith(f"{path}: ") else f"{path}: {line}" for line in lines)
        ) from error


def load_seed(path: Path) -> int:
    """The recipe's one seed, from which every other is derived."""
    seed = read_yaml(path).get("seed", 1)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ParamsError(f"{path}: seed: expected an integer, found {seed!r}")
    return seed


def _describe(block: type[BaseModel], error: dict[str, Any], where: str) -> str:
    """One line for an error of pydantic's."""
    location = error["loc"]
    path = ".".join([*([where] if where else []), *map(str, location)])
    if error["type"] == "extra_forbidden":
        known, key = _list_fields(block, location), str(location[-1])
        if RENAMED.get(key) in known:
            return f"{path}: the key's name is now {RENAMED[key]}"
        if moved := MOVED.get(".".join([*path.split(".")[-2:-1], RENAMED.get(key, key)])):
            return f"{path}: the key is now {moved}; move it to block {moved.partition('.')[0]}"
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        return f"{path}: unknown key; " + (f"did you mean {near[0]}?" if near else f"known here: {known}")
    if error["type"] == "missing":
        return f"{path}: missing key"
    if error["type"] == "value_error":  # raised by a block whose keys do not fit together: the message names them
        return f"{path}: {error['msg'].removeprefix('Value error, ')}"
    return f"{path}: {error['msg']}, found {error['input']!r}"


def _list_fields(block: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields valid beside the last part of `location`."""
    model: Any = block
    for part in location[:-1]:
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            return []
        annotation = fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
    return list(getattr(model, "model_fields", {}))
