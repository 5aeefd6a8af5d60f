"""``python -m stages.code``: write what each stage's bytes depend on in code, a text file per stage."""

from pathlib import Path

from stages.code import describe_code
from stages.common.console import run_stage
from stages.common.params.block import read_yaml
from stages.common.tables import replace_dir


def write_code(recipe: Path, out: Path) -> None:
    """Write the modules, data files and library versions that each stage's bytes depend on."""
    with replace_dir(out) as folder:
        for stage, text in describe_code(read_yaml(recipe).get("plugins") or []).items():
            (folder / f"{stage}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_stage(write_code)
