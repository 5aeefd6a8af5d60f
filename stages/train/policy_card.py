"""The model card in a policy's folder: what the policy was made from, without times and paths."""

from typing import Any

from stages.common.params.train import TrainParams

_METHODS = {
    "step_kto": "Step-KTO (arXiv 2501.10799): KTO on outcomes and on steps",
    "kto": "KTO (arXiv 2402.01306) on outcomes",
    "rft": "RFT: supervised fine-tuning on correct completions",
    "dpo": "DPO (arXiv 2305.18290) on correct and incorrect completions",
    "ipo": "IPO (arXiv 2310.12036), per token, on correct and incorrect completions",
    "irpo": "Iterative RPO (arXiv 2404.19733): DPO and likelihood on correct and incorrect completions",
    "simpo": "SimPO (arXiv 2405.14734) on correct and incorrect completions",
    "step_dpo": "Step-DPO (arXiv 2406.18629) on correct and incorrect next steps",
}


def select_weight_params(params: TrainParams) -> dict[str, Any]:
    """The params that the weights depend on; options that are off (null) and those of other methods are left out."""
    others = set() if params.method == "simpo" else {"simpo_gamma"}
    selected: dict[str, Any] = params.model_dump(mode="json", exclude_none=True, exclude={"report_to", *others})
    return selected


def format_policy_card(params: TrainParams, made_from: dict[str, str | int], num_rows: int, num_steps: int) -> str:
    """Markdown with the Hub's metadata block; `num_rows` trained on per epoch, `num_steps` of the optimizer."""
    settings = "\n".join(f"| {name} | {value} |" for name, value in select_weight_params(params).items())
    origin = "\n".join(f"| {name} | `{value}` |" for name, value in made_from.items())
    return f"""---
library_name: transformers
tags: [trl, {params.method.replace("_", "-")}, mathematics]
---
# A policy trained by {_METHODS[params.method]}

{num_rows} rows, {num_steps} optimizer steps. The same data set, starting policy, params and seed give these weights.

| made from | |
|---|---|
{origin}

| param | value |
|---|---|
{settings}
"""
