"""The card of a published policy: what it was made from, by which commands, and how it measured."""

from __future__ import annotations

from typing import Any

import yaml

from stages.common.params.recipe import SEED_POLICY
from stages.common.policies import Policy
from stages.report.sources import Model, Sources
from tools.publish import measure
from tools.publish.card import address_of, citation
from tools.publish.checks import Commit
from tools.publish.markdown import Markdown, render


def model_card(
    model: Model, policy: Policy, settings: dict[str, Any], repo: str, sources: Sources, commit: Commit
) -> str:
    """Markdown with the Hub's metadata block for a policy made here; `settings` are those of its training."""
    title = f"{sources.recipe.report.title}: policy {model.name}"
    base = sources.recipe.seed_model.hub
    table = measure.rounds(sources)
    return render(
        "model_card.md.jinja",
        metadata=Markdown(_front_matter(model, base.repo if base else None)),
        title=title,
        model=model,
        seed=SEED_POLICY,
        policy=policy,
        base=base,
        repo=repo,
        settings=settings,
        report=model.reports.get("train") or model.reports.get("seed_model", {}),
        models=table,
        majorities=measure.majority_columns(table),
        costs=[row for row in measure.costs(sources) if row["model"] == model.name],
        commit=commit,
        citation=citation(title, address_of(repo), commit),
        environments=measure.environments(sources),
    )


def _front_matter(model: Model, base: str | None) -> str:
    """The Hub's metadata block, without its fences."""
    metadata: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "language": ["en"],
        "tags": ["math", "reasoning", *([model.method.replace("_", "-")] if model.method else [])],
        **({"base_model": base} if base else {}),
    }
    return yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=1000)
