"""Damage of training rows, manifests, reports, params, code and files."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from benchmarks.audit_mutations.damage_kind import add_kind
from benchmarks.audit_mutations.damaged_round import LOCK, DamagedRound, Trace

DATA = ("data/**/*.parquet", "data/**/*.json", "models/*/**/*.*")


@add_kind("training row: label turned, or prompt or completion of another")
def change_training_row(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file("data/datasets/*/*kto.parquet")
    [(number, row), (_, other)] = damaged.choose_row(path, count=2)
    column = damaged.rng.choice(["label", "completion", "finish_reason"])
    values = {"label": not row["label"], "completion": other["completion"] + " ", "finish_reason": "other"}
    damaged.set_cells(path, number, **{column: values[column]})
    return Trace.of("kto", f"{path}: row {number}", row["sample_id"])


@add_kind("training row: a step's label or offsets are others")
def change_trained_step(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file("data/datasets/*/step_kto.parquet")
    [(number, row)] = damaged.choose_row(path)
    step = damaged.rng.choice(row["steps"])
    if damaged.rng.random() < 0.5:
        step["label"] = not step["label"]
    else:
        step["start"] += 1
    damaged.set_list(path, number, "steps", row["steps"])
    return Trace.of("kto", f"{path}: row {number}", row["sample_id"])


@add_kind("training row: dropped, or there twice")
def drop_training_row(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file("data/datasets/*/*kto.parquet")
    [(number, row)] = damaged.choose_row(path)
    rows = damaged.read(path)
    rest = rows.filter(pl.int_range(pl.len()) != number)
    damaged.write(path, rest if damaged.rng.random() < 0.5 else pl.concat([rows, rows[number : number + 1]]))
    return Trace.of("selection", path, row["sample_id"])


@add_kind("training row: two exchanged, so that the order is another")
def reorder_training_rows(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file("data/datasets/*/*kto.parquet")
    [first, second] = damaged.choose_row(path, count=2)
    damaged.swap_cells(path, first, second, [name for name in first[1] if name not in ("completion_ids", "steps")])
    for name in {"completion_ids", "steps"} & set(first[1]):
        damaged.set_list(path, first[0], name, second[1][name])
        damaged.set_list(path, second[0], name, first[1][name])
    return Trace.of("selection", f"{path}: row {first[0]}", second[1]["sample_id"])


@add_kind("pair: chosen and rejected exchanged, or another sample or step")
def change_pair(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file("data/datasets/*/*pairs.parquet")
    [(number, row)] = damaged.choose_row(path)
    cells: dict[str, Any] = {"chosen_sample_id": row["rejected_sample_id"]}
    if damaged.rng.random() < 0.5:
        cells["rejected_sample_id"] = row["chosen_sample_id"]
    damaged.set_cells(path, number, **cells)
    return Trace.of("selection", f"{path}: row {number}")


@add_kind("manifest of a data set: weights or counts are others")
def change_dataset_manifest(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file("data/datasets/*/manifest.json")
    key = damaged.rng.choice(["weights", "rows", "kl_block_size", "paired_with_own_problem", "labels"])

    def change(value: dict[str, Any]) -> None:
        if key == "weights":
            value[key][damaged.rng.choice(["outcome", "step"])]["undesirable"] = 1.5
        elif key == "labels":
            value[key]["after"][damaged.rng.choice(["outcome", "step"])]["correct"] += 1
        else:
            value[key] += 1

    damaged.edit_json(path, change)
    damaged.edit_json(f"data/reports/dataset/{path.split('/')[2]}.json", change)
    return Trace.of("selection", path, f"{key} is")


@add_kind("manifest of a policy or data set: hash, files or origin are others")
def change_manifest(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file("data/datasets/*/manifest.json", "models/*/manifest.json")
    other = f"{damaged.rng.getrandbits(128):032x}"
    key = damaged.rng.choice(["hash", "files", *(["made_from"] if "/M0/" not in path and "models/" in path else [])])

    def change(value: dict[str, Any]) -> None:
        if key == "made_from":
            value[key]["dataset"] = other
        elif key == "files":
            value[key]["README.md" if "models/" in path else "kto.parquet"] = other
        else:
            value[key] = other

    damaged.edit_json(path, change)
    return Trace.of("manifests", path if key != "files" else path.rpartition("/")[0])


@add_kind("evaluation: a verdict turned")
def turn_evaluated_verdict(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file("data/evaluations/**/outcomes/*.parquet")
    row = damaged.turn_cell(path, "is_correct")
    return Trace.of("verdicts", path, f"sample {row['sample_id']}")


@add_kind("evaluation: a label, or its reason, is another")
def change_evaluated_label(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file("data/evaluations/**/labels/*.parquet")
    [(number, row)] = damaged.choose_row(path)
    cells = {"label": not row["label"]} if damaged.rng.random() < 0.5 else {"reason": f"{row['reason']} "}
    damaged.set_cells(path, number, **cells)
    return Trace.of("labels", path, f"sample {row['sample_id']} step {row['step']}")


@add_kind("report of an evaluation: a metric, its interval or a number of rows is another")
def change_metric(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file("data/reports/evaluate/*.json")

    def change(value: dict[str, Any]) -> None:
        metrics = {name: each for name, each in value["metrics"].items() if not name.startswith("maj_at_")}
        part = damaged.rng.choice([value["num_rows"], *(metrics[name] for name in sorted(metrics))])
        key = damaged.rng.choice(sorted(key for key in part if key != "problems"))
        part[key] = (part[key] or 0) + 0.125

    damaged.edit_json(path, change)
    return Trace.of("reports", path)


@add_kind("report of a stage: a count is another")
def change_stage_report(damaged: DamagedRound) -> Trace:
    keys = {
        "sample": ["samples", "completion_tokens"],
        "outcome": ["verdicts", "reasons"],
        "select": ["samples", "selected"],
        "split": ["steps", "steps_per_sample"],
        "judge": ["steps", "labels"],
        "dataset": ["rows", "labels", "weights"],
    }
    stage = damaged.rng.choice(sorted(keys))
    path, key = damaged.choose_file(f"data/reports/{stage}/*.json"), damaged.rng.choice(keys[stage])

    def change(value: dict[str, Any]) -> None:
        part = value
        name = key
        while isinstance(part[name], dict):
            part = part[name]
            name = damaged.rng.choice(sorted(part))
        part[name] = part[name] + 1

    damaged.edit_json(path, change)
    return Trace.of("reports", path, f"{key} is")


@add_kind("report of rounds: a number in the table or in the metrics is another")
def change_summary(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file("reports/rounds.csv", "reports/metrics.json")
    numbers = re.findall(r"\d\.\d+", (damaged.root / path).read_text(encoding="utf-8"))
    number = damaged.choose(sorted(set(numbers)), "number")
    damaged.edit_text(path, re.escape(number), lambda match: f"{float(match[0]) + 1}")
    return Trace.of("reports", path)


@add_kind("dvc.lock: a param, the command or an input of a stage is another", has_new_hashes=False)
def change_lock(damaged: DamagedRound) -> Trace:
    name = damaged.choose_round()
    stage = damaged.rng.choice(["sample", "outcome", "select", "split", "judge", "dataset", "train", "evaluate"])
    entry = rf"(\n  {stage}@{name}:\n(?:    .*\n|\n)*?"
    of_params = rf"params:\n      reports/params/{name}.yaml:\n        (?:.*\n)*?.*: )(?:\d+|null|true|false)\n"
    of_input = r"deps:\n(?:    .*\n)*?    - path: data/\S+\n\s+hash: md5\n\s+md5: )\w{4}"
    choices = [("cmd: python -m )", "verbose "), (of_input, "0000"), (of_params, "77\n")]
    pattern, replacement = damaged.rng.choice([(f"{entry}    {rest}", new) for rest, new in choices])
    damaged.edit_text(LOCK, pattern, lambda match: match[1] + replacement)
    return Trace.of("lock", f"dvc.lock: {stage}@{name}")


@add_kind("dvc.lock: the hash of an output is another", has_new_hashes=False)
def change_output_hash(damaged: DamagedRound) -> Trace:
    outs = re.findall(r"- path: ((?:data|models)/\S+)\n", (damaged.root / LOCK).read_text(encoding="utf-8"))
    path = damaged.rng.choice(sorted(set(outs)))
    pattern = rf"(    outs:\n(?:    .*\n)*?    - path: {re.escape(path)}\n\s+hash: md5\n\s+md5: )\w{{6}}"
    damaged.edit_text(LOCK, pattern, lambda match: match[1] + "000000")
    return Trace.of("files lock", path, "000000")


@add_kind("params: params.yaml or a round's resolved params are others", has_new_hashes=False)
def change_params(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file("params.yaml", "reports/params/*.yaml")
    damaged.edit_text(path, r"(?m)^(seed: )\d+$", lambda match: f"{match[1]}{damaged.rng.randrange(100, 999)}")
    return Trace.of("lock", path)


@add_kind("code: a line of a module more", has_new_hashes=False)
def change_code(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file("stages/**/*.py")
    damaged.write_bytes(path, (damaged.root / path).read_bytes() + b"\nSPEED = 2\n")
    return Trace.of("code", path)


@add_kind("file: a bit turned", has_new_hashes=False)
def turn_bit(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file(*DATA, "reports/**/*.*")
    content = bytearray((damaged.root / path).read_bytes())
    content[damaged.rng.randrange(len(content))] ^= 1 << damaged.rng.randrange(8)
    damaged.write_bytes(path, bytes(content))
    return Trace.of("files lock code", path)


@add_kind("file: cut, empty or gone", has_new_hashes=False)
def cut_file(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file(*DATA)
    content = (damaged.root / path).read_bytes()
    damaged.write_bytes(path, damaged.rng.choice([content[: damaged.rng.randrange(len(content))], b"", None]))
    return Trace.of("files", path)
