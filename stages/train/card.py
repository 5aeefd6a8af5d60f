"""The model card that lies beside the weights: what the policy was made from, without times and places."""

from __future__ import annotations

from typing import Any

from stages.common.params.train import TrainParams

_METHODS = {
    "step_kto": "Step-KTO (arXiv 2501.10799): KTO on outcomes and on steps",
    "kto": "KTO (arXiv 2402.01306) on outcomes",
    "rft": "RFT: supervised fine-tuning on right solutions",
}


def settings_of(params: TrainParams) -> dict[str, Any]:
    """The settings that the weights depend on; what is off (null) is left out."""
    settings: dict[str, Any] = params.model_dump(mode="json", exclude_none=True, exclude={"tracker"})
    return settings


def model_card(params: TrainParams, made_from: dict[str, str | int], rows: int, steps: int) -> str:
    """Markdown with the Hub's metadata block; `rows` trained on per epoch, `steps` of the optimiser."""
    settings = "\n".join(f"| {name} | {value} |" for name, value in settings_of(params).items())
    origin = "\n".join(f"| {name} | `{value}` |" for name, value in made_from.items())
    return f"""---
library_name: transformers
tags: [trl, {params.method.replace("_", "-")}, mathematics]
---
# A policy trained by {_METHODS[params.method]}

{rows} rows, {steps} optimiser steps. The same data set, starting policy, settings and seed give these weights again.

| made from | |
|---|---|
{origin}

| setting | value |
|---|---|
{settings}
"""
