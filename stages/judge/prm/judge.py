"""Labels by scores: batches of solutions of like length, each kept in the journal as soon as it is scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stages.common.console import progress
from stages.common.journal import ROOT, Journal
from stages.common.params.judge import PrmParams
from stages.common.params.runtime import load_runtime
from stages.common.tables import content_hash
from stages.judge.cases import Case
from stages.judge.prm.layout import Encoded, Layout, Unfit
from stages.judge.prm.model import DIGITS, Scorer, Source, find_source, load_layout
from stages.judge.vote import StepLabel

_SCORED_BY = ("layout", "problem", "step", "separator", "between", "right_token", "wrong_token", "dtype")
"""Settings on which a score depends; `max_tokens` and the thresholds decide what becomes of it."""


class PrmJudge:
    """Labels steps by a model's scores; `open_prm` makes it. The model is loaded when the first score is missing."""

    def __init__(self, params: PrmParams, source: Source, journal: Journal, label: str) -> None:
        own = params.model_dump(mode="json", include={"max_tokens", "right_from", "wrong_below"})
        self.hash = content_hash("process reward model", scores_hash(params, source), own)
        """Hash of the model, the layout and the thresholds that make this judge what it is."""
        self._params = params
        self._source = source
        self._journal = journal
        self._label = label
        self._layout: Layout | None = None
        self._scorer: Scorer | None = None

    def label(self, cases: Sequence[Case]) -> dict[str, list[StepLabel]]:
        """Labels of the steps of each case, by sample_id.

        Raises `ValueError` where the model cannot be loaded or does not fit the settings; what was scored is kept.
        """
        if self._layout is None:
            self._layout = load_layout(self._params, self._source)
        keys = {case.sample_id: content_hash("solution", case.problem, list(case.steps)) for case in cases}
        encoded = {keys[case.sample_id]: self._layout.encode(case.problem, case.steps) for case in cases}
        self._score({key: found for key, found in encoded.items() if isinstance(found, Encoded)})
        return {case.sample_id: self._labels(case, keys[case.sample_id], encoded) for case in cases}

    def _score(self, encoded: dict[str, Encoded]) -> None:
        """Score what the journal lacks. Batches are those of all, and a batch is kept whole: a run that was killed goes
        on with the same batches, hence with the same last bits."""
        ordered = sorted(encoded, key=lambda key: (len(encoded[key].ids), key))
        size = self._params.batch
        batches = [ordered[at : at + size] for at in range(0, len(ordered), size)]
        missing = [batch for batch in batches if any(key not in self._journal for key in batch)]
        for batch in progress(missing, self._label, unit="batches"):
            scores = self._model().score([encoded[key] for key in batch])
            self._journal.put(dict(zip(batch, scores, strict=True)))

    def _model(self) -> Scorer:
        if self._scorer is None:
            assert self._layout is not None
            self._scorer = Scorer(self._params, self._source, self._layout.candidates, load_runtime())
        return self._scorer

    def _labels(self, case: Case, key: str, encoded: dict[str, Encoded | Unfit]) -> list[StepLabel]:
        found = encoded[key]
        if isinstance(found, Unfit):
            return [StepLabel(None, found.reason, 0.0, found.kind)] * len(case.steps)
        return [label_of(score, self._params.right_from, self._params.wrong_below) for score in self._journal.get(key)]


def label_of(score: float, right_from: float, wrong_below: float) -> StepLabel:
    """The label of a step with this score, all of them 0 to 1 and `wrong_below` at most `right_from`."""
    reason = f"score {score:.{DIGITS}f}"
    if score >= right_from:
        return StepLabel(True, reason, 1.0)
    if score < wrong_below:
        return StepLabel(False, reason, 1.0)
    return StepLabel(None, reason, 0.0, "score between the thresholds")


def scores_hash(params: PrmParams, source: Source) -> str:
    """Hash of all that determines the score of a given solution."""
    return content_hash("scores", source.hash, params.model_dump(mode="json", include=set(_SCORED_BY)))


@contextmanager
def open_prm(params: PrmParams, label: str) -> Iterator[PrmJudge]:
    """The judge that `params` asks for; `label` names its progress bar. Scores go below `journal.ROOT`."""
    source = find_source(params)
    with Journal(ROOT / "judge" / f"prm-{scores_hash(params, source)}.jsonl") as journal:
        yield PrmJudge(params, source, journal, label)
