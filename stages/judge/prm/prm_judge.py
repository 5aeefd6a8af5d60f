"""Labels from scores: completions of similar length are scored in batches, and each batch is journaled."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import polars as pl

from stages.common.journal import ROOT, Journal
from stages.common.params.judge import JudgeParams
from stages.common.params.prm import PrmParams
from stages.common.params.runtime import load_runtime
from stages.common.progress import progress
from stages.common.tables import content_hash
from stages.judge.labelling import NOISE_PREFIX, Judge
from stages.judge.prm.input_layout import EncodedSteps, InputLayout, UnscoredSteps
from stages.judge.prm.scorer import (
    SCORE_DECIMALS,
    PrmSource,
    Scorer,
    TransformersScorer,
    find_source,
    load_layout,
)
from stages.judge.prm.vllm_scorer import VllmScorer
from stages.judge.step_labels import CompletionSteps, Judgement, LabelEvidence, SampleLabels, StepLabel

_SCORE_PARAMS = {
    "layout",
    "problem",
    "step",
    "separator",
    "step_separator",
    "correct_token",
    "incorrect_token",
    "dtype",
}
"""Params that determine a score; `max_tokens` and the thresholds determine the label that it gives."""

_SCORE_REASON = re.compile(rf"(?:{re.escape(NOISE_PREFIX)})?score ([01]\.\d{{{SCORE_DECIMALS}}})")


class PrmJudge(Judge):
    """Labels by a model's scores. The model is loaded when the first score is missing from the journal."""

    description = "a process reward model: each step's score against two thresholds"
    evidence = "the score"
    audit_note = "scores of a process reward model, which is not run again"
    is_model = True

    def __init__(self, params: JudgeParams, seed: int) -> None:
        super().__init__(params, seed)
        assert params.prm is not None
        self._prm = params.prm
        self.model = params.prm.model
        self._source: PrmSource | None = None
        self._layout: InputLayout | None = None
        self._scorer: Scorer | None = None

    def identify(self) -> Any:
        """Model, layout and thresholds."""
        own = self._prm.model_dump(mode="json", include={"max_tokens", "correct_threshold", "incorrect_threshold"})
        return [hash_score_params(self._prm, find_source(self._prm)), own]

    @contextmanager
    def open(self, desc: str) -> Iterator[None]:
        """The journal of scores, and what runs the model."""
        self._source, self._desc = find_source(self._prm), desc
        path = ROOT / "judge" / f"prm-{hash_score_params(self._prm, self._source)}.jsonl"
        with Journal(path) as self._journal, ExitStack() as self._stack:
            yield
            self._scorer = None

    def label_steps(self, completions: Sequence[CompletionSteps]) -> Judgement:
        """Raises `UserError` where the model cannot be loaded or does not fit the params."""
        assert self._source is not None
        self._layout = self._layout or load_layout(self._prm, self._source)
        keys = {each.sample_id: content_hash("solution", each.problem, list(each.steps)) for each in completions}
        encoded = {keys[each.sample_id]: self._layout.encode(each.problem, each.steps) for each in completions}
        self._score({key: value for key, value in encoded.items() if isinstance(value, EncodedSteps)})
        labels = {}
        for each in completions:
            value = encoded[keys[each.sample_id]]
            if isinstance(value, UnscoredSteps):
                labels[each.sample_id] = [StepLabel(None, value.reason, 0.0, value.kind)] * len(each.steps)
            else:
                scores = self._find_scores(keys[each.sample_id], value)
                assert scores is not None, "scored above"
                labels[each.sample_id] = [label_score(score, self._prm) for score in scores]
        return Judgement(labels)

    def recount(self, evidence: LabelEvidence) -> pl.DataFrame:
        """From the scores that the reasons state; unknown where they state none."""
        labels: SampleLabels = {}
        rows = evidence.steps.join(evidence.labels, on=["sample_id", "step"], how="left").sort("sample_id", "step")
        for sample_id, reason in rows.select("sample_id", "reason").iter_rows():
            score = _SCORE_REASON.fullmatch(reason or "")
            label = label_score(float(score[1]), self._prm) if score else StepLabel(None, "", 0.0)
            labels.setdefault(sample_id, []).append(label)
        return self.build_recounted_rows(evidence, labels)

    def _score(self, encoded: dict[str, EncodedSteps]) -> None:
        """Score what the journal lacks. Batches are cut from all completions and journaled whole, so that a run that
        was killed continues with the same batches and hence the same last bits."""
        ordered = sorted(encoded, key=lambda key: (len(encoded[key].ids), key))
        size = self._prm.batch_size
        batches = [ordered[at : at + size] for at in range(0, len(ordered), size)]
        missing = [batch for batch in batches if None in [self._find_scores(key, encoded[key]) for key in batch]]
        for batch in progress(missing, self._desc, unit="batches"):
            scores = self._get_scorer().score([encoded[key] for key in batch])
            self._journal.put(dict(zip(batch, scores, strict=True)))

    def _find_scores(self, key: str, steps: EncodedSteps) -> list[float] | None:
        def has_form(value: Any) -> bool:
            is_list = isinstance(value, list) and len(value) == len(steps.positions)
            return is_list and all(isinstance(score, float) for score in value)

        scores: list[float] | None = self._journal.find(key, has_form)
        return scores

    def _get_scorer(self) -> Scorer:
        if self._scorer is None:
            assert self._layout is not None
            assert self._source is not None
            if self._prm.engine == "vllm":
                assert self._layout.tag_id is not None
                self._scorer = VllmScorer(self._prm, self._source, self._layout.tag_id, load_runtime())
            else:
                self._scorer = TransformersScorer(self._prm, self._source, self._layout.candidates, load_runtime())
            self._stack.callback(self._scorer.close)
        return self._scorer


def label_score(score: float, params: PrmParams) -> StepLabel:
    """The label of a step with this score, 0 to 1."""
    reason = f"score {score:.{SCORE_DECIMALS}f}"
    if score >= params.correct_threshold:
        return StepLabel(True, reason, 1.0)
    if score < params.incorrect_threshold:
        return StepLabel(False, reason, 1.0)
    return StepLabel(None, reason, 0.0, "score between the thresholds")


def hash_score_params(params: PrmParams, source: PrmSource) -> str:
    """Hash of all that determines the scores of a given completion, bit by bit: hence also what runs the model.

    Params that came later count only where they are not the default, so that earlier scores keep their hash.
    """
    later = {
        "chat": None if params.chat is None else params.chat.model_dump(mode="json"),
        "vllm": {"quantization": params.vllm.quantization} if params.engine == "vllm" else None,
    }
    later = {name: value for name, value in later.items() if value is not None}
    own = params.model_dump(mode="json", include=_SCORE_PARAMS)
    return content_hash("scores", source.hash, {**own, **later})
