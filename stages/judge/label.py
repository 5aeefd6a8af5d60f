"""Labelling: every step of every sample gets the judge's label, with its reason, agreement and the first error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import polars as pl

from stages.common.engines import Engine, FakeEngine, Model, Request, Runner, make_engine, prices_of
from stages.common.journal import ROOT
from stages.common.params.judge import JudgeParams, ServedJudgeParams
from stages.common.tables import LABEL, REPLY, content_hash
from stages.judge.cases import Case, cases_of
from stages.judge.fake import fake_reply
from stages.judge.prm import PrmJudge, open_prm
from stages.judge.questions import Question
from stages.judge.rules import RULES
from stages.judge.served import Said, ServedJudge, judge_identity, model_identity
from stages.judge.vote import StepLabel, both_agree, count_votes

PLACES = ("judge", "second judge")
"""What the judges are called in reports; their places number them in REPLY rows."""

ByStep = dict[str, list[StepLabel]]
"""Labels of a sample's steps by sample_id."""


@dataclass(frozen=True)
class Labels:
    """Labels of some solutions, and how they came about."""

    judged: pl.DataFrame
    """LABEL rows."""
    replies: pl.DataFrame
    """REPLY rows of all that models said; none for a rule."""
    unknown: Counter[str]
    """Steps left unknown, by reason."""
    unusable: Counter[str]
    """Replies that gave no verdicts, by what was wrong with them."""


class Judge:
    """Labels steps by the rule or the models that its settings name; `open_judge` makes it."""

    def __init__(
        self, params: JudgeParams, seed: int, models: Sequence[ServedJudge] = (), prm: PrmJudge | None = None
    ) -> None:
        self._params = params
        self._seed = seed
        self._models = models
        self._prm = prm
        self.identity = identity(params, seed, None if prm is None else prm.hash)
        """Hash of what makes this judge what it is; it stands in every row that it labels."""

    def label(self, problems: pl.DataFrame, samples: pl.DataFrame, steps: pl.DataFrame) -> Labels:
        """Label each of `steps` (STEP rows of `samples`, SAMPLE rows, of `problems`, PROBLEM rows).

        Raises `EngineError` where a model cannot be asked any more, `ValueError` where a process reward model cannot
        be loaded; what was answered or scored is kept.
        """
        cases = list(cases_of(problems, samples, steps))
        said = [model.ask(cases) for model in self._models]
        if self._prm is not None:
            labels = self._prm.label(cases)
        else:
            labels = self._count(said) if said else self._apply_rule(cases)
        rows = [row for case in cases for row in self._rows(case, labels[case.sample_id])]
        replies = [row for of_model in said for row in of_model.replies]
        return Labels(
            pl.DataFrame(rows, schema=LABEL.schema, orient="row"),
            pl.DataFrame(replies, schema=REPLY.schema),
            Counter(label.unknown for of_sample in labels.values() for label in of_sample if label.unknown),
            sum((of_model.unusable for of_model in said), Counter()),
        )

    def costs(self) -> dict[str, Any]:
        """What asking cost in this run, a part per model; empty where nobody is asked."""
        return {name: model.costs() for name, model in zip(PLACES, self._models, strict=False)}

    def _apply_rule(self, cases: Sequence[Case]) -> ByStep:
        rule = RULES[self._params.kind]
        return {
            case.sample_id: [self._rule_label(*found) for found in rule(case.problem, list(case.steps))]
            for case in cases
        }

    def _rule_label(self, right: bool | None, reason: str) -> StepLabel:
        if right is None:
            return StepLabel(None, reason, 0.0, f"rule {self._params.kind} says nothing")
        return StepLabel(right, reason, 1.0)

    def _count(self, said: Sequence[Said]) -> ByStep:
        labels: ByStep = {}
        for of_model in said:
            for sample, votes in of_model.votes.items():
                counted = [count_votes(of_step, self._params.min_agreement) for of_step in votes]
                earlier = labels.get(sample)
                labels[sample] = counted if earlier is None else list(map(both_agree, earlier, counted))
        return labels

    def _rows(self, case: Case, labels: list[StepLabel]) -> Iterator[tuple[Any, ...]]:
        flipped = [self._flip(label, case.sample_id, step) for step, label in enumerate(labels)]
        first_error = next((step for step, label in enumerate(flipped) if label.right is False), None)
        for step, label in enumerate(flipped):
            key = (case.sample_id, case.problem_id, step)
            yield (*key, label.right, label.reason, self._params.votes, label.agreement, first_error, self.identity)

    def _flip(self, label: StepLabel, sample: str, step: int) -> StepLabel:
        """The label turned round for a share of steps, chosen by hash."""
        share = self._params.flip
        chosen = int(content_hash("flip", self._seed, sample, step, digits=12), 16) < share * 16**12
        if label.right is None or share == 0 or not chosen:
            return label
        return StepLabel(not label.right, f"flipped on purpose: {label.reason}", label.agreement)


def identity(params: JudgeParams, seed: int, prm: str | None = None) -> str:
    """Hash of what makes this judge what it is: its rule, its models, prompts and votes, or `prm`, the hash of a
    process reward model with its layout and thresholds."""
    own = params.model_dump(mode="json", include={"kind", "votes", "min_agreement", "flip"})
    models = [judge_identity(model) for model in params.models] or None
    scored = {} if prm is None else {"prm": prm}
    return content_hash("judge", {**own, "served": models, **scored}, seed if params.flip or models else None)


@contextmanager
def open_judge(params: JudgeParams, seed: int, label: str) -> Iterator[Judge]:
    """The judge that `params` asks for; `label` names its progress bar.

    `seed` starts a model's draws, and decides which labels are flipped where ``params.flip`` asks for it. Raises
    `ValueError` for an engine or a prompt, `FileNotFoundError` for a model's folder that is not there.
    """
    with ExitStack() as stack:
        models = []
        for place, model in enumerate(params.models):
            sent: dict[str, Question] = {}
            journal = ROOT / "judge" / f"{content_hash(model_identity(model))}.jsonl"
            runner = stack.enter_context(Runner(_engine(model, sent), journal, label, prices_of(model.engine)))
            models.append(ServedJudge(model, params.votes, seed, runner, place, sent))
        scored = params.prm if params.kind == "prm" else None
        prm = None if scored is None else stack.enter_context(open_prm(scored, label))
        yield Judge(params, seed, models, prm)


def judge_samples(
    problems: pl.DataFrame,
    samples: pl.DataFrame,
    steps: pl.DataFrame,
    params: JudgeParams,
    seed: int,
    label: str = "judge",
    costs: dict[str, Any] | None = None,
) -> pl.DataFrame:
    """LABEL rows of one table of steps; see `open_judge` and `Judge.label`, which also tell what was said.

    What asking cost is entered in `costs`, a part per model.
    """
    with open_judge(params, seed, label) as judge:
        judged = judge.label(problems, samples, steps).judged
        if costs is not None:
            costs |= judge.costs()
        return judged


def _engine(params: ServedJudgeParams, sent: dict[str, Question]) -> Engine:
    weak, fake = params.weak, params.engine.fake
    if weak is None or fake is None:
        return make_engine(params.engine, Model(params.model, params.revision))

    def reply(request: Request) -> str:
        question = sent[request.key]
        return fake_reply(question.case, question.numbers, request.key, weak)

    return FakeEngine(params.engine.concurrency, fake.latency_s, fake.failing, fake.cut, reply)
