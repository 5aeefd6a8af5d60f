"""Log-probs that samplers gave their samples, kept beside the journals for a comparison with the trainer's.

Their last digits depend on what was generated side by side, so they are in no table: a stage that was killed and goes
on writes the same bytes as one that was not.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.common.journal import ROOT, Journal, read_keys

FOLDER = "sampled_logps"
"""Below the journals' root; a file per policy."""


def keep_sampled_logps(policy: str, logps: Mapping[str, float], root: Path = ROOT) -> None:
    """Keep `logps`: by sample id, the sum over a sample's tokens at temperature 1, in nats; `policy` is its hash."""
    if logps:
        with Journal(root / FOLDER / f"{policy}.jsonl") as journal:
            journal.put_each({name: logp for name, logp in logps.items() if journal.find(name, _is_logp) is None})


def read_sampled_logps(policy: str, root: Path = ROOT) -> dict[str, float]:
    """Those kept for samples of `policy`; none where it was sampled on another machine."""
    path = root / FOLDER / f"{policy}.jsonl"
    if not path.exists():
        return {}
    with Journal(path) as journal:
        return {name: journal.find(name, _is_logp) for name in read_keys(path, _is_logp)}


def _is_logp(value: Any) -> bool:
    return isinstance(value, float)
