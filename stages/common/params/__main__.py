"""``python -m stages.common.params``: write the params in force of every round."""

from pathlib import Path

import yaml

from stages.common.console import run_stage
from stages.common.params.block import read_yaml
from stages.common.params.file_hashes import FileHasher, add_file_hashes
from stages.common.params.recipe import SEED_POLICY, check_recipe, resolve
from stages.common.tables import replace_dir


def resolve_all(recipe: Path, out: Path) -> None:
    """Write the params in force of every round, and of what belongs to none, into the folder `out`, a file each.

    Local files that are named have their hashes beside them.
    """
    params = read_yaml(recipe)
    checked, hasher = check_recipe(params, recipe), FileHasher()
    with replace_dir(out) as folder:
        for name in (SEED_POLICY, *checked.rounds):
            content = add_file_hashes(resolve(params, name), hasher)
            text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    hasher.save()


if __name__ == "__main__":
    run_stage(resolve_all)
