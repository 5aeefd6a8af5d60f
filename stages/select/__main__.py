"""``python -m stages.select``: choose one round's samples for training by their outcomes."""

from collections import Counter
from pathlib import Path

import polars as pl

from stages.common.console import run_stage
from stages.common.errors import UserError
from stages.common.params.block import load, load_seed
from stages.common.params.select import SelectParams
from stages.common.params.tables import TablesParams
from stages.common.progress import progress
from stages.common.tables import (
    OUTCOME,
    SAMPLE,
    SELECTION,
    DropLog,
    ShardWriter,
    list_shards,
    read_shard,
    replace_dir,
    write_json,
)
from stages.select.sample_selection import select_samples

NAMES = {True: "correct", False: "incorrect", None: "unknown"}


def select(recipe: Path, samples: Path, outcomes: Path, out: Path, report: Path) -> None:
    """Choose one round's samples for training by their outcomes."""
    params, seed = load(SelectParams, recipe, "select"), load_seed(recipe)
    shards = list_shards(load(TablesParams, recipe, "tables").shard_digits)
    drops = DropLog()
    num_sampled, num_selected = Counter[str](), Counter[str]()
    with replace_dir(out) as folder:
        writer = ShardWriter(folder, SELECTION)
        for shard in progress(shards, f"select {out.name}", unit="shards"):
            frame = read_shard(samples, SAMPLE, shard).select("sample_id", "problem_id", "completion")
            found = frame.join(read_shard(outcomes, OUTCOME, shard), on=["problem_id", "sample_id"])
            if found.height != frame.height:
                raise UserError(
                    f"{outcomes}, shard {shard}: {frame.height - found.height} samples of {samples} have no outcome; "
                    "run stage outcome again"
                )
            frame = found
            selection = select_samples(frame, params, seed)
            writer.write(shard, selection)
            decided = frame.join(selection, on=["problem_id", "sample_id"]).sort("problem_id", "sample_id")
            for reason, sample, text in decided.drop_nulls("drop_reason").select(
                "drop_reason", "sample_id", "completion"
            ).iter_rows():  # fmt: skip
                drops.drop(reason, sample, text)
            is_selected = pl.col("drop_reason").is_null()
            num_sampled.update(NAMES[value] for value in decided["is_correct"])
            num_selected.update(NAMES[value] for value in decided.filter(is_selected)["is_correct"])
    write_json(
        report,
        {
            "samples": num_sampled.total(),
            "selected": num_selected.total(),
            "outcomes": {
                when: {name: counts[name] for name in NAMES.values()}
                for when, counts in (("before", num_sampled), ("after", num_selected))
            },
            "drops": drops.report(),
        },
    )


if __name__ == "__main__":
    run_stage(select)
