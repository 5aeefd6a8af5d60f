"""Everything that determines a trained policy."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stages.common.params.train import TrainParams
from stages.common.policies import Policy, read_policy
from stages.common.tables import content_hash
from stages.train.dataset_folder import DatasetFolder, read_dataset_folder
from stages.train.policy_card import select_weight_params


@dataclass(frozen=True)
class TrainingInputs:
    """A data set, a starting policy, params and a seed; reading either folder raises `UserError`.

    `params.dtype` is a type, not `auto`: what that means on this machine is part of what determines a policy.
    """

    dataset: Path
    policy: Path
    params: TrainParams
    seed: int

    def __post_init__(self) -> None:
        if self.params.dtype == "auto":
            raise ValueError("params.dtype: expected a type, found auto")

    @cached_property
    def dataset_folder(self) -> DatasetFolder:
        return read_dataset_folder(self.dataset)

    @cached_property
    def starting_policy(self) -> Policy:
        return read_policy(self.policy)

    @property
    def made_from(self) -> dict[str, str | int]:
        """The inputs by content, as the policy's manifest names them."""
        weights = self.dataset_folder.weights
        return {
            "dataset": self.dataset_folder.hash,
            "policy": self.starting_policy.hash,
            "params_hash": content_hash("train", select_weight_params(self.params), weights),
            "seed": self.seed,
            "dtype": self.params.dtype,
        }
