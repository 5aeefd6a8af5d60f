"""A round whose samples and labels are asked for by request, by the whole graph: what is kept, what is sent again."""

from __future__ import annotations

import base64
import json
import re
import secrets
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stages.common.tables import LABEL, REPLY, SAMPLE, STEP, read_table, write_table
from tests.support.clones import clone, edit, ran, read_facts, run
from tests.support.fault_server import fault_server, stats
from tools.audit import verify
from tools.audit.lineage.show import show
from tools.publish.exported_round import read_round
from tools.publish.formats.complete import LABELS, REPLIES

pytestmark = pytest.mark.slow

HIDDEN = secrets.token_hex(16)
"""In no file of this tree, which the clones hold too."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("served")
    clone(target, "dry-run")
    edit(target, "judge", "checks", {"num_completions": 0})  # they request labels of altered completions, too
    run(target, "dvc", "repro")
    return target


def report(place: Path, stage: str, name: str = "M1") -> dict[str, Any]:
    value = json.loads((place / f"data/reports/{stage}/{name}.json").read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def answers(place: Path, name: str = "M1") -> tuple[int, int]:
    """Requests that the last runs of a round's sampling and judging sent."""
    sampled = read_facts(place, f"sample@{name}")["usage"][f"sample {name}"]["completions"]
    return sampled, read_facts(place, f"judge@{name}")["usage"][f"judge {name}, judge"]["completions"]


def outputs(place: Path, name: str = "M1") -> dict[str, bytes]:
    return {
        str(path.relative_to(place)): path.read_bytes()
        for stage in ("samples", "steps", "labels")
        for path in sorted((place / "data" / stage / name).rglob("*.parquet"))
    }


def test_every_reply_is_kept_and_every_label_has_its_votes(place: Path) -> None:
    samples = read_table(place / "data/samples/M1", SAMPLE, 0)
    assert samples.height == 128
    assert samples["completion_tokens"].min() > 0  # type: ignore[operator]
    steps = read_table(place / "data/steps/M1", STEP, 0)
    judged = read_table(place / "data/labels/M1", LABEL, 0)
    replies = read_table(place / "data/labels/M1/replies", REPLY, 0)
    assert judged.height == steps.height
    assert {True, False} <= set(judged["label"])
    assert replies.filter(pl.col("attempt") == 0).height == 3 * judged["sample_id"].n_unique()
    assert replies["error"].null_count() > 3 * 120
    unusable = replies.drop_nulls("error")
    assert 0 < unusable.height < 128
    assert unusable["text"].null_count() == 0


def test_what_it_cost_is_reported(place: Path) -> None:
    judged = report(place, "judge")
    costs = judged["llm_usage"]["judge"]
    replies = read_table(place / "data/labels/M1/replies", REPLY, 0)
    assert judged["checks"] is None
    assert costs["completions"] == replies.height
    assert costs["prompt_tokens"] == replies["prompt_tokens"].sum()
    assert costs["cost"] == pytest.approx(
        (costs["prompt_tokens"] * 0.5 + costs["completion_tokens"] * 1.5) / 1e6, abs=1e-6
    )
    assert sum(judged["replies"]["invalid"].values()) == replies["error"].drop_nulls().len()
    assert 0.5 < judged["agreement"]["mean"] < 1
    assert judged["unknown"]["rate"] == pytest.approx(judged["labels"]["unknown"] / judged["steps"], abs=1e-6)
    assert report(place, "sample")["llm_usage"]["currency"] == "USD"


def test_the_round_goes_on_to_a_model_and_its_evaluation(place: Path) -> None:
    assert (place / "models/M1/model.safetensors").is_file()
    assert json.loads((place / "data/datasets/M1/manifest.json").read_text(encoding="utf-8"))["rows"] > 0
    assert pl.read_csv(place / "reports/rounds.csv")["round"].to_list() == ["M0", "M1"]
    assert (place / "data/evaluations/M1/labels/all.parquet").is_file()


def test_what_an_evaluation_asks_is_reported_too(place: Path) -> None:
    for name in ("M0", "M1"):
        costs = report(place, "evaluate", name)["llm_usage"]
        assert set(costs) == {"greedy samples", "greedy judge", "majority samples"}
        assert costs["majority samples"]["completions"] == 4 * costs["greedy samples"]["completions"]
    metrics = json.loads((place / "reports/metrics.json").read_text(encoding="utf-8"))
    assert {"sample_cost", "judge_prompt_tokens", "evaluate_completion_tokens"} <= set(metrics["M1"])


def test_a_published_step_tells_how_its_votes_fell(place: Path) -> None:
    of = read_round("M1", place)
    replies = read_table(place / "data/labels/M1/replies", REPLY, 0)
    (published,) = REPLIES.read_frames(of)
    assert published.drop("round").equals(replies)
    (labels,) = LABELS.read_frames(of)
    assert labels["judge_models"].to_list() == [["mock-judge"]] * labels.height
    labels = labels.filter(pl.col("steps").list.len() > 0)  # of the samples that are judged
    assert set(labels["sample_id"]) == set(published["sample_id"])
    unusable = 0
    for step in labels.explode("steps")["steps"].to_list():
        right, wrong = step["votes_correct"], step["votes_incorrect"]
        assert right + wrong + step["votes_invalid"] == step["num_votes"] == 3
        if step["label"] is not None:
            assert step["label"] is (right > wrong)
            assert step["agreement"] == pytest.approx(max(right, wrong) / 3)
        unusable += step["votes_invalid"]
    assert 0 <= unusable < labels.height


@pytest.mark.parametrize("name", ["data/labels/M1", "data/evaluations/M1/labels"])
def test_labels_are_counted_again_from_the_replies(place: Path, name: str) -> None:
    """Of a round and of an evaluation."""
    results = verify(place)
    assert not results.is_broken, "\n".join(results.format_lines())
    folder = place / name
    replies, judged = read_table(folder / "replies", REPLY, 0), read_table(folder, LABEL, 0)
    # The judge is held to be unanimous on this step, whose sample was asked about without a failed try.
    step = judged.filter(pl.col("agreement") == 1.0, pl.col("step") == 0).row(0, named=True)
    said = replies.filter(pl.col("sample_id") == step["sample_id"], pl.col("vote") == 1).sort("attempt")[-1]
    other = {"correct": "incorrect", "incorrect": "correct"}
    verdict = re.search(r'"verdict": ?"(\w+)"', said["text"][0])
    assert verdict is not None
    turned = said["text"][0].replace(verdict[0], f'"verdict": "{other[verdict[1]]}"', 1)
    text = (
        pl.when(pl.col("request_hash") == said["request_hash"][0]).then(pl.lit(turned)).otherwise("text").alias("text")
    )
    write_table(folder / "replies", REPLY, replies.with_columns(text), 0)
    tampered = verify(place, checks=frozenset({"files", "labels"}))
    write_table(folder / "replies", REPLY, replies, 0)
    assert tampered.by_check["files"].errors[0].startswith(f"{name}/replies/all.parquet: has md5")
    (line,) = tampered.by_check["labels"].errors[:1]
    assert f"sample {step['sample_id']} step 0: " in line
    assert "agreement is 1.0, the vote gives 0.66" in line
    shown = "\n".join(show(place, step["sample_id"]))
    assert shown.count("reply     judge 0, all steps, vote ") >= 3
    assert "prompt    stages/judge/llm/prompts/completion.jinja  sha256 " in shown


def test_what_is_sent_again(place: Path) -> None:
    before = outputs(place)

    for path in (("sample", "engine"), ("judge", "llm", "engine")):
        edit(place, *path, "concurrency", 3)
        edit(place, *path, "prices", None)
    assert {"sample@M1", "judge@M1"} <= set(ran(run(place, "dvc", "repro", "judge@M1")))
    assert answers(place) == (0, 0)
    assert outputs(place) == before

    # A variant judges step by step: the samples are there, the labels are asked for, and M1 is left alone.
    edit(place, "rounds", "K1", {"policy": "M0", "judge": {"llm": {"mode": "step"}}})
    assert all(
        name in ("code", "params") or name.endswith("@K1") for name in ran(run(place, "dvc", "repro", "judge@K1"))
    )
    sampled, judged = answers(place, "K1")
    assert sampled == 0
    assert judged >= 3 * read_table(place / "data/steps/K1", STEP, 0).height
    edit(place, "rounds", "K1", {"policy": "M0", "sample": {"prompt": {"template": "Solve: {problem}\n"}}})
    assert all(
        name in ("code", "params") or name.endswith("@K1") for name in ran(run(place, "dvc", "repro", "judge@K1"))
    )
    assert answers(place, "K1")[0] == 128
    assert outputs(place) == before

    edit(place, "sample", "num_problems", 33)
    run(place, "dvc", "repro", "judge@M1")
    sampled, judged = answers(place)
    assert sampled == 4, "one problem more"
    assert 12 <= judged <= 2 * 12 * 3, "and probes of its completions, if they are among the first"
    kept = read_table(place / "data/samples/M1", SAMPLE, 0)["sample_id"]
    assert kept.len() == 132


def test_keys_are_in_nothing_that_stages_leave_behind(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(place, "sample", "engine", "kind", "openai")
    edit(place, "judge", "llm", "engine", "kind", "openai")
    edit(place, "judge", "llm", "mock", None)
    with fault_server(faults=0.2, hangs=0) as url, fault_server(always="401") as refusing:
        monkeypatch.setenv("OPENAI_API_KEY", f"sk-{HIDDEN}")
        monkeypatch.setenv("OPENAI_BASE_URL", url.replace("//", f"//user:{HIDDEN}@"))
        shown = run(place, "dvc", "repro", "split@M1")
        monkeypatch.setenv("OPENAI_BASE_URL", refusing)
        with pytest.raises(AssertionError, match="HTTP 401") as refused:
            run(place, "dvc", "repro", "judge@M1")
        assert stats(url)["answered"] == 132
    assert "HTTP 401 Refused: Incorrect API key provided: [hidden]" in str(refused.value)
    left = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    names = {path.relative_to(place).parts[0] for path in left}
    assert {"data", "work", "dvc.lock", "reports", ".dvc", "params.yaml"} <= names
    sent = base64.b64encode(f"user:{HIDDEN}".encode())
    leaks = [path for path, content in left.items() if HIDDEN.encode() in content or sent in content]
    assert leaks == []
    assert HIDDEN not in shown + str(refused.value)
