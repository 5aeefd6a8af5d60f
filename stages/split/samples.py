"""The steps of samples as a table, by the rules or by a model, and what a report says about them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl

from stages.common.params.split import SplitParams
from stages.common.tables import STEP
from stages.split.boundary_model import BoundaryModel
from stages.split.spans import Divide, Division, divide_text


class Splitter:
    """Splits samples and counts what a report says; `open_splitter` makes one."""

    def __init__(self, params: SplitParams, model: BoundaryModel | None = None) -> None:
        self._params = params
        self._model = model
        self._shapes: Counter[str] = Counter()
        self._num_limited = 0

    def split(self, samples: pl.DataFrame) -> pl.DataFrame:
        """STEP rows of `samples` (SAMPLE columns). Raises `EngineError` where a model cannot be asked."""
        texts = samples["completion"].to_list()
        divide = self._ask_model(texts) if self._model is not None else None
        rows: list[tuple[str, str, int, int, int]] = []
        for sample, problem, text in samples.select("sample_id", "problem_id", "completion").iter_rows():
            division = divide_text(text, self._params, divide)
            rows += [(sample, problem, step, start, end) for step, (start, end) in enumerate(division.spans)]
            self._shapes[division.shape] += 1
            self._num_limited += division.is_limited
        return pl.DataFrame(rows, schema=STEP.schema, orient="row")

    def report(self) -> dict[str, Any]:
        """Samples by shape, how many had more steps than `max_steps`, and what a model was asked, if one was."""
        own = {"shapes": dict(self._shapes), "limited_by_max_steps": self._num_limited}
        return own if self._model is None else own | self._model.report()

    def _ask_model(self, texts: Sequence[str]) -> Divide:
        """How the model divides the parts of `texts`."""
        assert self._model is not None
        parts: dict[str, None] = {}

        def note(part: str) -> Division:
            parts[part] = None
            return Division("model", [(0, len(part))] if part else [])

        for text in texts:
            divide_text(text, self._params, note)
        divisions = self._model.divide(list(parts))
        return lambda part: divisions[part]


@contextmanager
def open_splitter(params: SplitParams, desc: str) -> Iterator[Splitter]:
    """A splitter by `params`; `desc` is the progress bar's title while a model is asked."""
    if params.shape != "model":
        yield Splitter(params)
        return
    with BoundaryModel.open(params, desc) as model:
        yield Splitter(params, model)


def split_samples(
    samples: pl.DataFrame, params: SplitParams, desc: str = "split", llm_usage: dict[str, Any] | None = None
) -> pl.DataFrame:
    """STEP rows of `samples` (SAMPLE columns); what a model's replies cost is added to `llm_usage`."""
    with open_splitter(params, desc) as splitter:
        steps = splitter.split(samples)
        if llm_usage is not None:
            llm_usage |= splitter.report().get("llm_usage", {})
        return steps
