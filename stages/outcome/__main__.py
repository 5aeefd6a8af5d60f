"""``python -m stages.outcome``: verify the final answers of one round."""

from pathlib import Path

from stages.common.console import run_stage


def verify(recipe: Path, problems: Path, samples: Path, out: Path, report: Path) -> None:
    """Verify the final answers of one round."""
    from stages.outcome.stage import verify_round

    verify_round(recipe, problems, samples, out, report)


if __name__ == "__main__":
    run_stage(verify)
