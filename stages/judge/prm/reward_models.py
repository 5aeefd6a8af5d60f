"""Process reward models whose head transformers does not have: built here, so that no code of a repository is run.

The backbone and the names of the weights are those of the published checkpoints. The head computes in float32 whatever
the type of the backbone, as vLLM's does.
"""

from typing import Any

import torch
from torch import nn
from transformers import Qwen2Config, Qwen2Model, Qwen2PreTrainedModel
from transformers.modeling_outputs import TokenClassifierOutput


class QwenRewardModel(Qwen2PreTrainedModel):
    """A Qwen2 backbone and a head that reads its last hidden states, of which `logits_to_keep` names the places."""

    _keep_in_fp32_modules_strict = ("score", "v_head")
    _keys_to_ignore_on_load_unexpected = (r"^lm_head\.",)

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)
        self.add_head(config.hidden_size)
        self.post_init()

    def add_head(self, hidden_size: int) -> None:
        """Make the head's modules, under the names of its weights."""
        raise NotImplementedError

    def read_head(self, hidden_BKD: torch.Tensor) -> torch.Tensor:
        """Logits (B, K, C)."""
        raise NotImplementedError

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, logits_to_keep: torch.Tensor, **options: Any
    ) -> TokenClassifierOutput:
        """Logits at the K places of each of B inputs."""
        hidden_BTD = self.model(input_ids=input_ids, attention_mask=attention_mask, **options).last_hidden_state
        return TokenClassifierOutput(logits=self.read_head(hidden_BTD[:, logits_to_keep].float()))


class QwenMathPrm(QwenRewardModel):
    """Qwen2.5-Math-PRM (arXiv 2501.07301), `Qwen2ForProcessRewardModel`: two layers, two classes."""

    def add_head(self, hidden_size: int) -> None:
        """`score.0` and `score.2`."""
        self.score = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, 2))

    def read_head(self, hidden_BKD: torch.Tensor) -> torch.Tensor:
        """Logits of incorrect and correct."""
        return self.score(hidden_BKD)


class SkyworkPrm(QwenRewardModel):
    """Skywork-o1-Open-PRM: a value head, of whose value the sigmoid is the score."""

    def add_head(self, hidden_size: int) -> None:
        """`v_head.summary`."""
        self.v_head = nn.ModuleDict({"summary": nn.Linear(hidden_size, 1)})

    def read_head(self, hidden_BKD: torch.Tensor) -> torch.Tensor:
        """Logits of incorrect, which is 0, and correct: the softmax of both is the sigmoid."""
        value_BK1 = self.v_head["summary"](hidden_BKD)
        return torch.cat([torch.zeros_like(value_BK1), value_BK1], dim=-1)
