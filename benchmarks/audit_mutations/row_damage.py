"""Damage of the tables between stages, by someone who makes all hashes fit afterwards."""

from __future__ import annotations

import json
import re
from typing import Any

import polars as pl

from benchmarks.audit_mutations.damage_kind import add_kind
from benchmarks.audit_mutations.damaged_round import DamagedRound, Row, Trace
from stages.common.tables import make_sample_id

PROBLEMS = "data/problems/*.parquet"


def _locate(damaged: DamagedRound, *tables: str) -> str:
    """A shard of one of these tables of a round, or of an evaluation."""
    name = damaged.choose_round()
    return damaged.choose_file(*(f"data/{table}/{name}/*.parquet" for table in tables))


def _name(row: Row) -> tuple[str, ...]:
    """The words by which a row must be named."""
    return (f"sample {row['sample_id']}", *([f"step {row['step']}"] if row.get("step", -1) >= 0 else []))


@add_kind("problem: gold answer, or a letter of the statement, is another")
def change_problem(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file(PROBLEMS)
    [(number, row)] = damaged.choose_row(path)
    if damaged.rng.random() < 0.5:
        damaged.set_cells(path, number, answer=row["answer"] + "1")
    else:
        damaged.set_cells(path, number, problem=_change_letter(damaged, row["problem"]))
    return Trace.of("problems", path, row["problem_id"])


@add_kind("problem: row dropped, or moved to another split")
def drop_problem(damaged: DamagedRound) -> Trace:
    path = damaged.choose_file(PROBLEMS)
    sampled = damaged.read(_locate(damaged, "samples"))["problem_id"].unique().to_list()
    [(number, row)] = damaged.choose_row(path, pl.col("problem_id").is_in(sampled))
    if damaged.rng.random() < 0.5:
        damaged.write(path, damaged.read(path).filter(pl.int_range(pl.len()) != number))
    else:
        damaged.set_cells(path, number, split="test")
    return Trace.of("samples", row["problem_id"])


@add_kind("sample: a letter of the completion is another")
def change_completion(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "samples")
    [(number, row)] = damaged.choose_row(path)
    damaged.set_cells(path, number, completion=_change_letter(damaged, row["completion"]))
    return Trace.of("samples", path, *_name(row))


@add_kind("sample: another completion under a new id that fits")
def forge_sample(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "samples")
    [(number, row)] = damaged.choose_row(path)
    text = _change_letter(damaged, row["completion"])
    identity = make_sample_id(row["problem_id"], row["policy"], row["sampling_hash"], row["sample_index"], text)
    damaged.set_cells(path, number, completion=text, sample_id=identity)
    return Trace.of("verdicts", f"sample {identity}")


@add_kind("sample: said to come from another policy or other sampling params, its id made to fit")
def change_origin(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "samples")
    [(number, row)] = damaged.choose_row(path)
    row |= {damaged.rng.choice(["policy", "sampling_hash"]): f"{damaged.rng.getrandbits(128):032x}"}
    keys = ("problem_id", "policy", "sampling_hash", "sample_index", "completion")
    row["sample_id"] = make_sample_id(*(row[key] for key in keys))
    damaged.set_cells(path, number, **{key: row[key] for key in ("sample_id", "policy", "sampling_hash")})
    return Trace.of("samples", path, *_name(row), "expected")


@add_kind("sample: completions of two samples exchanged")
def swap_completions(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "samples")
    [first] = damaged.choose_row(path)
    [second] = damaged.choose_row(path, pl.col("completion") != first[1]["completion"])
    damaged.swap_cells(path, first, second, ["completion"])
    return Trace.of("samples", path, *_name(first[1]))


@add_kind("sample: row dropped")
def drop_sample(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "samples")
    [(number, row)] = damaged.choose_row(path)
    damaged.write(path, damaged.read(path).filter(pl.int_range(pl.len()) != number))
    return Trace.of("verdicts", *_name(row))


@add_kind("sample: token ids are others, or those of no tokenizer here")
def change_token_ids(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "samples")
    [(number, row)] = damaged.choose_row(path)
    ids = list(row["completion_ids"] or [1, 2, 3])
    ids.insert(damaged.rng.randrange(len(ids) + 1), ids[damaged.rng.randrange(len(ids))] + 1)
    damaged.set_list(path, number, "completion_ids", ids)
    return Trace.of("samples", path, *_name(row), "token")


@add_kind("sample: index, seed or another random column of the row is another")
def change_sample_facts(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "samples")
    [(number, row)] = damaged.choose_row(path)
    column = damaged.rng.choice(["sample_index", "seed"])
    damaged.set_cells(path, number, **{column: (row[column] or 0) + 1000})
    return Trace.of("samples", path, *_name(row))


@add_kind("verdict: turned")
def turn_verdict(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "outcomes")
    return Trace.of("verdicts", path, *_name(damaged.turn_cell(path, "is_correct")))


@add_kind("verdict: answer, rule, reason or verifier is another")
def change_verdict(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "outcomes")
    [(number, row)] = damaged.choose_row(path)
    column = damaged.rng.choice(["answer", "extraction_rule", "reason", "verifier"])
    damaged.set_cells(path, number, **{column: f"{row[column]}0"})
    return Trace.of("verdicts", path, *_name(row), f"{column} is")


@add_kind("verdict: two samples' verdicts exchanged")
def swap_verdicts(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "outcomes")
    [first] = damaged.choose_row(path, pl.col("is_correct"))
    [second] = damaged.choose_row(path, ~pl.col("is_correct"))
    damaged.swap_cells(path, first, second, ["answer", "extraction_rule", "is_correct", "reason"])
    return Trace.of("verdicts", path, *_name(first[1]))


@add_kind("selection: a kept sample dropped, a dropped one kept, or another rank")
def change_selection(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "selections")
    [(number, row)] = damaged.choose_row(path)
    if row["rank"] is None:
        damaged.set_cells(path, number, rank=0, drop_reason=None)
    elif damaged.rng.random() < 0.5:
        damaged.set_cells(path, number, rank=row["rank"] + 1)
    else:
        damaged.set_cells(path, number, rank=None, drop_reason="more than the limit per problem")
    return Trace.of("selection", path, *_name(row))


@add_kind("step: an offset moved, in both steps that it divides")
def move_boundary(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "steps")
    [(number, row)] = damaged.choose_row(path, pl.col("step") > 0)
    start = row["start"] + damaged.rng.choice([-2, -1, 1])
    damaged.set_cells(path, number, start=start)
    damaged.set_cells(path, number - 1, end=start)
    return Trace.of("steps", path, *_name(row))


@add_kind("step: row dropped, or its end moved")
def drop_step(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "steps")
    [(number, row)] = damaged.choose_row(path)
    if damaged.rng.random() < 0.5:
        damaged.write(path, damaged.read(path).filter(pl.int_range(pl.len()) != number))
    else:
        damaged.set_cells(path, number, end=row["end"] - 1)
    return Trace.of("steps", path, f"sample {row['sample_id']}")


@add_kind("step: two made one, with their labels, and those after them renumbered")
def merge_steps(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "steps")
    [(_, row)] = damaged.choose_row(path, pl.col("step") > 0)

    def merge(rows: list[Row]) -> list[Row]:
        merged: list[Row] = []
        for each in rows:
            if each["sample_id"] == row["sample_id"] and each["step"] >= row["step"]:
                if each["step"] == row["step"]:
                    if "end" in each:
                        merged[-1]["end"] = each["end"]
                    continue
                each["step"] -= 1
            merged.append(each)
        return merged

    for table in (path, path.replace("/steps/", "/labels/")):
        damaged.edit_rows(table, merge)
    return Trace.of("steps", path, f"sample {row['sample_id']}")


@add_kind("label: turned, in the table of labels alone")
def turn_label(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "labels")
    return Trace.of("labels", path, *_name(damaged.turn_cell(path, "label")))


@add_kind("label: turned with first_error and the training row, so that tables agree")
def turn_label_everywhere(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "labels")
    [(_, row)] = damaged.choose_row(path)
    label = not row["label"]

    def turn(rows: list[Row]) -> list[Row]:
        own = [each for each in rows if each["sample_id"] == row["sample_id"]]
        next(each for each in own if each["step"] == row["step"])["label"] = label
        first = min((each["step"] for each in own if each["label"] is False), default=None)
        for each in own:
            each["first_error"] = first
        return rows

    def turn_trained(rows: list[Row]) -> list[Row]:
        for each in rows:
            if each["sample_id"] == row["sample_id"]:
                each["steps"][row["step"]]["label"] = label
        return rows

    damaged.edit_rows(path, turn)
    name = path.split("/")[2]
    damaged.edit_rows(f"data/datasets/{name}/step_kto.parquet", turn_trained)
    return Trace.of("labels", path, *_name(row))


@add_kind("label: reason, agreement, votes or judge is another")
def change_label_facts(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "labels")
    [(number, row)] = damaged.choose_row(path)
    values = {
        "reason": f"{row['reason']}.",
        "agreement": row["agreement"] / 2 + 0.01,
        "num_votes": row["num_votes"] + 1,
        "judge": f"{damaged.rng.getrandbits(128):032x}",
    }
    column = damaged.rng.choice(sorted(values))
    damaged.set_cells(path, number, **{column: values[column]})
    return Trace.of("labels", path, *_name(row), f"{column} is")


@add_kind("label: row dropped")
def drop_label(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "labels")
    [(number, row)] = damaged.choose_row(path)
    damaged.write(path, damaged.read(path).filter(pl.int_range(pl.len()) != number))
    return Trace.of("labels", path, *_name(row))


@add_kind("label: another round's for the same problem and step")
def take_other_label(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "labels")
    other = path.replace(f"/{path.split('/')[2]}/", f"/{damaged.choose_other(path.split('/')[2])}/")
    [(number, row)] = damaged.choose_row(path)
    given = ("label", "reason", "num_votes", "agreement", "judge")
    is_other = pl.any_horizontal(pl.col(name).ne_missing(pl.lit(row[name])) for name in given)
    [(_, taken)] = damaged.choose_row(other, (pl.col("step") == row["step"]) & is_other)
    damaged.set_cells(path, number, **{name: taken[name] for name in given})
    return Trace.of("labels", path, *_name(row))


@add_kind("reply: a vote in its text turned")
def turn_vote(damaged: DamagedRound) -> Trace:
    path, number, row = _choose_reply(damaged, pl.col("error").is_null())
    reply = json.loads(row["text"])
    vote = damaged.rng.choice(reply["verdicts"])
    vote["verdict"] = "incorrect" if vote["verdict"] == "correct" else "correct"
    damaged.set_cells(path, number, text=json.dumps(reply))
    return Trace.of("labels", f"sample {row['sample_id']}")


@add_kind("reply: dropped, or there once more as a later attempt")
def drop_reply(damaged: DamagedRound) -> Trace:
    path, number, row = _choose_reply(damaged)
    rows = damaged.read(path)
    if damaged.rng.random() < 0.5:
        damaged.write(path, rows.filter(pl.int_range(pl.len()) != number))
    else:
        copied = pl.DataFrame([{**row, "attempt": row["attempt"] + 7}], schema=rows.schema)
        keys = ["problem_id", "sample_id", "judge_index", "step", "vote", "attempt"]
        damaged.write(path, pl.concat([rows, copied]).sort(keys))
    return Trace.of("labels", f"sample {row['sample_id']}", f"vote {row['vote']}")


@add_kind("reply: said to be invalid, or to be valid")
def change_reply_error(damaged: DamagedRound) -> Trace:
    path, number, row = _choose_reply(damaged)
    damaged.set_cells(path, number, error="it was cut" if row["error"] is None else None)
    return Trace.of("labels", path, *_name(row), f"vote {row['vote']} attempt {row['attempt']}", "error is")


def _choose_reply(damaged: DamagedRound, where: pl.Expr | None = None) -> tuple[str, int, Row]:
    path = damaged.choose_file("data/labels/*/replies/*.parquet")
    [(number, row)] = damaged.choose_row(path, where)
    return path, number, row


@add_kind("table: rows unsorted, or one there twice")
def unsort_table(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "samples", "outcomes", "selections", "steps", "labels")
    rows = damaged.read(path)
    if damaged.rng.random() < 0.5:
        damaged.write(path, pl.concat([rows[1:], rows[:1]]))
        return Trace.of("tables", path, "not sorted")
    [(number, row)] = damaged.choose_row(path)
    damaged.write(path, pl.concat([rows[: number + 1], rows[number:]]))
    return Trace.of("tables", path, *_name(row), "twice")


@add_kind("table: a column dropped, added or of another type, or a value missing")
def change_schema(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "samples", "outcomes", "selections", "steps", "labels")
    rows = damaged.read(path)
    column = damaged.rng.choice(rows.columns)
    changes: dict[str, Any] = {
        "drop": rows.drop(column),
        "rename": rows.rename({column: f"{column}_"}),
        "add": rows.with_columns(extra=1),
        "nothing": rows.with_columns(pl.when(pl.int_range(pl.len()) > 0).then("problem_id").alias("problem_id")),
        "type": rows.with_columns(sample_id=pl.struct("sample_id")),
    }
    damaged.write(path, changes[damaged.rng.choice(sorted(changes))])
    return Trace.of("tables", path)


@add_kind("table: a file more that is read as one")
def add_shard(damaged: DamagedRound) -> Trace:
    path = _locate(damaged, "samples", "outcomes", "selections", "steps", "labels")
    stray = path.rpartition("/")[0] + "/more.parquet"
    damaged.remember(stray)
    damaged.write(stray, damaged.read(path).head(3))
    return Trace.of("tables", stray)


def _change_letter(damaged: DamagedRound, text: str) -> str:
    at = damaged.choose([match.start() for match in re.finditer(r"[a-y]", text)], "letter")
    return text[:at] + chr(ord(text[at]) + 1) + text[at + 1 :]
