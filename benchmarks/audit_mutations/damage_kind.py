"""A kind of damage, and the registry of all."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.audit_mutations.damaged_round import DamagedRound, Trace

Damage = Callable[[DamagedRound], Trace]


@dataclass(frozen=True)
class DamageKind:
    """A kind of damage."""

    title: str
    damage: Damage
    """Does it to a round and returns where it must be named."""
    has_new_hashes: bool
    """Whether manifests and dvc.lock are made to fit, so that no hash gives it away."""


KINDS: list[DamageKind] = []
"""All kinds, in the order of the data flow."""


def add_kind(title: str, has_new_hashes: bool = True) -> Callable[[Damage], Damage]:
    """Register a kind of damage."""

    def add(damage: Damage) -> Damage:
        KINDS.append(DamageKind(title, damage, has_new_hashes))
        return damage

    return add
