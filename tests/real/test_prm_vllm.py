"""A process reward model in vLLM and in transformers: a small Qwen2.5-Math-PRM made on the spot, on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest
import yaml

from stages.common.engines import EngineError
from stages.common.params.block import validate
from stages.common.params.judge import JudgeParams
from stages.common.params.prm import PrmParams
from stages.common.params.runtime import RuntimeParams
from stages.judge import open_judge
from stages.judge.calibration.labelled_solutions import LabelledSolution, build_tables
from stages.judge.prm.input_layout import EncodedSteps
from stages.judge.prm.scorer import find_source, load_layout
from stages.judge.prm.vllm_scorer import VllmScorer
from tests.support.tiny_policy import documents
from tests.support.tiny_prm import CONTEXT, score_directly, write_reward_model

pytest.importorskip("vllm", reason="vLLM cannot be imported here; `make test-vllm` runs this with its CPU build")


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> PrmParams:
    folder = write_reward_model(tmp_path_factory.mktemp("models") / "qwen", "qwen_math_prm")
    own = {"model": str(folder), "layout": "qwen_math_prm", "engine": "vllm", "dtype": "float32", "batch_size": 8}
    return validate(PrmParams, own, "prm")


@pytest.fixture(scope="module")
def scorer(params: PrmParams) -> Iterator[VllmScorer]:
    source = find_source(params)
    tag_id = load_layout(params, source).tag_id
    assert tag_id is not None
    with closing(VllmScorer(params, source, tag_id, RuntimeParams())) as made:
        yield made


def list_servers() -> list[psutil.Process]:
    """vLLM's server, its supervisor and its workers, of this process."""
    children = psutil.Process().children(recursive=True)
    words = ("server_supervisor", "vllm.entrypoints")
    return [child for child in children if any(word in " ".join(child.cmdline()) for word in words)]


def make_rows() -> list[LabelledSolution]:
    rows = [
        LabelledSolution.from_first_error(f"s{at}", p.strip(), t.splitlines(), None)
        for at, (p, t, _, _) in enumerate(documents(40))
    ]
    rows.append(
        LabelledSolution.from_first_error("tags", "Say <extra_0>", ["a <extra_0> b", "<|im_end|>", "<think>", ""], None)
    )
    rows.append(LabelledSolution.from_first_error("almost too long", "Add", ["1"] * 68, None))
    rows.append(LabelledSolution.from_first_error("too long", "Add", ["1"] * CONTEXT, None))
    return rows


def test_the_judge_gives_the_same_labels_with_both_engines_and_stops_its_server(
    params: PrmParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runtime: dict[str, Any] = {"num_threads": 1, "num_workers": 1, "device": "cpu"}
    Path("params.yaml").write_text(yaml.safe_dump({"runtime": runtime}), encoding="utf-8")
    tables = build_tables(make_rows())
    labels, identities = [], []
    for engine in ("vllm", "transformers"):
        prm = {**params.model_dump(mode="json"), "engine": engine}
        judge = validate(JudgeParams, {"kind": "prm", "prm": prm}, "judge")
        for number in range(2):  # the second time from the journal
            with open_judge(judge, 1, "judge") as opened:
                labels.append(opened.label(*tables).labels)
                assert bool(list_servers()) is (engine == "vllm" and number == 0)
        identities.append(opened.identity)
        assert list_servers() == []
    assert len(set(identities)) == 2, "scores of another engine are another judge's"
    assert labels[0].equals(labels[1])
    scores = [
        each.select(pl.col("reason").str.extract(r"^score ([01]\.\d{4})$").cast(pl.Float64)).to_series()
        for each in labels
    ]
    assert scores[0].null_count() == scores[2].null_count() == CONTEXT
    assert (scores[0] - scores[2]).abs().max() <= 1e-3  # type: ignore[operator]
    assert scores[0].drop_nulls().n_unique() > 40


def test_scores_are_those_of_the_stored_weights_however_they_are_batched(params: PrmParams, scorer: VllmScorer) -> None:
    layout = load_layout(params, find_source(params))
    encoded = [each for row in make_rows() if isinstance(each := layout.encode(row.problem, row.steps), EncodedSteps)]
    assert len(encoded) == 42
    assert max(len(each.ids) for each in encoded) > 0.9 * CONTEXT
    expected = [score_directly(Path(params.model), list(each.ids), list(each.positions)) for each in encoded]
    assert max(map(max, expected)) - min(map(min, expected)) > 0.5
    for batch in (1, 7, 42):
        parts = [encoded[at : at + batch] for at in range(0, len(encoded), batch)]
        scores = [of_completion for part in parts for of_completion in scorer.score(part)]
        assert [len(each) for each in scores] == [len(each) for each in expected]
        for found, due in zip(scores, expected, strict=True):
            assert found == pytest.approx(due, abs=1e-3)


def test_a_server_that_refuses_or_has_ended_is_named_in_one_line(params: PrmParams, scorer: VllmScorer) -> None:
    with pytest.raises(EngineError, match="expected scores, found error 400") as refused:
        scorer.score([EncodedSteps(tuple([5] * 2 * CONTEXT), (3,))])
    with pytest.raises(EngineError, match="expected two logits per step, found"):
        scorer.score([EncodedSteps((5, 6, 7), (1,))])
    assert "\n" not in str(refused.value)
