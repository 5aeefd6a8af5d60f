"""SimPO by TRL's CPO trainer, over pairs that are encoded already: apart, since TRL calls it experimental."""

from typing import Any

from trl.experimental.cpo import CPOConfig, CPOTrainer

__all__ = ["CPOConfig", "EncodedSimPOTrainer"]


class EncodedSimPOTrainer(CPOTrainer):
    """TRL's CPO trainer on what `encode_pairs` makes; with loss `simpo` and `cpo_alpha` 0 it is SimPO."""

    def tokenize_row(self, feature: dict[str, list[int]], **_: Any) -> dict[str, list[int]]:
        """Called by the trainer for each pair."""
        prompt = feature["prompt_ids"]
        columns = {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
        for side in ("chosen", "rejected"):
            ids = prompt + feature[f"{side}_ids"]
            columns[f"{side}_input_ids"] = ids
            columns[f"{side}_attention_mask"] = [1] * len(ids)
            columns[f"{side}_labels"] = [-100] * len(prompt) + feature[f"{side}_ids"]
        return columns
