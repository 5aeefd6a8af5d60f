"""Chains: one seed's rounds with one method and its params, each in a workspace of its own, finished ones kept.

Rounds have the same names in every workspace, so that DVC's run cache, which they share, holds M0 and the first round's
samples and labels once for all methods of a seed.
"""

import json
import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl

from experiments.workspace import make_workspace, reproduce
from stages.common.errors import UserError
from stages.common.params.recipe import merge
from stages.common.provenance import hash_folder
from stages.common.tables import content_hash, write_json

DIVERGED = re.compile(r"step \d+: .*train\.learning_rate.*?failed to reproduce 'train@M(\d+)'", re.DOTALL)
"""How the log of a chain ends whose training stopped itself; the group is the round."""


UNTRAINED = {"method": "none", "packing": False, "nll_weight": 0.0}
"""Params of a round that leaves the policy what it is: without what only some methods have."""


@dataclass(frozen=True)
class Chain:
    """Rounds M1 to M`num_rounds` of one seed, with `override` laid over the recipe in each.

    A majority vote, where the recipe has one, is taken for M0 and the last policy alone: it is most of an evaluation.
    """

    seed: int
    name: str
    override: dict[str, Any]
    num_rounds: int
    last_trained: int | None = None
    """The last round that trains, None if all do: after it the policy stays what it is."""

    def make_recipe(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """`recipe` with this chain's seed and rounds."""
        rounds = {}
        for number in range(1, self.num_rounds + 1):
            is_trained = self.last_trained is None or number <= self.last_trained
            override = self.override if is_trained else merge(self.override, {"train": UNTRAINED})
            vote = {"evaluate": {"num_majority_samples": 0}} if number < self.num_rounds else {}
            rounds[f"M{number}"] = {"policy": f"M{number - 1}", **override, **vote}
        return {**recipe, "seed": self.seed, "rounds": rounds}


def run_chains(chains: Iterable[Chain], recipe: dict[str, Any], root: Path, jobs: int, cache: Path) -> pl.DataFrame:
    """Run `chains`, `jobs` at a time, below the folder `root`; a row per chain and round of reports/rounds.csv.

    Stage outputs go to the DVC cache `cache`. Columns seed, chain and last_trained are added. The first chain of every
    seed runs before the others, which then find the seed's M0 in the cache. What has finished with the same recipe and
    code is not run again.
    """
    code = content_hash(
        "stages", {name: it for name, it in hash_folder(Path("stages")).items() if "__pycache__" not in name}
    )
    ordered = [list(group) for _, group in groupby(sorted(chains, key=lambda c: c.seed), key=lambda c: c.seed)]
    first, others = [group[0] for group in ordered], [chain for group in ordered for chain in group[1:]]
    others.sort(key=lambda chain: chain.name)  # side by side run different seeds
    with ThreadPoolExecutor(jobs) as pool:
        frames = [
            frame
            for part in (first, others)
            for frame in pool.map(lambda chain: _run_or_read(chain, recipe, root, cache, code), part)
        ]
    return pl.concat(frames, how="diagonal_relaxed").sort("seed", "chain", "round")


def _run_or_read(chain: Chain, recipe: dict[str, Any], root: Path, cache: Path, code: str) -> pl.DataFrame:
    folder = root / f"{chain.seed}-{chain.name}"
    done, key = folder.with_suffix(".json"), content_hash("chain", chain.make_recipe(recipe), code)
    known = json.loads(done.read_text(encoding="utf-8")) if done.is_file() else {}
    if known.get("key") != key:
        start = time.monotonic()
        ran = _run(chain, recipe, folder, cache)
        table = pl.read_csv(folder / "reports" / "rounds.csv")
        known = {"key": key, "last_trained": ran.last_trained, "rounds": table.to_dicts()}
        write_json(done, known)
        print(f"{folder.name}: {time.monotonic() - start:.0f} s", flush=True)
    columns = {"seed": chain.seed, "chain": chain.name, "last_trained": known["last_trained"]}
    return pl.DataFrame([{**row, **columns} for row in known["rounds"]], infer_schema_length=None)


def _run(chain: Chain, recipe: dict[str, Any], folder: Path, cache: Path) -> Chain:
    """Run `chain`; where training diverges, run on with the policy before. Returns the chain that ran."""
    log = folder.with_suffix(".log")
    make_workspace(folder, chain.make_recipe(recipe), cache)
    try:
        reproduce(folder, log)
    except UserError:
        diverged = DIVERGED.search(log.read_text(encoding="utf-8"))
        if diverged is None:
            raise
        log.replace(folder.with_suffix(".stopped.log"))  # says why; the next run writes its own
        return _run(replace(chain, last_trained=int(diverged[1]) - 1), recipe, folder, cache)
    return chain
