"""``python -m stages.split``: split into steps what is judged of one round's samples."""

from collections import Counter
from pathlib import Path

from stages.common.console import run_stage
from stages.common.params.block import load
from stages.common.params.judge import load_scope
from stages.common.params.split import SplitParams
from stages.common.params.tables import TablesParams
from stages.common.progress import progress
from stages.common.tables import SAMPLE, SELECTION, STEP, ShardWriter, list_shards, read_shard, replace_dir, write_json
from stages.select import keep_in_scope
from stages.split.samples import open_splitter


def split(recipe: Path, samples: Path, selections: Path, out: Path, report: Path) -> None:
    """Split those of one round's samples into steps that are judged."""
    params, scope = load(SplitParams, recipe, "split"), load_scope(recipe)
    shards = list_shards(load(TablesParams, recipe, "tables").shard_digits)
    num_samples = 0
    sizes: Counter[int] = Counter()
    desc = f"split {out.name}"
    with replace_dir(out) as folder, open_splitter(params, desc) as splitter:
        writer = ShardWriter(folder, STEP)
        for shard in progress(shards, desc, unit="shards"):
            frame = keep_in_scope(read_shard(samples, SAMPLE, shard), read_shard(selections, SELECTION, shard), scope)
            steps = splitter.split(frame)
            writer.write(shard, steps)
            num_samples += frame.height
            sizes.update(steps.group_by("sample_id").len()["len"].to_list())
    write_json(
        report,
        {
            "scope": scope,
            "samples": num_samples,
            "steps": writer.rows,
            "steps_per_sample": {str(size): sizes[size] for size in sorted(sizes)},
            **splitter.report(),
        },
    )


if __name__ == "__main__":
    run_stage(split)
