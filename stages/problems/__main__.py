"""``python -m stages.problems``: make the table of problems."""

from pathlib import Path

from stages.common.console import run_stage
from stages.common.params.block import load, load_seed
from stages.common.params.evaluate import load_benchmarks
from stages.common.params.problems import ProblemsParams
from stages.common.params.tables import TablesParams
from stages.common.tables import replace_dir, write_json
from stages.problems.problem_table import build_problems


def build(recipe: Path, out: Path, report: Path) -> None:
    """Make the table of problems."""
    params = load(ProblemsParams, recipe, "problems")
    digits = load(TablesParams, recipe, "tables").shard_digits
    with replace_dir(out) as folder:
        counts = build_problems(params, load_seed(recipe), digits, folder, load_benchmarks(recipe))
    write_json(report, counts)


if __name__ == "__main__":
    run_stage(build)
