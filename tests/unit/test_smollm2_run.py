"""The committed run of a real model: what its page, tables and figures say is what its reports hold."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from experiments.curves import draw_curves, read_histories
from stages.common.errors import UserError
from stages.common.provenance import compute_sha256

RESULTS = Path("docs/results/smollm2")
RUN = RESULTS / "run"
ROUNDS = ["M0", "M1", "M2", "M3"]


def test_the_lock_has_every_stage_of_every_round_and_names_no_path_of_a_machine() -> None:
    lock = yaml.safe_load((RUN / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    in_rounds = ("sample", "outcome", "select", "split", "judge", "dataset", "train", "evaluate")
    assert {f"{stage}@{name}" for stage in in_rounds for name in ROUNDS[1:]} | {"seed_model", "report"} <= set(lock)
    for path in ("dvc.lock", "params.yaml"):
        text = (RUN / path).read_text(encoding="utf-8")
        assert not [word for word in text.split() if word.startswith("/")]


def test_the_reports_are_those_of_the_lock() -> None:
    lock = yaml.safe_load((RUN / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    hashes = {out["path"]: out for out in lock["report"]["outs"]}
    assert set(hashes) >= {"reports/rounds.csv", "reports/metrics.json"}
    for path in ("reports/rounds.csv", "reports/metrics.json"):
        content = (RUN / path).read_bytes()
        assert hashes[path]["size"] == len(content)
        assert hashes[path]["md5"] == hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_the_experiment_has_the_metrics_of_the_run() -> None:
    run = pl.read_csv(RUN / "reports" / "rounds.csv")
    table = pl.read_csv(RESULTS / "methods.csv", infer_schema_length=None).filter(pl.col("chain") == "step_kto")
    assert run["round"].to_list() == table.sort("round")["round"].to_list() == ROUNDS
    for metric in ("pass_at_1", "stepwise_error", "maj_at_8"):
        assert run[metric].to_list() == table.sort("round")[metric].to_list()


def test_evaluations_that_are_compared_are_those_of_the_run() -> None:
    for name in ROUNDS:
        kept = RESULTS / "evaluations" / (f"step_kto-{name}.json" if name != "M0" else "M0.json")
        assert compute_sha256(kept) == compute_sha256(RUN / "reports" / "stages" / "evaluate" / f"{name}.json")


def test_the_table_of_the_test_has_the_metrics_of_the_evaluations() -> None:
    page = (RESULTS.parent / "smollm2.md").read_text(encoding="utf-8")
    titles = {"pass_at_1": "Pass@1", "stepwise_error": "correct answers with an incorrect step"}
    titles["maj_at_8"] = "Maj@8 at temperature 0.7"
    for method, name in (("step_kto", "Step-KTO"), ("kto", "KTO"), ("rft", "RFT")):
        for metric, title in titles.items():
            cells = []
            for number in ROUNDS:
                path = RESULTS / "evaluations" / (f"{method}-{number}.json" if number != "M0" else "M0.json")
                found = json.loads(path.read_text(encoding="utf-8"))["metrics"].get(metric)
                is_shown = found is not None and (number != "M0" or method == "step_kto")
                interval = [f"{100 * found[end]:.1f}" for end in ("low", "high")] if is_shown else []
                cells.append(f"{100 * found['value']:.1f} [{', '.join(interval)}]" if is_shown else "")
            row = f"| {name}, {title} | {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")
            assert (row in page) == any(cells), row


def test_curves_are_drawn_of_all_rounds() -> None:
    histories = read_histories(RUN)
    assert list(histories) == ROUNDS[1:]
    assert draw_curves(histories).startswith(b"\x89PNG")


def test_a_method_without_step_labels_has_no_curves_of_steps() -> None:
    histories = read_histories(RUN)
    without = {
        name: [{key: value for key, value in entry.items() if "step" not in key or key == "step"} for entry in history]
        for name, history in histories.items()
    }
    assert "loss/step" not in without["M1"][0]
    assert draw_curves(without).startswith(b"\x89PNG")


def test_a_run_without_a_history_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no history of a training"):
        read_histories(tmp_path)
