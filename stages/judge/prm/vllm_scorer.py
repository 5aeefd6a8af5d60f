"""Scores by a vLLM server that is started for the stage: vLLM's pooling of the tokens that are a step's tag."""

import math
from collections.abc import Sequence

from stages.common.engines import EngineError, ModelId
from stages.common.engines.vllm_server import find_python, launch_server, open_client, wait_for_server
from stages.common.params.prm import PrmParams
from stages.common.params.runtime import RuntimeParams
from stages.judge.prm.input_layout import EncodedSteps
from stages.judge.prm.scorer import PrmSource, check_architecture, round_scores

BATCH_TIMEOUT_S = 900.0
"""Seconds for a batch of completions; a server that has not replied by then counts as hung."""

RECOVERY_TIMEOUT_S = 10.0
"""Seconds in which a server that broke a connection is well again or has ended."""

MAX_ERROR_CHARS = 300
"""Characters kept of what went wrong."""


class VllmScorer:
    """A server of the model, which is asked for the logits at the token `tag_id`; see `Scorer`."""

    def __init__(self, params: PrmParams, source: PrmSource, tag_id: int, runtime: RuntimeParams) -> None:
        check_architecture(params, source)
        self._name = source.name
        self._dtype = params.dtype
        pooling = {"runner": "pooling", "pooler_config": f'{{"tok_pooling_type": "STEP", "step_tag_id": {tag_id}}}'}
        engine_args = {**params.vllm.engine_args, **pooling}
        vllm = params.vllm.model_copy(update={"dtype": params.dtype, "engine_args": engine_args})
        self._server = launch_server(ModelId(source.name, source.revision), vllm, find_python(runtime))
        try:
            wait_for_server(self._server)
        except BaseException:
            self._server.stop()
            raise

    def score(self, batch: Sequence[EncodedSteps]) -> list[list[float]]:
        """See `Scorer.score`. The softmax is taken here, so that no setting of the model decides what a score is."""
        from httpx2 import HTTPError

        body = {"input": [list(each.ids) for each in batch], "task": "token_classify", "use_activation": False}
        try:
            with open_client(self._server, BATCH_TIMEOUT_S) as client:
                reply = client.post("/pooling", json=body)
        except HTTPError as error:
            wait_for_server(self._server, RECOVERY_TIMEOUT_S)  # names the cause if it has ended
            raise self._make_error(f"no scores: {error!r}") from error
        if reply.status_code != 200:
            raise self._make_error(f"expected scores, found error {reply.status_code}: {reply.text}")
        try:
            rows = sorted(reply.json()["data"], key=lambda row: row["index"])
            log_odds = [[correct - incorrect for incorrect, correct in row["data"]] for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            raise self._make_error(f"expected two logits per step, found {reply.text}") from error
        if [len(each) for each in log_odds] != [len(each.positions) for each in batch]:
            raise self._make_error(f"expected two logits per step, found {reply.text}")
        scores = [[_compute_probability(odds) for odds in of_completion] for of_completion in log_odds]
        return round_scores(scores, self._name, self._dtype)

    def close(self) -> None:
        """Stop the server."""
        self._server.stop()

    def _make_error(self, what: str) -> EngineError:
        return EngineError(f"vLLM server of {self._name}: {' '.join(what.split())[:MAX_ERROR_CHARS]}")


def _compute_probability(log_odds: float) -> float:
    """The probability of what has these log-odds."""
    odds = math.exp(-abs(log_odds))
    return (1 if log_odds >= 0 else odds) / (1 + odds)
