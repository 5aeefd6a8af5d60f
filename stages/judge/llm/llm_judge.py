"""A judge of one or two language models: what enough of their votes agree on."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import polars as pl

from stages.common.engines import GenerationRequest, ModelId, Runner, make_runner
from stages.common.engines.kinds import MockReply
from stages.common.params.judge import JudgeParams, LlmJudgeParams
from stages.judge.labelling import Judge
from stages.judge.llm.mock_judge import make_mock_reply
from stages.judge.llm.recount import recount_votes
from stages.judge.llm.reply_form import ReplyForm
from stages.judge.llm.voter import LlmVoter, identify_llm, identify_llm_judge
from stages.judge.llm.votes import VoteRequest, label_samples
from stages.judge.step_labels import CompletionSteps, Judgement, LabelEvidence

JUDGE_NAMES = ("judge", "second judge")
"""Names of the models in reports; their positions are the `judge_index` of REPLY rows."""


class LlmJudge(Judge):
    """Votes of `params.llm`, and of `params.second_judge` where there is one."""

    description = "a language model that votes on each step"
    evidence = "the vote"
    has_replies = True
    is_model = True

    def __init__(self, params: JudgeParams, seed: int) -> None:
        super().__init__(params, seed)
        self.llms = [model for model in (params.llm, params.second_judge) if model is not None]
        self.model = self.llms[0].model
        self._voters: list[LlmVoter] = []

    def identify(self) -> Any:
        """Models, prompts, and the seed of their draws."""
        return [[identify_llm_judge(model) for model in self.llms], self.seed]

    @contextmanager
    def open(self, desc: str) -> Iterator[None]:
        """Engines and journals; an engine starts with its first request."""
        with ExitStack() as stack:
            for judge_index, model in enumerate(self.llms):
                sent: dict[str, VoteRequest] = {}
                runner = stack.enter_context(_make_runner(model, sent, f"{desc}, {JUDGE_NAMES[judge_index]}"))
                self._voters.append(LlmVoter(model, self.params.num_votes, self.seed, runner, judge_index, sent))
            yield
        self._voters.clear()

    def label_steps(self, completions: Sequence[CompletionSteps]) -> Judgement:
        """The label that enough votes agree on."""
        collected = [voter.collect_votes(completions) for voter in self._voters]
        labels = label_samples(collected, self.params.min_agreement)
        replies = [row for of_model in collected for row in of_model.replies]
        return Judgement(labels, replies, sum((of_model.invalid_replies for of_model in collected), Counter()))

    def report_usage(self) -> dict[str, Any]:
        """Usage by `JUDGE_NAMES`."""
        return {name: voter.report_usage() for name, voter in zip(JUDGE_NAMES, self._voters, strict=False)}

    def recount(self, evidence: LabelEvidence) -> pl.DataFrame | None:
        """From the votes, read again from the replies."""
        if evidence.replies is None:
            return None
        labels = recount_votes(
            evidence.replies, evidence.steps, self.params.num_votes, self.llms, self.params.min_agreement
        )
        return self.build_recounted_rows(evidence, labels)


def _make_runner(params: LlmJudgeParams, sent: dict[str, VoteRequest], desc: str) -> Runner:
    mock = params.mock

    def reply(request: GenerationRequest) -> MockReply:
        assert mock is not None
        return make_mock_reply(sent[request.key], request, mock, ReplyForm.find(params))

    model = ModelId.find(params.model, params.revision)
    mock_reply = None if mock is None else reply
    return make_runner("judge", identify_llm(params), params.engine, model, desc, mock_reply=mock_reply)
