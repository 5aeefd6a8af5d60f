"""M0: the policy from which the first round starts."""

from stages.seed_model.seed_policy import write_seed_policy

__all__ = ["write_seed_policy"]
